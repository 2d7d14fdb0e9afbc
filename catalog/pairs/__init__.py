"""The schema of map-visible pairs: a map image and a visible image of the same ground, cut from a pair of rasters."""

from catalog.pairs.schema import PairSchema

SCHEMA = PairSchema()
"""The one to name wherever the catalog asks for a schema."""
