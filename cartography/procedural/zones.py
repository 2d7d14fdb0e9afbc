"""What fills a superblock: streets, blocks, lots and buildings of a city, houses and gardens, halls, parks, fields.

Every public function here is a `Zone`, whose parameters are explained there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from cartography.procedural import quads as q
from cartography.procedural.draft import Draft
from cartography.procedural.lots import Random, build, line_trees, lots, place_pois, scatter_trees, streets
from cartography.scene import AreaKind, BuildingKind

Zone: TypeAlias = Callable[[np.ndarray, np.ndarray, Random, Draft], None]
"""Fills a superblock: `zone(quad, sides, random, draft)`.

`quad` (4, 2) are its corners in street space, metres: the centre lines of its roads. `sides` (4,) are half widths in
metres of the roads along its sides, side k from corner k to corner k + 1; 0 where there is no road. `random` is drawn
from in a fixed order, so the same state gives the same content. `draft` is added to.
"""


def dense(quad: np.ndarray, sides: np.ndarray, random: Random, draft: Draft) -> None:
    """Inner city of small lots, nearly filled, of very different heights (the fabric of Tokyo or Seoul)."""
    tall = random.uniform(7, 22)
    width, depth = random.uniform(9, 20), random.uniform(14, 24)
    for block in streets(quad, sides, random.uniform(2000, 6000), random.uniform(4.5, 9), random, draft):
        draft.areas.append((block, "commercial" if random.random() < 0.3 else "residential"))
        lot, _ = lots(q.inset(block[None], np.full((1, 4), random.uniform(0.8, 2.5)))[0], width, depth, random)
        merged = random.random(len(lot))
        empty = merged < 0.1
        for vacant in lot[empty][:3]:
            draft.areas.append((vacant, "parking" if random.random() < 0.6 else "garden"))
        lot = lot[~empty]
        setbacks = random.uniform(0.2, 1.2, (len(lot), 4))
        setbacks[:, 2] = random.uniform(0.3, 3.5, len(lot))
        heights = np.clip(tall * np.exp(random.normal(0, 0.5, len(lot))), 4, 70)
        kind: BuildingKind = "commercial" if random.random() < 0.5 else "apartments"
        build(lot, setbacks, kind, heights, random, draft, 0.55)
        if random.random() < 0.5:
            line_trees(block, random.uniform(7, 14), random, draft)
        place_pois(lot, 0.3, random, draft)


def perimeter(quad: np.ndarray, sides: np.ndarray, random: Random, draft: Draft) -> None:
    """Closed blocks round courtyards (the fabric of Berlin or Rome)."""
    tall = random.uniform(14, 24)
    for block in streets(quad, sides, random.uniform(6000, 14000), random.uniform(8, 14), random, draft):
        draft.areas.append((block, "residential"))
        front = q.inset(block[None], np.full((1, 4), random.uniform(2.0, 4.5)))[0]
        depth = random.uniform(11, 16)
        court = q.inset(front[None], np.full((1, 4), depth))[0]
        if q.areas(court[None])[0] < 150:
            lot, _ = lots(front, 22, 18, random)
            build(lot, np.full((len(lot), 4), 0.05), "apartments", random.normal(tall, 2, len(lot)), random, draft, 0.6)
            continue
        draft.areas.append((court, "garden" if random.random() < 0.6 else "parking"))
        scatter_trees(court, int(q.areas(court[None])[0] / 150), random, draft, 6)
        for side in range(4):
            after = (side + 1) % 4
            wing = np.stack([front[side], front[after], court[after], court[side]])
            count = max(1, round(float(q.side_lengths(wing[None])[0][0]) / random.uniform(16, 30)))
            houses = q.grid(wing, np.linspace(0, 1, count + 1), np.array([0.0, 1.0]))
            houses = houses[random.random(count) < 0.93]
            build(
                houses,
                np.zeros((len(houses), 4)),
                "apartments",
                random.normal(tall, 2.5, len(houses)),
                random,
                draft,
                1.0,
            )
            place_pois(houses, 0.35, random, draft)
        if random.random() < 0.5:
            yard, _ = lots(court, 14, 14, random)
            chosen = yard[random.random(len(yard)) < 0.2]
            build(
                chosen,
                np.full((len(chosen), 4), 1.5),
                "apartments",
                random.uniform(4, 14, len(chosen)),
                random,
                draft,
                0.7,
            )
        if random.random() < 0.7:
            line_trees(block, random.uniform(8, 14), random, draft)


def towers(quad: np.ndarray, sides: np.ndarray, random: Random, draft: Draft) -> None:
    """Large free-standing buildings: slabs, towers, malls, with parking and lawns."""
    for block in streets(quad, sides, random.uniform(9000, 22000), random.uniform(8, 14), random, draft):
        draft.areas.append((block, "commercial" if random.random() < 0.5 else "residential"))
        lot, _ = lots(
            q.inset(block[None], np.full((1, 4), 5.0))[0], random.uniform(35, 80), random.uniform(35, 70), random
        )
        for one in lot:
            use = random.random()
            if use < 0.2:
                draft.areas.append((one, "parking"))
            elif use < 0.32:
                draft.areas.append((one, "garden"))
                scatter_trees(one, int(q.areas(one[None])[0] / 90), random, draft, 6)
            else:
                draft.areas.append((one, "square" if random.random() < 0.4 else "grass"))
                setbacks = random.uniform(3, 11, (1, 4))
                height = np.array([random.choice([random.uniform(8, 20), random.uniform(25, 95)])])
                build(one[None], setbacks, "commercial", height, random, draft, 0.4)
                scatter_trees(one, 4, random, draft)
        line_trees(block, 10, random, draft)
        place_pois(lot, 0.6, random, draft)


def houses(quad: np.ndarray, sides: np.ndarray, random: Random, draft: Draft) -> None:
    """Detached or terraced houses in gardens."""
    width, depth = random.uniform(11, 24), random.uniform(22, 36)
    front, tree_rate = random.uniform(2.5, 8), random.uniform(0.3, 2.2)
    for block in streets(quad, sides, random.uniform(4500, 11000), random.uniform(5, 8), random, draft):
        draft.areas.append((block, "residential"))
        lot, _ = lots(q.inset(block[None], np.full((1, 4), 1.2))[0], width, depth, random)
        for one in lot:
            draft.areas.append((one, "garden"))
            scatter_trees(one, int(random.poisson(tree_rate)), random, draft)
        count = len(lot)
        setbacks = np.stack(
            [
                front + random.uniform(-1, 2, count),
                random.uniform(0.6, 4, count),
                np.maximum(depth - front - random.uniform(9, 14, count), 3),
                random.uniform(0.6, 4, count),
            ],
            axis=1,
        )
        build(lot, setbacks, "house", random.uniform(4.5, 9.5, count), random, draft, 0.65)
        back = lot[random.random(count) < 0.35]
        corner = q.bilinear(back, np.array([[0.05, 0.8], [0.3, 0.8], [0.3, 0.95], [0.05, 0.95]]))
        build(corner, np.zeros((len(back), 4)), "shed", random.uniform(2.2, 3.2, len(back)), random, draft, 1.0)
        for one in lot[random.random(count) < 0.3]:
            draft.barriers.append((one[1:3], "hedge" if random.random() < 0.6 else "fence"))
        place_pois(lot, 0.03, random, draft)


def industry(quad: np.ndarray, sides: np.ndarray, random: Random, draft: Draft) -> None:
    """Halls, yards and parking."""
    for block in streets(quad, sides, random.uniform(14000, 35000), 9.0, random, draft):
        draft.areas.append((block, "industrial"))
        lot, _ = lots(
            q.inset(block[None], np.full((1, 4), 4.0))[0], random.uniform(40, 90), random.uniform(45, 80), random
        )
        for one in lot:
            use = random.random()
            if use < 0.25:
                draft.areas.append((one, "parking" if use < 0.15 else "bare"))
                continue
            setbacks = random.uniform(3, 14, (1, 4))
            build(one[None], setbacks, "industrial", random.uniform(6, 14, 1), random, draft, 0.6)
        place_pois(lot, 0.3, random, draft)


def park(quad: np.ndarray, sides: np.ndarray, random: Random, draft: Draft) -> None:
    """Lawns, trees, paths, a pond, a playing field."""
    block = q.inset(quad[None], sides[None])[0]
    draft.areas.append((block, "park"))
    area = float(q.areas(block[None])[0])
    scatter_trees(block, int(area / random.uniform(80, 260)), random, draft, 6.5)
    centre = random.uniform(0.35, 0.65, 2)
    for corner in random.uniform(0, 1, (random.integers(3, 7), 2)):
        side = int(np.argmin(np.r_[corner, 1 - corner]))
        gate = corner.copy()
        gate[side % 2] = side // 2
        bend = (gate + centre) / 2 + random.normal(0, 0.1, 2)
        t = np.linspace(0, 1, 9)[:, None]
        curve = (1 - t) ** 2 * gate + 2 * t * (1 - t) * bend + t**2 * centre
        draft.roads.append((q.bilinear(block[None], curve)[0], "path", float(random.uniform(1.8, 4))))
    angle = np.linspace(0, 2 * np.pi, 15)[:-1]
    blob = random.uniform(0.6, 1.0, 14)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    # Away from the middle, where the kiosk stands.
    spot = 0.5 + random.choice([-1, 1], 2) * random.uniform(0.2, 0.3, 2)
    use = random.random()
    if use < 0.45:
        draft.areas.append((q.bilinear(block[None], spot + blob * 0.13)[0], "water"))
    elif use < 0.8:
        field = spot + np.array([[-0.14, -0.1], [0.14, -0.1], [0.14, 0.1], [-0.14, 0.1]])
        draft.areas.append((q.bilinear(block[None], field)[0], "pitch"))
    draft.areas.append((q.bilinear(block[None], 1 - spot + blob * 0.08)[0], "square"))
    kiosk = block.mean(axis=0) + (block - block.mean(axis=0)) * 0.06
    build(kiosk[None], np.zeros((1, 4)), "public", np.array([5.0]), random, draft, 0.5)


def campus(quad: np.ndarray, sides: np.ndarray, random: Random, draft: Draft) -> None:
    """A school, hospital or barracks: one large building, pitch, parking, lawn; sometimes a church and graveyard."""
    block = q.inset(quad[None], sides[None])[0]
    if random.random() < 0.3:
        draft.areas.append((block, "cemetery"))
        scatter_trees(block, int(q.areas(block[None])[0] / 220), random, draft)
        nave = q.bilinear(block[None], np.array([[0.42, 0.46], [0.58, 0.46], [0.58, 0.54], [0.42, 0.54]]))
        build(nave, np.zeros((1, 4)), "church", np.array([16.0]), random, draft, 1.0)
        for a in (0.33, 0.67):
            draft.roads.append((q.bilinear(block[None], np.array([[a, 0], [a, 1]]))[0], "path", 2.5))
        return
    draft.areas.append((block, "public"))
    parts = q.grid(block, np.array([0, 0.5 + random.normal(0, 0.05), 1]), np.array([0, 0.5, 1]))
    uses = random.permutation(4)
    build(parts[uses[:2]], random.uniform(8, 22, (2, 4)), "public", random.uniform(8, 22, 2), random, draft, 0.1)
    kinds: tuple[AreaKind, ...] = ("pitch", "parking")
    for part, kind in zip(parts[uses[2:]], kinds, strict=True):
        draft.areas.append((q.inset(part[None], random.uniform(6, 25, (1, 4)))[0], kind))
    scatter_trees(block, int(q.areas(block[None])[0] / 500), random, draft)


def village(quad: np.ndarray, sides: np.ndarray, random: Random, draft: Draft) -> None:
    """Farmsteads and houses strung along the roads, meadows behind."""
    block = q.inset(quad[None], sides[None])[0]
    fields(quad, sides, random, draft)
    strip = q.inset(block[None], np.full((1, 4), random.uniform(32, 48)))[0]
    for side in range(4):
        if sides[side] < 2 or random.random() < 0.2:
            continue
        after = (side + 1) % 4
        wing = np.stack([block[side], block[after], strip[after], strip[side]])
        count = max(1, round(float(q.side_lengths(wing[None])[0][0]) / random.uniform(20, 34)))
        lot = q.grid(wing, np.linspace(0.05, 0.95, count + 1), np.array([0.0, 1.0]))
        lot = lot[random.random(count) < 0.75]
        for one in lot:
            draft.areas.append((one, "garden"))
            scatter_trees(one, int(random.poisson(1.5)), random, draft)
        setbacks = random.uniform(3, 9, (len(lot), 4))
        setbacks[:, 2] = random.uniform(14, 26, len(lot))
        build(lot, setbacks, "house", random.uniform(5, 10, len(lot)), random, draft, 0.55)
        place_pois(lot, 0.04, random, draft)


def fields(quad: np.ndarray, sides: np.ndarray, random: Random, draft: Draft) -> None:
    """Parcels of arable land, meadow, orchard, vineyard; hedges, tracks, a single farm."""
    block = q.inset(quad[None], sides[None])[0]
    columns, rows = random.integers(1, 6), random.integers(1, 4)
    u = np.linspace(0, 1, columns + 1) + np.pad(random.uniform(-0.3, 0.3, columns - 1) / columns, 1)
    v = np.linspace(0, 1, rows + 1) + np.pad(random.uniform(-0.2, 0.2, rows - 1) / rows, 1)
    kinds: tuple[AreaKind, ...] = ("farmland", "grass", "orchard", "vineyard", "scrub", "bare", "forest")
    for parcel in q.grid(block, u, v):
        kind = kinds[random.choice(7, p=[0.5, 0.26, 0.06, 0.05, 0.05, 0.03, 0.05])]
        draft.areas.append((q.inset(parcel[None], np.full((1, 4), 0.4))[0], kind))
        if random.random() < 0.3:
            draft.barriers.append((parcel[:2], "hedge" if random.random() < 0.5 else "tree_row"))
        if random.random() < 0.15:
            scatter_trees(parcel, 3, random, draft, 6)
    for b in v[1:-1]:
        if random.random() < 0.6:
            draft.roads.append((q.bilinear(block[None], np.array([[0, b], [1, b]]))[0], "track", 3.0))
    if random.random() < 0.25:
        yard = q.bilinear(block[None], random.uniform(0.2, 0.7) + np.array([[0, 0], [0.2, 0], [0.2, 0.18], [0, 0.18]]))
        draft.areas.append((yard[0], "garden"))
        lot, _ = lots(yard[0], 22, 24, random)
        build(lot, random.uniform(2, 6, (len(lot), 4)), "house", random.uniform(5, 9, len(lot)), random, draft, 0.6)
        scatter_trees(yard[0], 6, random, draft, 6)
        draft.roads.append((np.stack([yard[0].mean(axis=0), quad[0]]), "track", 3.0))
