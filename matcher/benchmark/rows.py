"""The rows of a benchmark: one a matcher, level and pair; failures are rows like any other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal

import pyarrow as pa

from matcher.benchmark.metrics import SRIF_FAILED_PX, PairScore

Outcome = Literal["matched", "no model", "error", "crash", "timeout"]
"""`no model`: matches that carry no homography, or none at all. The last three are the matcher's failures to run."""

FAILURES = ("error", "crash", "timeout")

_FLOATS = [
    "corner_error_px",
    "corner_error_ransac_px",
    "accuracy_1px",
    "accuracy_3px",
    "accuracy_5px",
    "rmse_px",
    "inlier_ratio",
    "load_s",  # reading both images
    "warp_s",  # moving image 1 to the level
    "match_s",  # the matcher's own time
    "fit_s",  # the robust fit
    "fit_ransac_s",  # the other one, with its score
    "wall_s",  # all of it, as seen from the harness
]

ROWS = pa.schema(
    [
        pa.field("matcher", pa.string(), nullable=False),
        pa.field("level", pa.string(), nullable=False),
        pa.field("pair", pa.string(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        *(pa.field(name, pa.float64(), nullable=False) for name in _FLOATS),
        pa.field("matches", pa.int64(), nullable=False),
        pa.field("correct", pa.int64(), nullable=False),
        pa.field("estimate", pa.list_(pa.float64(), 9)),  # row-major homography by MAGSAC, null without one
        pa.field("truth", pa.list_(pa.float64(), 9)),  # the true one; null where the process did not come back
        pa.field("width", pa.int32(), nullable=False),  # of image 0, pixels; 0 where `truth` is null
        pa.field("height", pa.int32(), nullable=False),
        pa.field("name", pa.string(), nullable=False),  # what the matcher calls itself, "" if unknown
    ]
)
"""`corner_error_px`: infinite for a failure; by MAGSAC++ as in the paper's demo, `_ransac_` by plain RANSAC."""

FAILED = PairScore(float("inf"), 0, 0, 0.0, 0.0, 0.0, SRIF_FAILED_PX, 0.0)
"""What a matcher scores that did not run to its end."""


def make_row(
    identity: Mapping[str, str], outcome: Outcome, reason: str, score: PairScore, **more: Any
) -> dict[str, Any]:
    """Return a row of ROWS.

    Args:
        identity: `matcher`, `level` and `pair`.
        outcome: How the match ended.
        reason: Why there is no model, or why the matcher failed. What no encoding holds, such as a lone surrogate, is
            escaped: a matcher may say anything.
        score: The metrics.
        **more: Columns that differ from those of a failure.
    """
    reason = reason.encode(errors="backslashreplace").decode()
    unknown: dict[str, Any] = {"corner_error_ransac_px": float("inf"), "estimate": None, "truth": None}
    unknown |= {"width": 0, "height": 0, "name": ""}
    times = dict.fromkeys(("load_s", "warp_s", "match_s", "fit_s", "fit_ransac_s", "wall_s"), 0.0)
    return {**identity, "outcome": outcome, "reason": reason, **asdict(score), **unknown, **times, **more}
