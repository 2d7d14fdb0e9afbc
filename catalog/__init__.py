"""The release of a dataset of image pairs: built from plain tables, verified without a network, read back.

`build.build_release` makes one from `model.Contents`, `verify.verify_release` says what is wrong with one,
`dataset.open_dataset` gives its pairs to PyTorch. The manifest (`manifest`, `schema`) is what all else derives from:
folders (`folders`), Zarr store (`store`), STAC catalog (`stac`, `stac_pairs`), card (`card`), Croissant (`croissant`).
"""
