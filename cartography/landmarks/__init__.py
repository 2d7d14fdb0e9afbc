"""Synthetic landmarks: a striking building in a procedural scene, seen from above over the years and from the
street."""

from cartography.landmarks.place import Country, Landmark
from cartography.landmarks.text import describe

__all__ = ["Country", "Landmark", "describe"]
