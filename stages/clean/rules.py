"""The rules that judge a pair by itself. Each takes the table of pairs and says which rows are unfit, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Share = float


class Thresholds(BaseModel):
    """Limits of the rules; shares are 0 to 1. See `stages.tables.PAIRS` for how each figure is measured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    map_nodata: Share = Field(default=0.02, ge=0, le=1, description="Greatest share of the map without data.")
    visible_nodata: Share = Field(default=0.02, ge=0, le=1, description="Greatest share of the image without data.")
    map_edges: Share = Field(default=0.01, ge=0, le=1, description="Least share of edges: fewer is featureless.")
    map_dominant: Share = Field(default=0.97, ge=0, le=1, description="Greatest share of one colour: more is blank.")
    visible_std: float = Field(default=4.0, ge=0, description="Least standard deviation of grey levels, 0 to 255.")
    visible_dominant: Share = Field(
        default=0.15,
        ge=0,
        le=1,
        description="Greatest share of one exact colour: above, filling stands in for imagery.",
    )
    visible_bright: Share = Field(
        default=0.7, ge=0, le=1, description="Greatest share of bright colourless pixels: above, it is cloud or snow."
    )


Rule = Callable[[pa.Table, Any], Mapping[int, str]]
"""Takes the table of pairs and the thresholds of its stage; returns the unfit rows, with a sentence each."""


def map_without_data(pairs: pa.Table, limits: Thresholds) -> Mapping[int, str]:
    """Reject maps of which too much is missing.

    Args:
        pairs: Table of `stages.tables.PAIRS`.
        limits: The stage's thresholds; `map_nodata` counts.

    Returns:
        Row -> the share or figure that was measured, and its limit.
    """
    return _above(_column(pairs, "map_nodata"), limits.map_nodata, "of the map has no data")


def visible_without_data(pairs: pa.Table, limits: Thresholds) -> Mapping[int, str]:
    """Reject images of which too much is missing.

    Args:
        pairs: Table of `stages.tables.PAIRS`.
        limits: The stage's thresholds; `visible_nodata` counts.

    Returns:
        Row -> the share or figure that was measured, and its limit.
    """
    return _above(_column(pairs, "visible_nodata"), limits.visible_nodata, "of the image has no data")


def blank_map(pairs: pa.Table, limits: Thresholds) -> Mapping[int, str]:
    """Reject maps that are one colour.

    Args:
        pairs: Table of `stages.tables.PAIRS`.
        limits: The stage's thresholds; `map_dominant` counts.

    Returns:
        Row -> the share or figure that was measured, and its limit.
    """
    return _above(_column(pairs, "map_dominant"), limits.map_dominant, "of the map is one colour")


def featureless_map(pairs: pa.Table, limits: Thresholds) -> Mapping[int, str]:
    """Reject maps without lines or borders.

    Args:
        pairs: Table of `stages.tables.PAIRS`.
        limits: The stage's thresholds; `map_edges` counts.

    Returns:
        Row -> the share or figure that was measured, and its limit.
    """
    edges = _column(pairs, "map_edges")
    unfit = np.flatnonzero(edges < limits.map_edges)
    return {int(i): f"{edges[i]:.2%} of the map is edges, less than {limits.map_edges:.2%}" for i in unfit}


def uniform_visible(pairs: pa.Table, limits: Thresholds) -> Mapping[int, str]:
    """Reject images with next to no contrast.

    Args:
        pairs: Table of `stages.tables.PAIRS`.
        limits: The stage's thresholds; `visible_std` counts, grey levels of 0 to 255.

    Returns:
        Row -> the share or figure that was measured, and its limit.
    """
    std = _column(pairs, "visible_std")
    unfit = np.flatnonzero(std < limits.visible_std)
    return {int(i): f"spread of the image is {std[i]:.1f} grey levels, less than {limits.visible_std:g}" for i in unfit}


def filled_visible(pairs: pa.Table, limits: Thresholds) -> Mapping[int, str]:
    """Reject images with borders or frames in the colour that a service fills with, whichever that is.

    Args:
        pairs: Table of `stages.tables.PAIRS`.
        limits: The stage's thresholds; `visible_dominant` counts.

    Returns:
        Row -> the share or figure that was measured, and its limit.
    """
    return _above(_column(pairs, "visible_dominant"), limits.visible_dominant, "of the image is one exact colour")


def clouded_visible(pairs: pa.Table, limits: Thresholds) -> Mapping[int, str]:
    """Reject images that are mostly bright and colourless: cloud, or snow that hides the ground as well.

    Args:
        pairs: Table of `stages.tables.PAIRS`.
        limits: The stage's thresholds; `visible_bright` counts.

    Returns:
        Row -> the share or figure that was measured, and its limit.
    """
    return _above(_column(pairs, "visible_bright"), limits.visible_bright, "of the image is bright and colourless")


RULES: Mapping[str, Rule] = {
    "map without data": map_without_data,
    "visible without data": visible_without_data,
    "blank map": blank_map,
    "featureless map": featureless_map,
    "uniform visible": uniform_visible,
    "filled visible": filled_visible,
    "clouded visible": clouded_visible,
}
"""All rules by the name that reasons start with."""


def _column(pairs: pa.Table, name: str) -> NDArray[np.float64]:
    return np.asarray(pairs[name].to_numpy(), np.float64)


def _above(values: NDArray[np.float64], limit: float, text: str) -> Mapping[int, str]:
    return {int(i): f"{values[i]:.1%} {text}, more than {limit:.1%}" for i in np.flatnonzero(values > limit)}
