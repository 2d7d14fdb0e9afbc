"""Street-level views of a scene: what a pinhole camera sees of walls, roofs, trees, ground and sky."""

from cartography.street.camera import StreetCamera
from cartography.street.render import render_street
from cartography.street.weather import Weather, random_weather

__all__ = ["StreetCamera", "Weather", "random_weather", "render_street"]
