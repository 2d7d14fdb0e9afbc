"""A pair as PyTorch gets it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import torch


class Pair(TypedDict):
    """One item. The images lie on each other, so `homography` is the identity; `raster_homography` is the one that laid
    the whole map raster on the whole visible raster. `residual_px` is NaN and `inliers` -1 where unknown."""

    map: torch.Tensor  # (3, size, size), float32 in [0, 1] or uint8, RGB
    visible: torch.Tensor
    homography: torch.Tensor  # (3, 3) float64, map -> visible, pixels of these two images
    raster_homography: torch.Tensor  # (3, 3) float64
    residual_px: float
    inliers: int
    pair_id: str
    point_id: str
    split: str


def make_pair(row: Mapping[str, Any], images: Mapping[str, torch.Tensor]) -> Pair:
    """Return a pair of a row of the manifest and its two images.

    Args:
        row: Of the manifest. A residual or number of inliers that is not known becomes NaN or -1.
        images: "map" and "visible", (3, H, W), as they are to be returned.

    Returns:
        The pair; its `homography` is the identity, because both tiles are cut on one grid.
    """
    return Pair(
        map=images["map"],
        visible=images["visible"],
        homography=torch.eye(3, dtype=torch.float64),
        raster_homography=torch.tensor(row["homography"], dtype=torch.float64).reshape(3, 3),
        residual_px=float("nan") if row["residual_px"] is None else row["residual_px"],
        inliers=-1 if row["inliers"] is None else row["inliers"],
        pair_id=row["pair_id"],
        point_id=row["point_id"],
        split=row["split"],
    )
