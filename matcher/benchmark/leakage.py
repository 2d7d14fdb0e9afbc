"""Keeping training data out of reports: pairs are refused whose images or ground a matcher was trained on.

A training writes beside its weights `<weights>.training.json`: `digests`, BLAKE3 of every image file it read, and
`footprints`, WKT polygons in WGS84 of the ground it saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import shapely

from matcher.benchmark.pairs import PairSource
from matcher.errors import InputError
from matcher.registry import weights_files
from raster.strict_json import read_json

SUFFIX = ".training.json"


@dataclass(frozen=True)
class TrainingRecord:
    """What a matcher was trained on: digests of files, and ground in WGS84."""

    digests: frozenset[str]
    ground: shapely.STRtree

    def knows(self, pair: PairSource) -> str:
        """Return why the pair must not be used, "" if it may."""
        if self.digests & set(pair.digests()):
            return "an image of it was used in training"
        if pair.footprint is not None and len(self.ground.geometries):
            footprint = shapely.from_wkb(pair.footprint)
            if self.ground.query(footprint, predicate="intersects").size:
                return "its ground was used in training"
        return ""


def read_record(path: Path) -> TrainingRecord:
    """Read a training's record.

    Args:
        path: JSON file beside the weights, with their name and `SUFFIX`.

    Raises:
        InputError: It cannot be read or understood.
    """
    try:
        value = read_json(path)
        return TrainingRecord(frozenset(value["digests"]), shapely.STRtree(shapely.from_wkt(value["footprints"])))
    except (OSError, ValueError, KeyError, TypeError, shapely.GEOSException) as error:
        raise InputError(f"{path}: not a record of training ({error}); write it again with the training") from error


def records_of(matcher: str) -> list[TrainingRecord]:
    """Return the records of a matcher by name; none if it was not trained here."""
    names = [(path.with_suffix(SUFFIX), path.with_name(path.name + SUFFIX)) for path in weights_files(matcher)]
    return [read_record(path) for candidates in names for path in candidates if path.is_file()]


def refuse_trained(matcher: str, pairs: Sequence[PairSource]) -> None:
    """Refuse pairs that a matcher was trained on.

    Args:
        matcher: Name of the matcher.
        pairs: The pairs.

    Raises:
        InputError: There is such a pair; the message names one and the reason.
    """
    records = records_of(matcher)
    reasons = ((pair, next(filter(None, (record.knows(pair) for record in records)), "")) for pair in pairs)
    known = [f"{pair.name} ({reason})" for pair, reason in reasons if reason]
    if known:
        raise InputError(
            f"{matcher} was trained on {len(known)} of these {len(pairs)} pairs, such as {known[0]}: "
            "figures on them would be meaningless. Choose the test split, or a set that training did not read"
        )
