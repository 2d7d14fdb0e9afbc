"""Invented landscapes: unlimited, seeded, and the same from whatever window they are looked at."""

from cartography.procedural.landscape import LANDSCAPES, Landscape
from cartography.procedural.synthetic_scene import SyntheticScene

__all__ = ["LANDSCAPES", "Landscape", "SyntheticScene"]
