"""Synthetic landmarks: a striking building in a procedural scene, seen from above over the years and from the street."""

from cartography.landmarks.place import Landmark, Country
from cartography.landmarks.text import describe

__all__ = ["Landmark", "Country", "describe"]
