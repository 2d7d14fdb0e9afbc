"""The content of one superblock while it is being made, in street space (before the landscape bends it)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cartography.scene import AreaKind, BarrierKind, BuildingKind, PoiKind, RoadKind, RoofShape


@dataclass
class Draft:
    """Plain lists; coordinates are metres in street space, rings are open arrays (K, 2)."""

    areas: list[tuple[np.ndarray, AreaKind]] = field(default_factory=list)
    buildings: list[tuple[np.ndarray, BuildingKind, float, RoofShape]] = field(default_factory=list)
    roads: list[tuple[np.ndarray, RoadKind, float]] = field(default_factory=list)
    barriers: list[tuple[np.ndarray, BarrierKind]] = field(default_factory=list)
    trees: list[tuple[np.ndarray, float]] = field(default_factory=list)
    pois: list[tuple[np.ndarray, PoiKind]] = field(default_factory=list)
