"""Whether the gate for hand-placed points ever accepts a wrong alignment, and how many good sets it accepts.

    python benchmarks/manual_points.py --json > benchmarks/results/manual_points.json

Random sets of points with a known transformation: 3 to 30 points, in a cluster, near a line, uniform or well spread, on
rasters of 2,000 to 20,000 px; normal noise of 0.5 to 3 px in each coordinate of the visible raster; none, one or two
points wrong by 10 to 1,000 px; the truth is a similarity, an affine (departures of 0.01% to 10%) or a homography
(perspective of 0.01% to 5% at the corners); and adversarial kinds. An accepted set is wrong if a corner of the map lies
over 5 px from where the truth puts it.

Well spread: uniform over the area common to both rasters, a point in every quadrant of the map, and a convex hull of at
least 40% of the map; or, stricter, one point in each cell of a grid over the map, outer cells first. "attainable" is
the share of such sets of which the corners could be promised within 5 px at the same risk if the order of the
transformation and the noise were known: no gate can accept more without more risk. "oracle" is what such knowledge
reaches: the least-squares fit of the true order, the sets of the least risk by their true covariance accepted, and
how many of these are wrong all the same.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from typing import Any

import numpy as np
from _machine import report

from raster.fit import Model
from raster.homography import FloatArray, Matrix, apply_homography, normalised, translation
from raster.manual.gate import judge_points
from raster.manual.models import MODELS, fit_points, jacobian, predict
from raster.manual.verdict import PointLimits
from raster.pixels import outline

LIMIT_PX = 5.0
NOISE_BANDS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
COUNT_BANDS = (8, 12, 16, 22, 31)
MIN_HULL = 0.4


@dataclass(frozen=True)
class Points:
    """A set with its truth. `mistakes`: how many points are wrong."""

    truth: Matrix
    model: Model
    source: FloatArray
    target: FloatArray
    map_size: tuple[int, int]
    visible_size: tuple[int, int]
    noise_px: float
    mistakes: int


Generator = np.random.Generator
Places = Callable[[Generator, tuple[int, int]], FloatArray]
"""From a random generator and a shape to places (*shape, 2) in units of the map's sides, of which those off it are
left out: for each point (first axis) the first that lies on both rasters counts."""


def uniform(generator: Generator, shape: tuple[int, int]) -> FloatArray:
    """Return places all over the map."""
    return generator.uniform(0, 1, (*shape, 2))


def cluster(generator: Generator, shape: tuple[int, int]) -> FloatArray:
    """Return places around one, within 0.3% to 16% of the map's side."""
    return generator.uniform(0.1, 0.9, 2) + generator.normal(0, 10 ** generator.uniform(-2.5, -0.8), (*shape, 2))


def line(generator: Generator, shape: tuple[int, int]) -> FloatArray:
    """Return places along a line, off it by 0.001% to 5% of the map's side."""
    angle, along = generator.uniform(0, np.pi), generator.uniform(-1, 1, (*shape, 1))
    off = generator.normal(0, 10 ** generator.uniform(-5, -1.3), (*shape, 2))
    return generator.uniform(0.2, 0.8, 2) + along * np.array([np.cos(angle), np.sin(angle)]) + off


def line_and_one(generator: Generator, shape: tuple[int, int]) -> FloatArray:
    """Return places along a line, and one point anywhere."""
    return np.concatenate([line(generator, (shape[0] - 1, shape[1])), uniform(generator, (1, shape[1]))])


def half(generator: Generator, shape: tuple[int, int]) -> FloatArray:
    """Return places in the left half."""
    return uniform(generator, shape) * [0.5, 1]


def cells(generator: Generator, shape: tuple[int, int]) -> FloatArray:
    """Return places in the cells of a square grid over the map, one a cell, outer cells first."""
    side = int(np.ceil(np.sqrt(shape[0])))
    index = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)
    outward = np.abs(index - (side - 1) / 2).sum(axis=1) + 1e-6 * generator.uniform(size=len(index))
    chosen = index[np.argsort(-outward)[: shape[0]]]
    return np.asarray((chosen[:, None] + generator.uniform(0.1, 0.9, (*shape, 2))) / side)


def is_spread(source: FloatArray, side: int) -> bool:
    """Return whether places on a map of `side` px are well spread."""
    import shapely

    quadrants = len(np.unique(source > side / 2, axis=0))
    return quadrants == 4 and shapely.MultiPoint(source).convex_hull.area >= MIN_HULL * side**2


def true_homography(
    generator: Generator, model: Model, side: int, perspective: tuple[float, float] = (-4, -1.3)
) -> tuple[Matrix, int]:
    """Draw a truth, and the side of a visible raster of about the same ground. `perspective`: decimal logarithms of the
    share of the depth that it takes from the middle to a side of the map."""
    turn = generator.uniform(-0.15, 0.15) + generator.choice([0, 0, 0, 1, 2, 3]) * np.pi / 2
    scale = np.exp(generator.uniform(-0.3, 0.3))
    matrix = np.eye(3)
    matrix[:2, :2] = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    if model != "similarity":
        matrix[:2, :2] @= np.eye(2) + 10 ** generator.uniform(-4, -1) * generator.uniform(-1, 1, (2, 2))
    if model == "homography":
        tilt = np.eye(3)
        tilt[2, :2] = 10 ** generator.uniform(*perspective) * generator.uniform(-1, 1, 2) / (side / 2)
        matrix = matrix @ tilt
    visible = round(side * scale)
    middle = visible / 2 + generator.uniform(-0.03, 0.03, 2) * visible
    return normalised(translation(*middle) @ matrix @ translation(-side / 2, -side / 2)), visible


def points_of(
    generator: Generator,
    places: Places,
    *,
    spread: bool = False,
    counts: tuple[int, int] = (3, 30),
    sides: tuple[int, int] = (2000, 20000),
    noise: tuple[float, float] = (0.5, 3.0),
    mistakes: int | None = None,
    conspiring: bool = False,
    repeats: int = 1,
    models: tuple[Model, ...] = MODELS,
    perspective: tuple[float, float] = (-4, -1.3),
) -> Points:
    """Draw a set. `repeats`: how many times it is given; `conspiring` mistakes are the same."""
    count, noise_px = int(generator.integers(counts[0], counts[1] + 1)), generator.uniform(*noise)
    while True:
        side = round(float(np.exp(generator.uniform(*np.log(sides)))))
        model: Model = models[generator.integers(len(models))]
        truth, visible = true_homography(generator, model, side, perspective)
        candidates = places(generator, (count, 30)) * side
        there = apply_homography(truth, candidates.reshape(-1, 2)).reshape(count, 30, 2)
        fits = ((candidates >= 0) & (candidates < side)).all(2) & ((there >= 10) & (there < visible - 10)).all(2)
        if not fits.any(axis=1).all():
            continue
        chosen = np.arange(count), fits.argmax(axis=1)
        source, target = candidates[chosen], there[chosen]
        if spread and not is_spread(source, side):
            continue
        target = target + generator.normal(0, noise_px, (count, 2))
        wrong = min(int(generator.integers(3)) if mistakes is None else mistakes, count)
        angle, size = generator.uniform(0, 2 * np.pi, (wrong, 1)), 10 ** generator.uniform(1, 3, (wrong, 1))
        moved = size * np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
        if wrong:
            target[generator.choice(count, wrong, replace=False)] += moved[:1] if conspiring else moved
        source, target = np.tile(source, (repeats, 1)), np.tile(target, (repeats, 1))
        return Points(truth, model, source, target, (side, side), (visible, visible), noise_px, wrong)


def mixed(generator: Generator) -> Points:
    """Draw a set of the bar: any arrangement, any number, any noise, any mistakes."""
    places, spread = [(uniform, False), (uniform, True), (cluster, False), (line, False)][generator.integers(4)]
    return points_of(generator, places, spread=spread, counts=(4 if spread else 3, 30))


KINDS: dict[str, Callable[[Generator], Points]] = {
    "mixed": mixed,
    "well spread, no mistake": partial(points_of, places=uniform, spread=True, counts=(8, 30), mistakes=0),
    "one a cell of a grid, no mistake": partial(points_of, places=cells, counts=(8, 30), mistakes=0),
    "well spread, one mistake": partial(points_of, places=uniform, spread=True, counts=(5, 30), mistakes=1),
    "two mistakes that conspire": partial(
        points_of, places=uniform, spread=True, counts=(5, 30), mistakes=2, conspiring=True
    ),
    "near a line, and one": partial(points_of, places=line_and_one, counts=(5, 30)),
    "in one half": partial(points_of, places=half, counts=(5, 30), mistakes=0),
    "one file given twice": partial(points_of, places=uniform, repeats=2),
    "one point many times": partial(points_of, places=uniform, counts=(2, 4), repeats=6),
    "strong perspective": partial(
        points_of, places=uniform, counts=(8, 30), models=("homography",), perspective=(-1.3, -0.5)
    ),
    "noise of 3 px, 8 points, 20,000 px": partial(
        points_of, places=uniform, spread=True, counts=(8, 8), sides=(20000, 20000), noise=(3, 3), mistakes=0
    ),
}


CLEAN = ("well spread, no mistake", "one a cell of a grid, no mistake")
"""The kinds of which the bar wants 95% accepted."""

ORACLE_SHARES = (0.3, 0.5, 0.8, 0.95, 1.0)


def corner_error(homography: Matrix, points: Points) -> float:
    """Return the largest distance of the map's corners from where the truth puts them."""
    corners = outline(*points.map_size)
    apart = apply_homography(homography, corners) - apply_homography(points.truth, corners)
    return float(np.linalg.norm(apart, axis=1).max())


@dataclass(frozen=True)
class Oracle:
    """What the true order and noise say of a set: how far off the fit is, and a bound of the probability that a corner
    lies over 5 px off."""

    error_px: float
    risk: float


def oracle(points: Points) -> Oracle:
    """Fit the true order to a set of points."""
    unit, middle = max(points.map_size) / 2, (np.array(points.map_size) - 1) / 2
    source, target = (points.source - middle) / unit, (points.target - middle) / unit
    fitted = fit_points(points.model, source, target, np.ones(len(source)))
    if fitted is None:
        return Oracle(float("inf"), 1.0)
    corners = (outline(*points.map_size) - middle) / unit
    images, depths = predict(fitted.matrix, corners)
    there = jacobian(points.model, corners, images, depths)
    covariance = np.einsum("mip,pq,mjq->mij", there, fitted.cofactor, there)
    variance = points.noise_px**2 * np.linalg.eigvalsh(covariance)[:, 1].max()
    apart = images * unit + middle - apply_homography(points.truth, outline(*points.map_size))
    return Oracle(float(np.linalg.norm(apart, axis=1).max()), float(np.exp(-0.5 * LIMIT_PX**2 / variance)))


def judged(kind: str, seed: int) -> dict[str, Any]:
    """Draw a set and judge it."""
    points = KINDS[kind](np.random.default_rng([seed, *kind.encode()]))
    names = [str(i) for i in range(len(points.source))]
    verdict = judge_points(points.source, points.target, names, points.map_size, points.visible_size)
    error = None if verdict.homography is None else corner_error(verdict.homography, points)
    known = oracle(points) if kind in CLEAN else None
    return {
        "accepted": verdict.accepted,
        "error_px": error,
        "predicted_px": verdict.corner_error_px,
        "points": len(points.source),
        "noise_px": points.noise_px,
        "attainable": known is not None and known.risk <= PointLimits().max_risk,
        "oracle": known,
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how many sets were accepted, how many of these wrongly, and their largest error."""
    accepted = [row for row in rows if row["accepted"]]
    errors = [row["error_px"] for row in accepted]
    return {
        "sets": len(rows),
        "accepted": len(accepted),
        "wrong": sum(error > LIMIT_PX for error in errors),
        "largest_error_px": max(errors, default=None),
    }


def oracles(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return how many sets would be wrong if order and noise were known and those of least risk were accepted."""
    known: list[Oracle] = sorted((row["oracle"] for row in rows), key=lambda one: one.risk)
    table = []
    for share in ORACLE_SHARES:
        accepted = known[: round(share * len(known))]
        wrong = sum(one.error_px > LIMIT_PX for one in accepted)
        table.append({"share": share, "accepted": len(accepted), "wrong": wrong})
    return table


def bands(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the acceptance of well-spread sets without a mistake by noise and number of points."""
    table = []
    for low, high in pairwise(NOISE_BANDS):
        for few, many in pairwise(COUNT_BANDS):
            inside = [row for row in rows if low <= row["noise_px"] < high and few <= row["points"] < many]
            if not inside:
                continue
            shares = {key: float(np.mean([row[key] for row in inside])) for key in ("accepted", "attainable")}
            fits = float(np.mean([row["error_px"] is not None and row["error_px"] <= LIMIT_PX for row in inside]))
            both = [row["accepted"] for row in inside if row["attainable"]]
            table.append(
                {"noise_px": [low, high], "points": [few, many - 1], "sets": len(inside), **shares}
                | {"accepted_of_attainable": float(np.mean(both)) if both else None, "fits_within_5px": fits}
            )
    return table


def measure(sets: int, seed: int, processes: int) -> dict[str, Any]:
    """Judge `sets` sets of the bar's mixture, a quarter as many of each kind that is to be accepted, and a fortieth of
    each other kind; tell on standard error how far it is."""
    figures: dict[str, Any] = {}
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        for kind in KINDS:
            count = sets if kind == "mixed" else max(sets // (4 if kind in CLEAN else 40), 1)
            rows = list(pool.map(partial(judged, kind), range(seed, seed + count), chunksize=50))
            figures[kind] = summary(rows)
            print(kind, figures[kind], file=sys.stderr, flush=True)
            if kind in CLEAN:
                figures[kind] |= {"bands": bands(rows), "oracle": oracles(rows)}
    return figures


def show(figures: dict[str, Any]) -> None:
    """Print the figures as two tables."""
    print(f"{'kind':36}{'sets':>8}{'accepted':>10}{'wrong':>7}{'largest error':>15}")
    for kind, row in figures.items():
        largest = "-" if row["largest_error_px"] is None else f"{row['largest_error_px']:.2f} px"
        print(f"{kind:36}{row['sets']:8}{row['accepted']:10}{row['wrong']:7}{largest:>15}")
    for kind in CLEAN:
        print(
            f"\n{kind}\n{'noise':>12}{'points':>9}{'sets':>7}{'accepted':>10}{'attainable':>12}{'fits within 5 px':>18}"
        )
        for row in figures[kind]["bands"]:
            noise, points = ("-".join(f"{value:g}" for value in row[key]) for key in ("noise_px", "points"))
            shares = f"{row['accepted']:10.0%}{row['attainable']:12.0%}{row['fits_within_5px']:18.0%}"
            print(f"{noise:>12}{points:>9}{row['sets']:7}{shares}")
        for row in figures[kind]["oracle"]:
            print(f"order and noise known, {row['share']:.0%} accepted: {row['wrong']} of {row['accepted']} wrong")


def main() -> None:
    """Judge, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    figures = measure(arguments.sets, arguments.seed, arguments.processes)
    if arguments.json:
        limits = PointLimits().model_dump()
        report(
            "manual_points", {"sets": arguments.sets, "seed": arguments.seed, "limits": limits}, figures, as_json=True
        )
    else:
        show(figures)


if __name__ == "__main__":
    main()
