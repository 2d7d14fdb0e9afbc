"""What walls look like: materials, storeys, windows. A facade is a function of a place on the wall, not a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cartography.hashing import generator
from cartography.scene import BuildingKind

MATERIALS: tuple[tuple[str, tuple[int, int, int]], ...] = (
    ("sandstone", (188, 166, 128)), ("white plaster", (214, 210, 200)), ("brown stone", (140, 116, 96)),
    ("red brick", (158, 92, 72)), ("grey concrete", (142, 144, 148)),
)  # fmt: skip
"""Name and colour, in the order of the walls that the aerial image shows."""

_STOREY: dict[BuildingKind, float] = {
    "house": 2.8, "apartments": 3.0, "commercial": 3.6, "industrial": 6.0, "public": 4.2, "church": 9.0, "shed": 2.6,
}  # fmt: skip
_GLASS = np.array([62, 76, 92], np.float32)
_LIT = np.array([236, 204, 138], np.float32)


@dataclass(frozen=True)
class Facade:
    """The wall of one building.

    Attributes:
        colour: (red, green, blue) of the wall in full light.
        storey: Height of a storey, metres.
        bay: Distance of windows, metres.
        window: (width, height) of a window as shares of bay and storey; (0, 0) for none.
        arched: Whether windows end in a half circle.
        seed: Decides which windows are lit.
    """

    colour: tuple[int, int, int]
    storey: float
    bay: float
    window: tuple[float, float]
    arched: bool
    seed: int

    def paint(self, along: np.ndarray, up: np.ndarray, light: float, night: bool) -> np.ndarray:
        """Return the colours (N, 3) float32 of places on the wall.

        Args:
            along: (N,) metres from the wall's first corner.
            up: (N,) metres above the ground.
            light: Factor of the wall's light.
            night: Whether windows are lit.
        """
        courses = 1 + 0.04 * np.sign(np.sin(up * (2 * np.pi / 0.6))) + 0.03 * np.sin(along * 1.7 + up * 0.9)
        colour = np.array(self.colour, np.float32) * (light * courses)[:, None]
        column, row = np.floor(along / self.bay), np.floor(up / self.storey)
        x, y = along / self.bay - column - 0.5, up / self.storey - row - 0.55
        wide, high = self.window
        inside = (np.abs(x) < wide / 2) & (np.abs(y) < high / 2)
        if self.arched:
            inside &= np.hypot(x / max(wide, 1e-6) * 2, np.maximum(y - high / 4, 0) / max(high, 1e-6) * 4) < 1
        frame = (np.abs(x) < wide / 2 + 0.05) & (np.abs(y) < high / 2 + 0.05) & ~inside & (wide > 0)
        colour[frame] *= 1.18
        glass = _GLASS * (0.7 + 0.5 * light)
        panes = np.broadcast_to(glass, (int(inside.sum()), 3)).copy()
        if night:
            lit = np.sin(column[inside] * 12.9898 + row[inside] * 78.233 + self.seed % 1000) > 0.1
            panes[lit] = _LIT / 0.9
        colour[inside] = panes
        colour[up < 0.5] *= 0.8
        return colour


def facade_of(kind: BuildingKind, key: int, material: int) -> Facade:
    """Return the facade of a building.

    Args:
        kind: Kind of building.
        key: The building's key, which decides what its kind leaves open.
        material: Index in `MATERIALS`.
    """
    random = generator(key, 0xFACADE)
    tone = float(random.uniform(0.88, 1.1))
    red, green, blue = (min(int(value * tone), 255) for value in MATERIALS[material][1])
    wide, high = float(random.uniform(0.3, 0.62)), float(random.uniform(0.4, 0.66))
    if kind in ("industrial", "shed"):
        wide, high = (0.0, 0.0) if random.random() < 0.5 else (0.7, 0.2)
    if kind == "commercial" and random.random() < 0.5:
        wide, high = 0.9, 0.75
    return Facade(
        (red, green, blue),
        _STOREY[kind] * float(random.uniform(0.95, 1.1)),
        float(random.uniform(1.8, 3.6)) * (1.4 if kind in ("church", "public") else 1.0),
        (wide, high),
        kind == "church" or (kind == "public" and random.random() < 0.4),
        key,
    )
