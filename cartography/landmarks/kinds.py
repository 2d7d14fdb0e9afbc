"""What landmarks are made of: a few simple buildings each, on a square of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from cartography.scene import BuildingKind, RoofShape

Random: TypeAlias = np.random.Generator


@dataclass(frozen=True, eq=False)
class Part:
    """One building of a landmark: its outline (K, 2) in metres about the landmark's centre, counter-clockwise."""

    outline: np.ndarray
    kind: BuildingKind
    height: float
    roof: RoofShape = "flat"


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of landmark.

    Attributes:
        label: What it is called in a text.
        category: The broad class it belongs to.
        parts: Draws the buildings of one landmark.
    """

    label: str
    category: str
    parts: Callable[[Random], list[Part]]


def _box(x: float, y: float, width: float, depth: float) -> np.ndarray:
    """Return a rectangle about (x, y)."""
    return np.array([x, y]) + np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]) * (width, depth)


def _round(x: float, y: float, radius: float, corners: int = 14) -> np.ndarray:
    angle = np.arange(corners) * (2 * np.pi / corners)
    return np.array([x, y]) + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _church(random: Random) -> list[Part]:
    length, width = random.uniform(28, 48), random.uniform(12, 18)
    height = random.uniform(12, 18)
    tower = random.uniform(6, 9)
    parts = [Part(_box(0, 0, length, width), "church", height, "gabled")]
    if random.random() < 0.5:
        parts.append(Part(_box(length * 0.15, 0, width * 0.9, width * 2.0), "church", height * 0.95, "gabled"))
    sides = (-1, 1) if random.random() < 0.4 else (0,)
    for side in sides:
        place = _box(-length / 2 - tower / 2 + 1, side * (width - tower) / 2, tower, tower)
        parts.append(Part(place, "church", height * random.uniform(2.0, 2.8), "hipped"))
    return parts


def _town_hall(random: Random) -> list[Part]:
    length, depth, height = random.uniform(40, 64), random.uniform(16, 24), random.uniform(12, 20)
    parts = [Part(_box(0, 0, length, depth), "public", height, "hipped")]
    parts += [
        Part(_box(s * (length / 2 - 6), -depth * 0.6, 12, depth), "public", height * 0.9, "hipped") for s in (-1, 1)
    ]
    return [*parts, Part(_box(0, -depth / 2 + 3, 8, 8), "public", height * random.uniform(1.8, 2.6), "hipped")]


def _museum(random: Random) -> list[Part]:
    side, wing, height = random.uniform(50, 80), random.uniform(14, 20), random.uniform(12, 18)
    reach = (side - wing) / 2
    wings = [Part(_box(0, s * reach, side, wing), "public", height) for s in (-1, 1)]
    wings += [Part(_box(s * reach, 0, wing, side - 2 * wing), "public", height) for s in (-1, 1)]
    return [*wings, Part(_round(0, 0, side / 2 - wing - 6), "public", height * 1.5)]


def _castle(random: Random) -> list[Part]:
    side, height = random.uniform(40, 66), random.uniform(9, 14)
    half = side / 2
    walls = [Part(_box(0, s * half, side, 4), "public", height) for s in (-1, 1)]
    walls += [Part(_box(s * half, 0, 4, side), "public", height) for s in (-1, 1)]
    towers = [Part(_round(x * half, y * half, 5, 10), "public", height * 1.7) for x in (-1, 1) for y in (-1, 1)]
    keep = Part(_box(random.uniform(-6, 6), 0, 16, 14), "public", height * random.uniform(1.9, 2.6), "hipped")
    return [*walls, *towers, keep]


def _stadium(random: Random) -> list[Part]:
    length, width, height = random.uniform(110, 150), random.uniform(80, 105), random.uniform(14, 24)
    stands = [Part(_box(0, s * (width / 2 - 7), length, 14), "commercial", height) for s in (-1, 1)]
    return stands + [Part(_box(s * (length / 2 - 7), 0, 14, width - 28), "commercial", height * 0.8) for s in (-1, 1)]


def _tower(random: Random) -> list[Part]:
    side, height = random.uniform(24, 36), random.uniform(90, 150)
    parts = [Part(_box(0, 0, side * 1.8, side * 1.5), "commercial", 12.0)]
    for step in range(int(random.integers(1, 4))):
        shrunk = side * (1 - 0.22 * step)
        parts.append(Part(_box(0, 0, shrunk, shrunk), "commercial", height * (0.6 + 0.2 * step)))
    return parts


def _monument(random: Random) -> list[Part]:
    base = random.uniform(14, 22)
    column = Part(_round(0, 0, random.uniform(2.0, 3.2), 10), "public", random.uniform(26, 46))
    return [Part(_box(0, 0, base, base), "public", 2.2), Part(_box(0, 0, base / 2, base / 2), "public", 5.0), column]


def _mill(random: Random) -> list[Part]:
    length, height = random.uniform(50, 90), random.uniform(16, 24)
    hall = Part(_box(0, 0, length, random.uniform(18, 26)), "industrial", height, "gabled")
    shed = Part(_box(length * 0.2, 26, length * 0.5, 18), "industrial", height * 0.5)
    chimneys = [
        Part(_round(length * 0.35, 20 + 9 * n, 2.4, 10), "public", height * 2.6)
        for n in range(int(random.integers(1, 3)))
    ]
    return [hall, shed, *chimneys]


def _gasometer(random: Random) -> list[Part]:
    radius = random.uniform(16, 26)
    count = int(random.integers(1, 4))
    return [Part(_round(n * radius * 2.3, 0, radius), "industrial", random.uniform(22, 40)) for n in range(count)]


def _school(random: Random) -> list[Part]:
    length, depth, height = random.uniform(50, 84), random.uniform(14, 18), random.uniform(9, 14)
    long_wing = Part(_box(0, 0, length, depth), "public", height, "gabled")
    wings = [
        Part(_box(x * length, depth * 1.3, depth, depth * 2), "public", height, "gabled") for x in (-0.4, 0.0, 0.4)
    ]
    return [long_wing, *wings[: int(random.integers(1, 4))]]


KINDS: dict[str, Kind] = {
    "church": Kind("church", "religious building", _church),
    "town-hall": Kind("town hall", "public building", _town_hall),
    "museum": Kind("museum", "public building", _museum),
    "castle": Kind("castle", "fortification", _castle),
    "stadium": Kind("stadium", "sports venue", _stadium),
    "tower": Kind("tower", "skyscraper", _tower),
    "monument": Kind("monument", "monument", _monument),
    "mill": Kind("mill", "industrial building", _mill),
    "gasometer": Kind("gasworks", "industrial building", _gasometer),
    "school": Kind("school", "public building", _school),
}
