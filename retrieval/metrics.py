"""Metrics of retrieval and of geolocation, each query by itself.

Average precision is that of Philbin et al. (CVPR 2007), as the MMLandmarks evaluation computes it: the area under the
precision-recall curve by trapezoids, divided by all right answers, cut at 1,000.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from retrieval.errors import RetrievalError
from retrieval.search import Hits, Ids

Values = npt.NDArray[np.float64]

Protocol = Literal["official", "whole-gallery"]
"""`official`: distractors are removed from the ordered list before recall and precision are taken, as the published
code does; only the median rank counts them. `whole-gallery`: every item counts. Never compare figures of one with the
other: the first ignores exactly those items that make the task hard."""

PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
RECALLS = (1, 5, 10)
EARTH_RADIUS_KM = 6371.0
DISTANCES_KM = (1.0, 25.0, 200.0, 750.0, 2500.0)


@dataclass(frozen=True, eq=False)
class QueryScores:
    """What each query scores, (Q,) each.

    Attributes:
        recall: For each of `RECALLS` 1.0 where a right answer is among the first so many, else 0.0.
        average_precision: 0 to 1.
        reciprocal_rank: 1 / (1 + rank of the first right answer); 0 beyond the cutoff of the search.
        first_rank: Rank of the first right answer in the whole gallery, under both protocols, from 0.
    """

    recall: dict[int, Values]
    average_precision: Values
    reciprocal_rank: Values
    first_rank: Values


def checked_protocol(name: str) -> Protocol:
    """Return the protocol of that name.

    Raises:
        RetrievalError: There is none.
    """
    for known in PROTOCOLS:
        if known == name:
            return known
    raise RetrievalError(f"no protocol {name!r}; there are: {', '.join(PROTOCOLS)}")


def score_queries(hits: Sequence[Hits], protocol: Protocol) -> QueryScores:
    """Score every query under a protocol.

    Args:
        hits: What `search` found, a query each.
        protocol: See `Protocol`.

    Raises:
        RetrievalError: The protocol is unknown, or a query has no right answer in the gallery.
    """
    checked_protocol(protocol)
    without = [number for number, each in enumerate(hits) if not each.positives]
    if without:
        raise RetrievalError(f"query {without[0]} and {len(without) - 1} more have no right answer in the gallery")
    ranks = [each.undistracted if protocol == "official" else each.ranks for each in hits]
    first = np.array([each[0] if len(each) else np.inf for each in ranks])
    return QueryScores(
        recall={k: (first < k).astype(np.float64) for k in RECALLS},
        average_precision=np.array([average_precision(r, h.positives) for r, h in zip(ranks, hits, strict=True)]),
        reciprocal_rank=1 / (1 + first),
        first_rank=np.array([each.first_rank for each in hits], np.float64),
    )


def average_precision(ranks: Ids, positives: int) -> float:
    """Return the trapezoidal average precision of one query.

    Args:
        ranks: (M,) ascending ranks of the right answers found, from 0.
        positives: How many right answers there are, found or not.

    Returns:
        The mean over all right answers of (i / r + (i + 1) / (r + 1)) / 2 for the i-th at rank r, both from 0, where
        i / r is 1 at r = 0.
    """
    found = np.arange(len(ranks), dtype=np.float64)
    before = np.divide(found, ranks, out=np.ones(len(ranks)), where=np.asarray(ranks) > 0)
    return float(((before + (found + 1) / (np.asarray(ranks) + 1)) / 2).sum() / positives)


def great_circle_km(first: npt.ArrayLike, second: npt.ArrayLike) -> Values:
    """Return the great-circle distances between places, by the haversine formula on a sphere of 6,371 km.

    Args:
        first: (..., 2) longitude and latitude in degrees.
        second: The same.

    Returns:
        (...) kilometres.
    """
    lon0, lat0 = np.moveaxis(np.radians(np.asarray(first, np.float64)), -1, 0)
    lon1, lat1 = np.moveaxis(np.radians(np.asarray(second, np.float64)), -1, 0)
    half = np.sin((lat1 - lat0) / 2) ** 2 + np.cos(lat0) * np.cos(lat1) * np.sin((lon1 - lon0) / 2) ** 2
    return np.asarray(2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.clip(half, 0, 1))))
