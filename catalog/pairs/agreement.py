"""What the card says of people who marked tie points: how far they are from the alignment and from each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from catalog.pairs.model import RasterPair
from catalog.text import escaped


def operator_agreement(pairs: Iterable[RasterPair]) -> Mapping[str, str]:
    """Return the section of the card, none where nobody marked tie points.

    Args:
        pairs: The raster pairs of the release.

    Returns:
        The heading and its Markdown.
    """
    errors: dict[str, list[float]] = {}
    between = []
    for pair in pairs:
        for name, error in zip(pair.operators, pair.operator_px, strict=True):
            errors.setdefault(name, []).append(error)
        if pair.inter_operator_px is not None:
            between.append(pair.inter_operator_px)
    if not errors:
        return {}
    lines = ["| operator | raster pairs | distance of their points from the alignment, px |", "|---|---:|---:|"]
    lines += [f"| {escaped(name)} | {len(own)} | {_rms(own):.2f} |" for name, own in sorted(errors.items())]
    text = "Root mean squares, pixels of the visible rasters.\n\n" + "\n".join(lines)
    if between:
        text += (
            f"\n\nBetween operators who marked the same raster pair ({len(between)} of them), the transformations that "
            f"their points imply lie {_rms(between):.2f} px apart."
        )
    return {"Operators": text}


def _rms(values: list[float]) -> float:
    return math.sqrt(sum(value**2 for value in values) / len(values))
