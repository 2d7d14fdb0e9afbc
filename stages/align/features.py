"""What windows are compared by: harmonics of gradients, or learned feature maps, of all of the map or the ground alone.

Roofs are displaced away from the camera, all to one side and by their own heights (building lean), and shift whatever
is fitted to all of the map. Roads, water and fields lie on the ground. For the ground, the map is therefore described
without its buildings, symbols and letters (`stages.align.buildings`), and both sides by MapGlue's feature map network
(`matcher.dense.feature_map`), which has learned to give roofs, facades and shadows little weight: windows of harmonics
follow them (measured by `benchmarks/aligning_displaced.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import torch
from torch import Tensor

from matcher.dense.feature_map import STRIDE, FeatureMapNetwork
from matcher.dense.masked_image import MaskedImage
from matcher.folding import folded
from matcher.mapglue.weights import load_feature_map
from raster.image import Image, Mask
from stages.align.buildings import find_buildings

Side: TypeAlias = tuple[Image, Mask]
"""Pixels (H, W, 3) and mask (H, W) of a map or of an image."""


@dataclass(frozen=True, eq=False)
class Features:
    """How the two sides of a block are described.

    `describe` takes the map and the image, both (H, W), to feature maps (C, H // stride, W // stride). `exclusion`:
    pixels of a feature map around a peak in which no rival of it is sought; `min_structure`: least mean strength of
    the features of a window that holds structure; `ground`: whether the map is described without its buildings.
    """

    describe: Callable[[Side, Side], tuple[Tensor, Tensor]]
    stride: int
    exclusion: int
    min_structure: float
    ground: bool = False


def harmonics(min_structure: float) -> Features:
    """Describe all of the map and the image by harmonics of oriented gradients.

    Args:
        min_structure: Least mean strength of a window's harmonics.
    """
    device = _device()

    def describe(drawn: Side, seen: Side) -> tuple[Tensor, Tensor]:
        first, second = (MaskedImage(*side, device).harmonics(1.0)[0][0] for side in (drawn, seen))
        return first, second

    return Features(describe, 1, 6, min_structure)


def learned_features(building_px: float | None, min_structure: float) -> Features:
    """Describe map and image by the learned feature map.

    Args:
        building_px: Largest building that is left out, in square pixels of the images that are described; None to
            describe all of the map.
        min_structure: Least mean strength of a window's features.
    """
    device = _device()
    network = _network(device)

    @torch.no_grad()
    def describe(drawn: Side, seen: Side) -> tuple[Tensor, Tensor]:
        image, inside = drawn
        if building_px is not None:
            inside = inside & ~find_buildings(image, building_px)
        sides = (MaskedImage(*side, device) for side in ((image, inside), seen))
        first, second = (network(side.image_tensor, side.mask_tensor)[0] for side in sides)
        return first, second

    return Features(describe, STRIDE, 2, min_structure, building_px is not None)


@cache
def _network(device: torch.device) -> FeatureMapNetwork:
    placed: FeatureMapNetwork = folded(load_feature_map()).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
