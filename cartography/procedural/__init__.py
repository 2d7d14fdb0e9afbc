"""Synthetic landscapes: unlimited, seeded, and independent of the window that is asked for."""

from cartography.procedural.landscape import LANDSCAPES, Landscape
from cartography.procedural.synthetic_scene import SyntheticScene

__all__ = ["LANDSCAPES", "Landscape", "SyntheticScene"]
