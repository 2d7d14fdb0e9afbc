"""A release of a dataset: built from plain tables, verified without a network, read back. The core serves any schema.

`build.build_release` makes one from `model.Contents`, `verify.verify_release` says what is wrong with one,
`dataset.open_dataset` gives its records to PyTorch. A `schema.Schema` says what the records are: `pairs` is that of
map-visible pairs. The manifest (`manifest`) is what all else derives from: folders (`folders`), Zarr store (`store`),
STAC catalog (`stac`, `stac_table`), card (`card`), Croissant (`croissant`).
"""
