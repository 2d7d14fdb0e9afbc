"""Colours of what is seen from above: (red, green, blue, surface class)."""

from __future__ import annotations

from bisect import bisect_left
from typing import TypeAlias

import numpy as np

from cartography.imagery.conditions import Conditions, Season
from cartography.imagery.textures import surface
from cartography.scene import AreaKind, BuildingKind

Paint: TypeAlias = tuple[int, int, int, int]

_GRASS: dict[Season, tuple[int, int, int]] = {
    "spring": (104, 128, 66), "summer": (112, 122, 72), "autumn": (128, 122, 76), "winter": (122, 116, 86),
}  # fmt: skip
_LEAF: dict[Season, list[tuple[int, int, int]]] = {
    "spring": [(82, 108, 52), (98, 122, 62), (70, 96, 50)],
    "summer": [(62, 88, 46), (74, 98, 52), (52, 76, 42), (84, 100, 58)],
    "autumn": [(132, 102, 50), (112, 96, 52), (146, 88, 46), (80, 90, 50)],
    "winter": [(92, 84, 70), (82, 78, 64), (60, 74, 52)],
}
_ROOFS: dict[str, list[tuple[tuple[int, int, int], str]]] = {
    "pitched": [
        ((158, 88, 66), "tiled"), ((136, 74, 58), "tiled"), ((112, 72, 60), "tiled"), ((104, 100, 98), "tiled"),
        ((78, 78, 82), "tiled"), ((132, 118, 104), "tiled"), ((176, 172, 166), "roof"), ((92, 104, 124), "metal"),
    ],
    "flat": [
        ((168, 166, 162), "gravel"), ((192, 190, 186), "roof"), ((132, 132, 132), "roof"), ((100, 100, 102), "roof"),
        ((212, 212, 210), "roof"), ((150, 142, 132), "gravel"), ((148, 158, 166), "metal"), ((122, 134, 120), "roof"),
        ((172, 150, 136), "roof"), ((224, 224, 222), "roof"),
    ],
    "hall": [
        ((196, 200, 204), "metal"), ((222, 224, 226), "metal"), ((150, 158, 168), "metal"), ((120, 140, 168), "metal"),
        ((172, 160, 148), "metal"), ((108, 108, 110), "roof"),
    ],
}  # fmt: skip


def shade(paint: Paint, factor: float) -> Paint:
    """Return a paint in more or less light.

    Args:
        paint: Red, green, blue and surface class.
        factor: Factor on the colour.

    Returns:
        The same surface in the new colour.
    """
    red, green, blue, kind = paint
    return (min(int(red * factor), 255), min(int(green * factor), 255), min(int(blue * factor), 255), kind)


def shades(paints: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Return many paints in more or less light; see `shade`.

    Args:
        paints: Paints (N, 4).
        factors: Factors (N,).

    Returns:
        Paints (N, 4).
    """
    colours = np.minimum((paints[:, :3] * factors[:, None]).astype(int), 255)
    return np.concatenate([colours, paints[:, 3:]], axis=1)


class Palette:
    """The colours of one image: its region and season decide the tone of everything."""

    def __init__(self, conditions: Conditions, random: np.random.Generator) -> None:
        """Choose the colours of an image.

        Args:
            conditions: Gives the season.
            random: Gives the region's tones; drawn from in a fixed order.
        """
        self.season = conditions.season
        self.asphalt: Paint = (*_spread(random, (int(random.integers(92, 132)),) * 3, 3), surface("paved"))
        self.pavement: Paint = (*_spread(random, (int(random.integers(140, 182)),) * 3, 8), surface("paved"))
        self.grass: Paint = (*_spread(random, _GRASS[self.season], 9), surface("grass"))
        self.water: Paint = (
            *_spread(random, [(40, 62, 72), (62, 90, 76), (50, 82, 104)][random.integers(3)], 8),
            surface("water"),
        )
        self.soil: Paint = (
            *_spread(random, [(146, 124, 98), (124, 100, 78), (168, 150, 124)][random.integers(3)], 8),
            surface("soil"),
        )
        self.roofs = {
            family: [(*_spread(random, colour, 10), surface(kind)) for colour, kind in choices]
            for family, choices in _ROOFS.items()
        }
        # A town is not a sample of all materials: a few prevail.
        shares = {family: random.dirichlet(np.full(len(c), 0.7)) for family, c in _ROOFS.items()}
        self._prevailing = {family: np.cumsum(share).tolist() for family, share in shares.items()}
        self._leaves = np.array([(*colour, surface("canopy")) for colour in _LEAF[self.season]])

    def area(self, kind: AreaKind, draw: float) -> Paint:
        """Return the paint of an area.

        Args:
            kind: Kind of land use or land cover.
            draw: Random number in [0, 1) that chooses among variants.

        Returns:
            Red, green, blue and surface class.
        """
        tone = 0.86 + 0.28 * ((draw * 7919) % 1)
        grass, soil = self.grass, self.soil
        match kind:
            case "residential":
                return shade(self.pavement, 0.85 + 0.2 * draw)
            case "commercial" | "square" | "public":
                return shade(self.pavement, 0.85 + 0.3 * draw)
            case "industrial" | "parking":
                return shade(self.asphalt, 0.95 + 0.4 * draw)
            case "pitch":
                turf: Paint = (*grass[:3], 6)
                return [(72, 118, 84, 0), (150, 84, 66, 0), turf, (84, 110, 150, 0)][int(draw * 4)]
            case "garden" | "park" | "cemetery" | "playground":
                return shade(grass, tone) if draw < 0.8 else shade(soil, tone)
            case "farmland":
                crops: list[Paint] = [
                    soil,
                    shade(soil, 1.15),
                    grass,
                    (150, 142, 84, 7),
                    (176, 160, 106, 7),
                    (88, 112, 58, 7),
                ]
                return shade(crops[int(draw * len(crops))], tone)
            case "grass" | "scrub" | "wetland" | "orchard" | "vineyard":
                return shade((*grass[:3], surface("meadow")), tone * (0.85 if kind == "scrub" else 1))
            case "forest":
                return self.leaf(draw)
            case "water":
                return self.water
            case "rock":
                return shade((150, 144, 136, surface("rock")), tone)
            case "glacier":
                return (228, 232, 236, surface("snow"))
            case "sand":
                return (208, 194, 160, surface("soil"))
            case "bare" | "construction":
                return shade(soil, tone * 1.1)

    def leaf(self, draw: float) -> Paint:
        """Return the paint of a crown.

        Args:
            draw: Random number in [0, 1).

        Returns:
            Red, green, blue and surface class.
        """
        red, green, blue, kind = self.leaves(np.array([draw]))[0].tolist()
        return red, green, blue, kind

    def leaves(self, draws: np.ndarray) -> np.ndarray:
        """Return the paints of many crowns.

        Args:
            draws: Random numbers (N,) in [0, 1).

        Returns:
            Paints (N, 4).
        """
        choices = self._leaves[(draws * len(self._leaves)).astype(int)]
        return shades(choices, 0.85 + 0.3 * ((draws * 104729) % 1))

    def roof(self, kind: BuildingKind, pitched: bool, draw: float) -> Paint:
        """Return the paint of a roof.

        Args:
            kind: Kind of building.
            pitched: Has the roof slopes?
            draw: Random number in [0, 1).

        Returns:
            Red, green, blue and surface class.
        """
        family = "hall" if kind == "industrial" else "pitched" if pitched or kind == "church" else "flat"
        choice = bisect_left(self._prevailing[family], draw * 0.999)
        return shade(self.roofs[family][min(choice, len(self.roofs[family]) - 1)], 0.88 + 0.24 * ((draw * 7919) % 1))


def _spread(random: np.random.Generator, colour: tuple[int, ...], spread: float) -> tuple[int, int, int]:
    """Vary a colour by grey levels: brightness by `spread`, hue by far less, or paving would turn pink and green."""
    moved = np.array(colour) + random.normal(0, spread) + random.normal(0, spread / 4, 3)
    red, green, blue = np.clip(moved, 0, 255).astype(int).tolist()
    return red, green, blue
