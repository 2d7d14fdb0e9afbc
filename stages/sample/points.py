"""Choosing sampling points: quotas by stratum and continent, with a least distance between any two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.errors import PermanentError
from stages.sample.earth_data import chord, unit_vectors
from stages.sample.strata import CONTINENTS, Candidates, Stratum

Quotas = dict[tuple[str, str], int]
ABSENT = {(Stratum.DESERT.value, "EU")}
"""Strata a continent does not have: Europe's desert climate is a few cells by the Caspian."""


def share_out(count: int, weights: Mapping[str, float], least: int = 0) -> dict[str, int]:
    """Divide a count among keys in proportion to their weights, by largest remainders.

    A key of weight 0 gets nothing. Raises `PermanentError` if `count` cannot give everyone the least.

    Args:
        count: What is divided.
        weights: Weight by key; a key of weight 0 gets nothing.
        least: Least share of every other key.

    Returns:
        Share by key.

    Raises:
        PermanentError: The count cannot give everyone the least.
    """
    keys = [key for key, weight in weights.items() if weight > 0]
    if count < least * len(keys):
        raise PermanentError(f"{count} cannot be shared among {len(keys)} with at least {least} each; ask for more")
    free = count - least * len(keys)
    total = sum(weights[key] for key in keys)
    exact = {key: free * weights[key] / total for key in keys}
    result = {key: least + int(exact[key]) for key in keys}
    by_remainder = sorted(keys, key=lambda key: (-round(exact[key] - int(exact[key]), 9), keys.index(key)))
    for key in by_remainder[: count - sum(result.values())]:
        result[key] += 1
    return result


def quotas(count: int, strata: Mapping[str, float], continents: Mapping[str, float]) -> Quotas:
    """Share `count` points among strata, and each stratum's among its continents, at least one each if they suffice.

    Args:
        count: Number of points.
        strata: Weight by stratum.
        continents: Weight by continent.

    Returns:
        Number of points by stratum and continent.

    Raises:
        PermanentError: There are too few points.
    """
    result: Quotas = {}
    for stratum, of_stratum in share_out(count, strata).items():
        present = {key: weight for key, weight in continents.items() if (stratum, key) not in ABSENT}
        least = 1 if of_stratum >= sum(weight > 0 for weight in present.values()) else 0
        for continent, of_cell in share_out(of_stratum, present, least).items():
            if of_cell:
                result[stratum, continent] = of_cell
    return result


def choose_points(candidates: Candidates, wanted: Quotas, spacing_km: float) -> Candidates:
    """Return candidates that meet every quota with at least `spacing_km` between any two, the scarcest cells first.

    Greedy in the candidates' own order, so the result depends on that order alone. Points come back sorted from north
    to south and west to east. Raises `PermanentError` naming the quotas that cannot be met.

    Args:
        candidates: Positions in random order.
        wanted: Number of points by stratum and continent.
        spacing_km: Least distance between two points in km.

    Returns:
        The chosen points, from north to south and west to east.

    Raises:
        PermanentError: A quota cannot be met.
    """
    vectors = unit_vectors(candidates.lon, candidates.lat)
    least = chord(spacing_km)
    members = {
        cell: np.flatnonzero((candidates.stratum == cell[0]) & (candidates.continent == cell[1])) for cell in wanted
    }
    chosen: list[int] = []
    short: list[str] = []
    for cell in sorted(wanted, key=lambda cell: (len(members[cell]) / wanted[cell], cell)):
        found = 0
        for index in members[cell]:
            if found == wanted[cell]:
                break
            if not chosen or np.min(np.linalg.norm(vectors[chosen] - vectors[index], axis=1)) >= least:
                chosen.append(int(index))
                found += 1
        if found < wanted[cell]:
            short.append(f"{cell[0]} in {cell[1]}: {found} of {wanted[cell]} (of {len(members[cell])} candidates)")
    if short:
        raise PermanentError(
            f"sampling quotas cannot be met: {'; '.join(short)}. Lower spacing_km (now {spacing_km:g}) or the quotas"
        )
    order = sorted(chosen, key=lambda i: (-candidates.lat[i], candidates.lon[i]))
    return candidates.take(np.array(order, np.int64))


def default_strata() -> dict[str, float]:
    """Our choice: settled ground, where maps have most to show, gets a little over half."""
    weights: Sequence[float] = (18, 15, 15, 14, 10, 7, 10, 11)
    return dict(zip([stratum.value for stratum in Stratum], map(float, weights), strict=True))


def default_continents() -> dict[str, float]:
    """Our choice: between land area and population."""
    return dict(zip(CONTINENTS, (18.0, 28.0, 20.0, 16.0, 7.0, 11.0), strict=True))
