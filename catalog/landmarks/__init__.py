"""The schema of landmarks: photographs from the ground and aerial images of several years, with texts and
coordinates."""

from catalog.landmarks.schema import LandmarkSchema

SCHEMA = LandmarkSchema()
"""The one to name wherever the catalog asks for a schema."""
