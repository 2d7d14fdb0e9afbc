"""What hand-placed tie points must fulfil to carry an alignment by themselves, and what is said of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from raster.fit import Model
from raster.homography import FloatArray, Matrix


class PointLimits(BaseModel):
    """What hand-placed points must fulfil to carry an alignment by themselves."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_corner_error_px: float = Field(
        default=5.0,
        gt=0,
        description="Visible px that a corner of the map may be off: as predicted from the points' residuals, their "
        "leverage and the transformations that they leave open, and without any one of the points.",
    )
    max_risk: float = Field(
        default=0.0005,
        gt=0,
        lt=1,
        description="Bound of the probability with which the worst corner may exceed `max_corner_error_px`; what it "
        "bounds is about a third of it.",
    )
    max_residual_px: float = Field(
        default=12.0,
        gt=0,
        description="Visible px that a hand may be off; a point further from the rest contradicts them.",
    )
    min_noise_px: float = Field(
        default=0.5,
        gt=0,
        description="Least standard deviation of a hand-placed coordinate, however small the residuals are.",
    )
    max_noise_px: float = Field(
        default=4.0, gt=0, description="Greatest standard deviation of a hand-placed coordinate."
    )
    max_window_distance_px: float = Field(
        default=10.0,
        gt=0,
        description="Working pixels that a point may lie from what accepted windows say; one further off contradicts.",
    )
    significance: float = Field(
        default=0.001,
        gt=0,
        lt=1,
        description="Probability with which, among points without a mistake, one is said to contradict the others.",
    )
    spare_points: int = Field(
        default=3,
        ge=1,
        description="Points needed beyond those that determine the transformation: 5 for a similarity, 6 for an "
        "affine, 7 for a homography.",
    )
    max_unnoticed_px: float = Field(
        default=10.0,
        gt=0,
        description="Visible px that a mistake of any one point may move a corner of the map before it is noticed.",
    )
    near_share: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="Points nearer to each other than this share of the map's diagonal count as one point together.",
    )
    place_share: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Points nearer to each other than this share of the map's diagonal may have one mistake in common.",
    )
    min_spread: float = Field(
        default=0.15,
        ge=0,
        le=1,
        description="Share of the area common to both rasters that the hull of the points must cover.",
    )
    min_overlap: float = Field(
        default=0.1, ge=0, le=1, description="Share of the smaller raster that the other must cover under the result."
    )


@dataclass(frozen=True)
class PointCheck:
    """One test of the points: what it measured, what it demands, whether it passed, and a sentence for when not."""

    name: str
    value: float
    limit: float
    passed: bool
    text: str


@dataclass(frozen=True)
class Place:
    """Where a further point would help most: pixels of the map, and of the visible raster where a fit says them."""

    map_xy: tuple[float, float]
    visible_xy: tuple[float, float] | None

    def __str__(self) -> str:
        text = f"map pixel ({self.map_xy[0]:.0f}, {self.map_xy[1]:.0f})"
        if self.visible_xy is None:
            return text
        return f"{text}, visible pixel ({self.visible_xy[0]:.0f}, {self.visible_xy[1]:.0f})"


@dataclass(frozen=True, eq=False)
class PointVerdict:
    """What hand-placed points say.

    `homography` (3x3, map -> visible, None without a majority of agreeing points) is a `model`; `agreeing` (N,) are the
    points that it was fitted to, `residuals` (N,) visible px (NaN for points that could not be used), `leverages` (N,)
    of the agreeing points (NaN for others). `corner_error_px`: error that the worst corner exceeds with at most the
    allowed risk; `risk`: bound of the probability that it exceeds the limit. `checks` in the order of their importance.
    """

    homography: Matrix | None
    model: Model | None
    agreeing: NDArray[np.bool_]
    residuals: FloatArray
    leverages: FloatArray
    corner_error_px: float
    risk: float
    contradictions: tuple[str, ...]
    checks: tuple[PointCheck, ...] = ()
    place: Place | None = None

    @property
    def accepted(self) -> bool:
        """Whether the points may carry an alignment by themselves."""
        return self.homography is not None and all(check.passed for check in self.checks)

    @property
    def reason(self) -> str:
        """Return what failed and where a further point would help most; nothing where all tests passed."""
        if self.accepted:
            return ""
        place = f"a further point would help most near {self.place}" if self.place else ""
        return "; ".join(filter(None, [*(check.text for check in self.checks if not check.passed), place]))
