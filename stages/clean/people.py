"""What people say of pairs of tiles, matched with the rows of the table that it is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from stages.review.verdicts import TileVerdict


@dataclass(frozen=True)
class SaidOfPair:
    """`review` is a person's verdict on this very pair, `keep` or `reject`, and `operator` whose it is, None without
    one; `reasons` are those that people give against it, of its own or of its whole site."""

    review: str | None = None
    operator: str | None = None
    reasons: tuple[str, ...] = ()


def said_of_pairs(
    pairs: pa.Table, verdicts: Sequence[TileVerdict], rejected: Mapping[str, str]
) -> tuple[dict[int, SaidOfPair], int]:
    """Return what people say of the rows of a table of pairs.

    Args:
        pairs: A table of `stages.tables.PAIRS`.
        verdicts: On pairs; one lapses where either tile is not the one that was judged.
        rejected: Sites that a person rejects, with the sentence that says so.

    Returns:
        What is said by row, and how many verdicts have lapsed.
    """
    by_pair = {verdict.pair_id: verdict for verdict in verdicts}
    columns = ("pair_id", "point_id", "site_id", "map_digest", "visible_digest")
    said, lapsed = {}, len(by_pair)
    for row, (pair_id, point, site, *digests) in enumerate(
        zip(*(pairs[name].to_pylist() for name in columns), strict=True)
    ):
        verdict, reasons = by_pair.get(pair_id), []
        if verdict is not None and [verdict.map_digest, verdict.visible_digest] != digests:
            verdict = None
        lapsed -= verdict is not None
        if verdict is not None and verdict.verdict == "reject":
            reasons.append(f"rejected by {verdict.operator}: {verdict.reason}")
        if f"{point}/{site}" in rejected:
            reasons.append(rejected[f"{point}/{site}"])
        if verdict is not None:
            said[row] = SaidOfPair(verdict.verdict, verdict.operator, tuple(reasons))
        elif reasons:
            said[row] = SaidOfPair(reasons=tuple(reasons))
    return said, lapsed
