"""Values of any range as 8 bits: one linear stretch for all bands, so that hues stay."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

PERCENTILES = (0.5, 99.5)
"""Of the values: what becomes 0 and 255. Sensors fill an unknown part of their range, and a few pixels all of it."""


def value_range(values: NDArray[Any]) -> tuple[float, float]:
    """Return the values that become 0 and 255.

    Args:
        values: Of any shape and real type, data only. Values that are not finite do not count.

    Returns:
        The percentiles `PERCENTILES`. Where they are equal, integers keep their place in the range of their type,
        floating-point values theirs in [0, 1]; outside of it they become grey.
    """
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values.ravel()
    low, high = (float(value) for value in np.percentile(finite, PERCENTILES)) if finite.size else (0.0, 0.0)
    if low < high:
        return low, high
    if values.dtype.kind in "iu":
        return float(np.iinfo(values.dtype).min), float(np.iinfo(values.dtype).max)
    return (0.0, 1.0) if 0 <= low <= 1 else (low - 1, low + 1)


def stretched(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Map `low` to 0 and `high` to 255, linearly; what lies beyond is cut off, and what is no number becomes 0.

    Args:
        values: Samples of any numeric type and shape.
        low: Value that becomes 0; below `high`.
        high: Value that becomes 255.

    Returns:
        uint8 in the shape of `values`, rounded to the nearest.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = (values.astype(np.result_type(values.dtype, np.float32)) - low) * (255 / (high - low))
    return np.asarray(np.rint(np.nan_to_num(np.clip(scaled, 0, 255))), np.uint8)
