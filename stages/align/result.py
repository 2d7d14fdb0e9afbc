"""What an alignment says: the homography of a raster pair, those of its patches, and whether to trust them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Transform(NamedTuple):
    """A homography (3x3, map -> visible, full-resolution pixels), the root mean square residual (visible px) and the
    number of its inliers: the tie points that pass their own tests and that it explains within the tolerance."""

    homography: NDArray[np.float64]
    residual_px: float | None = None
    inliers: int | None = None


class Patch(NamedTuple):
    """A transform that holds within `bounds` (x0, y0, x1, y1 in visible px; x0 <= x < x1)."""

    bounds: tuple[float, float, float, float]
    transform: Transform


class Region(NamedTuple):
    """A cell of a lattice over the visible raster, with its own verdict.

    `bounds` as of a patch; `reason`: why it is refused, empty if `accepted`; `predicted_px`: bound that the error of
    95% of places shall not exceed, visible px, None where nothing was measured; `inliers`: reliable tie points in and
    around it that agree; `agreement`: share of all tie points there that agree, weighed by their peak margins;
    `residual_px`: root mean square residual of these inliers, visible px; `method`: who speaks for it: windows of the
    `ground` alone, of the `whole map`, or `manual` points, which bring a `homography` of their own (9 numbers,
    row-major, map -> visible).
    """

    bounds: tuple[float, float, float, float]
    accepted: bool
    reason: str
    predicted_px: float | None
    inliers: int
    agreement: float
    residual_px: float | None = None
    method: str = ""
    homography: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Alignment:
    """The content of `alignment.json`. None stands for what the method does not measure.

    `overlap`: share of the visible raster that lies within the map raster. `inlier_cells`: share of the cells of an
    8 x 8 lattice over the visible raster that hold an inlier. `agreement`: share of all tie points, reliable or not,
    that the homography explains within the tolerance, weighed by their peak margins. Without `regions` the verdict is
    of the whole raster.
    """

    transform: Transform
    method: str
    verdict: Literal["accepted", "needs-manual"] = "accepted"
    reason: str = ""
    overlap: float | None = None
    inlier_cells: float | None = None
    agreement: float | None = None
    patches: Sequence[Patch] = ()
    regions: Sequence[Region] = ()

    def at(self, x: float, y: float) -> Transform:
        """Return the transform that holds at a visible pixel: that of its region where manual points carry it, that of
        its patch, else that of the whole pair.

        Args:
            x: Column, full-resolution visible pixels; 0 is the centre of the left column.
            y: Row; 0 is the centre of the top row.
        """
        region = self.region_at(x, y)
        if region is not None and region.homography is not None:
            return Transform(np.reshape(region.homography, (3, 3)), region.residual_px, region.inliers)
        for patch in self.patches:
            x0, y0, x1, y1 = patch.bounds
            if x0 <= x < x1 and y0 <= y < y1:
                return patch.transform
        return self.transform

    def region_at(self, x: float, y: float) -> Region | None:
        """Return the region that holds a visible pixel, or None.

        Args:
            x: Column, full-resolution visible pixels; 0 is the centre of the left column.
            y: Row; 0 is the centre of the top row.

        Returns:
            None outside all regions, and everywhere where the verdict is of the whole raster.
        """
        for region in self.regions:
            x0, y0, x1, y1 = region.bounds
            if x0 <= x < x1 and y0 <= y < y1:
                return region
        return None

    def accepts(self, points: NDArray[np.float64]) -> bool:
        """Return whether all of these visible pixels (N, 2) lie in accepted regions; True without regions.

        What reaches into a region that manual points carry must have its centre in one.
        """
        if not self.regions:
            return True
        held = [self.region_at(*point) for point in points.tolist()]
        if not all(region is not None and region.accepted for region in held):
            return False
        own = self.region_at(*points.mean(axis=0).tolist())
        # A transform of manual points is known to hold around its region; the whole one is not known to hold within.
        return (own is not None and own.homography is not None) or all(
            region is None or region.homography is None for region in held
        )

    def predicted_px(self, points: NDArray[np.float64]) -> float | None:
        """Return the largest bound predicted for the regions that hold these visible pixels (N, 2), None if unknown."""
        held = [region for point in points.tolist() if (region := self.region_at(*point)) is not None]
        return max((region.predicted_px for region in held if region.predicted_px is not None), default=None)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON-able content of `alignment.json`."""
        return {
            **_transform_json(self.transform),
            "method": self.method,
            "verdict": self.verdict,
            "reason": self.reason,
            "overlap": self.overlap,
            "inlier_cells": self.inlier_cells,
            "agreement": self.agreement,
            "patches": [{"bounds": list(patch.bounds), **_transform_json(patch.transform)} for patch in self.patches],
            "regions": [region._asdict() for region in self.regions],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Alignment:
        """Read what `to_json` wrote."""
        return cls(
            transform=_transform(value),
            method=value["method"],
            verdict=value["verdict"],
            reason=value["reason"],
            overlap=value["overlap"],
            inlier_cells=value["inlier_cells"],
            agreement=value["agreement"],
            patches=[Patch(tuple(patch["bounds"]), _transform(patch)) for patch in value["patches"]],
            regions=[_region(region) for region in value["regions"]],
        )


def _region(value: Mapping[str, Any]) -> Region:
    own = value["homography"]
    return Region(**{**value, "bounds": tuple(value["bounds"]), "homography": None if own is None else tuple(own)})


def _transform_json(transform: Transform) -> dict[str, Any]:
    return {
        "homography": transform.homography.tolist(),
        "residual_px": transform.residual_px,
        "inliers": transform.inliers,
    }


def _transform(value: Mapping[str, Any]) -> Transform:
    return Transform(np.array(value["homography"], np.float64), value["residual_px"], value["inliers"])
