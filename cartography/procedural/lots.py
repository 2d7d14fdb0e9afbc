"""Streets, lots, single buildings and trees: what the zones of a superblock are composed of."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from cartography.procedural import quads as q
from cartography.procedural.draft import Draft
from cartography.scene import BuildingKind, PoiKind, RoadKind, RoofShape

Random: TypeAlias = np.random.Generator

_POIS: tuple[PoiKind, ...] = (
    "shop", "food", "transit", "parking", "lodging", "health", "school", "worship", "sight", "service",
)  # fmt: skip
_POI_SHARES = np.array([0.3, 0.25, 0.06, 0.1, 0.05, 0.06, 0.03, 0.03, 0.04, 0.08])
_SHAPES = [
    np.array(s, float)
    for s in (
        [(0, 0), (1, 0), (1, 1), (0, 1)],
        [(0, 0), (1, 0), (1, 1), (0.55, 1), (0.55, 0.5), (0, 0.5)],
        [(0, 0), (1, 0), (1, 1), (0.68, 1), (0.68, 0.4), (0.32, 0.4), (0.32, 1), (0, 1)],
        [(0, 0), (1, 0), (1, 0.55), (0.7, 0.55), (0.7, 1), (0.3, 1), (0.3, 0.55), (0, 0.55)],
        [(0, 0.12), (0.4, 0.12), (0.4, 0), (1, 0), (1, 1), (0.25, 1), (0.25, 0.8), (0, 0.8)],
    )
]


def split(
    quad: np.ndarray, sides: np.ndarray, target: float, width: float, random: Random, draft: Draft, kind: RoadKind
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Halve a quad by streets until blocks are small enough.

    Args:
        quad: Corners (4, 2) in metres.
        sides: Half widths (4,) of the roads along its sides.
        target: Area of a block in square metres.
        width: Width of a street in metres.
        random: Source of random numbers.
        draft: Receives the streets.
        kind: Kind of the streets.

    Returns:
        Blocks (4, 2) with the half widths (4,) of the roads along their sides.
    """
    if q.areas(quad[None])[0] < target * random.uniform(0.7, 1.5):
        return [(quad, sides)]
    lengths = q.side_lengths(quad[None])[0]
    if lengths[0] + lengths[2] < lengths[1] + lengths[3]:
        quad, sides = np.roll(quad, -1, axis=0), np.roll(sides, -1)
    t = random.uniform(0.4, 0.6)
    s = t + random.normal(0, 0.03)
    low, high = quad[0] + (quad[1] - quad[0]) * t, quad[3] + (quad[2] - quad[3]) * s
    own = width * random.uniform(0.85, 1.2)
    draft.roads.append((np.stack([low, high]), kind, own))
    half = own / 2
    left = np.stack([quad[0], low, high, quad[3]]), np.array([sides[0], half, sides[2], sides[3]])
    right = np.stack([low, quad[1], quad[2], high]), np.array([sides[0], sides[1], sides[2], half])
    return [part for child in (left, right) for part in split(*child, target, width * 0.96, random, draft, kind)]


def gridded(
    quad: np.ndarray, sides: np.ndarray, target: float, width: float, random: Random, draft: Draft, kind: RoadKind
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cut a quad by streets that run through from side to side.

    Args:
        quad: Corners (4, 2) in metres.
        sides: Half widths (4,) of the roads along its sides.
        target: Area of a block in square metres.
        width: Width of a street in metres.
        random: Source of random numbers.
        draft: Receives the streets.
        kind: Kind of the streets.

    Returns:
        Blocks (4, 2) with the half widths (4,) of the roads along their sides.
    """
    across, up = (q.side_lengths(quad[None])[0][[0, 1]] + q.side_lengths(quad[None])[0][[2, 3]]) / 2
    shape = random.choice([0.55, 1.0, 1.8])
    columns = max(1, round(across / np.sqrt(target * shape)))
    rows = max(1, round(up / np.sqrt(target / shape)))
    u = np.linspace(0, 1, columns + 1) + np.pad(random.normal(0, 0.06 / columns, columns - 1), 1)
    v = np.linspace(0, 1, rows + 1) + np.pad(random.normal(0, 0.06 / rows, rows - 1), 1)
    widths_u = np.r_[sides[3], np.full(columns - 1, width / 2), sides[1]]
    widths_v = np.r_[sides[0], np.full(rows - 1, width / 2), sides[2]]
    for a in u[1:-1]:
        draft.roads.append((q.bilinear(quad[None], np.array([[a, 0], [a, 1]]))[0], kind, width))
    for b in v[1:-1]:
        draft.roads.append((q.bilinear(quad[None], np.array([[0, b], [1, b]]))[0], kind, width))
    blocks = q.grid(quad, u, v).reshape(rows, columns, 4, 2)
    return [
        (blocks[r, c], np.array([widths_v[r], widths_u[c + 1], widths_v[r + 1], widths_u[c]]))
        for r in range(rows)
        for c in range(columns)
    ]


def streets(
    quad: np.ndarray, sides: np.ndarray, target: float, width: float, random: Random, draft: Draft
) -> list[np.ndarray]:
    """Lay out streets, by halving or as a grid.

    Args:
        quad: Corners (4, 2) in metres.
        sides: Half widths (4,) of the roads along its sides.
        target: Area of a block in square metres.
        width: Width of a street in metres.
        random: Source of random numbers.
        draft: Receives the streets.

    Returns:
        The blocks (4, 2) between the carriageways.
    """
    cut = gridded if random.random() < 0.5 else split
    parts = cut(quad, sides, target, width, random, draft, "residential")
    blocks = q.inset(np.stack([b for b, _ in parts]), np.stack([w for _, w in parts]))
    return list(blocks[q.areas(blocks) > 60])


def lots(block: np.ndarray, width: float, depth: float, random: Random) -> tuple[np.ndarray, np.ndarray]:
    """Divide a block into lots.

    Args:
        block: Corners (4, 2) in metres.
        width: Width of a lot along its street.
        depth: Depth of a lot.
        random: Source of random numbers.

    Returns:
        The lots (N, 4, 2), whose side 0 faces a street, and whether each lies inside the block (N,).
    """
    lengths = q.side_lengths(block[None])[0]
    if lengths[0] + lengths[2] < lengths[1] + lengths[3]:
        block = np.roll(block, -1, axis=0)
        lengths = np.roll(lengths, -1)
    rows = max(1, round((lengths[1] + lengths[3]) / 2 / depth))
    rows = 2 if rows > 2 and random.random() < 0.5 else rows
    columns = max(1, round((lengths[0] + lengths[2]) / 2 / width))
    result, inner = [], []
    edges = np.linspace(0, 1, rows + 1) + np.pad(random.normal(0, 0.04 / rows, rows - 1), 1)
    for row in range(rows):
        u = np.linspace(0, 1, columns + 1) + np.pad(random.uniform(-0.3, 0.3, columns - 1) / columns, 1)
        strip = q.grid(block, u, edges[row : row + 2])
        result.append(np.roll(strip, 2, axis=1) if row == rows - 1 and rows > 1 else strip)
        inner.append(np.full(columns, 0 < row < rows - 1))
    return np.concatenate(result), np.concatenate(inner)


def build(
    lot: np.ndarray,
    setbacks: np.ndarray,
    kind: BuildingKind,
    heights: np.ndarray,
    random: Random,
    draft: Draft,
    plain: float,
) -> None:
    """Put a building on every lot that has room for one.

    Args:
        lot: Lots (N, 4, 2) in metres.
        setbacks: Metres (N, 4) between the sides of a lot and its building.
        kind: Kind of the buildings.
        heights: Heights (N,) in metres.
        random: Source of random numbers.
        draft: Receives the buildings.
        plain: Share of buildings that are plain rectangles.
    """
    rooms = q.inset(lot, setbacks)
    large = q.areas(rooms) > 22
    shapes = np.where(random.random(len(lot)) < plain, 0, random.integers(1, len(_SHAPES), len(lot)))
    gabled = {"house": 0.75, "apartments": 0.25, "church": 1.0, "industrial": 0.3, "shed": 0.4}.get(kind, 0.08)
    roofs = random.random(len(lot))
    turns = random.integers(0, 4, len(lot))
    for i in np.flatnonzero(large):
        roof: RoofShape = "flat" if roofs[i] > gabled else ("gabled" if roofs[i] < gabled * 0.65 else "hipped")
        shape = int(shapes[i])
        room = np.roll(rooms[i], int(turns[i]), axis=0) if shape else rooms[i]
        draft.buildings.append((q.bilinear(room[None], _SHAPES[shape])[0], kind, float(heights[i]), roof))


def scatter_trees(quad: np.ndarray, count: int, random: Random, draft: Draft, largest: float = 5.0) -> None:
    """Put trees at random places of a quad.

    Args:
        quad: Corners (4, 2) in metres.
        count: Number of trees.
        random: Source of random numbers.
        draft: Receives the trees.
        largest: Greatest radius of a crown in metres.
    """
    for place, radius in zip(
        q.bilinear(quad[None], random.random((count, 2)))[0], random.uniform(1.3, largest, count), strict=True
    ):
        draft.trees.append((place, float(radius)))


def line_trees(block: np.ndarray, spacing: float, random: Random, draft: Draft) -> None:
    """Put street trees along some sides of a block, a little inside.

    Args:
        block: Corners (4, 2) in metres.
        spacing: Metres between two trees.
        random: Source of random numbers.
        draft: Receives the trees.
    """
    ring = q.inset(block[None], np.full((1, 4), 1.5))[0]
    lengths = q.side_lengths(ring[None])[0]
    for side in np.flatnonzero(random.random(4) < 0.6):
        start, end = ring[side], ring[(side + 1) % 4]
        for t in np.arange(spacing / 2, lengths[side], spacing) / lengths[side]:
            if random.random() < 0.85:
                draft.trees.append((start + (end - start) * t, float(random.uniform(1.6, 3.6))))


def place_pois(lot: np.ndarray, share: float, random: Random, draft: Draft) -> None:
    """Put points of interest in the middle of some lots.

    Args:
        lot: Lots (N, 4, 2) in metres.
        share: Share of the lots that get one.
        random: Source of random numbers.
        draft: Receives the points.
    """
    for one in lot[random.random(len(lot)) < share]:
        draft.pois.append((one.mean(axis=0), _POIS[random.choice(10, p=_POI_SHARES)]))
