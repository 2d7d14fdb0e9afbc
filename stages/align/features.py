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
from matcher.folding import placed
from matcher.mapglue.weights import load_feature_map
from raster.image import Image, Mask
from stages.align.buildings import find_buildings
from stages.align.limits import WindowLimits

Side: TypeAlias = tuple[Image, Mask]
"""Pixels (H, W, 3) and mask (H, W) of a map or of an image."""


@dataclass(frozen=True, eq=False)
class Features:
    """How the two sides of a block are described.

    `name`: "mapglue" or "cfog"; `building_px`: largest building that the map is described without, in square pixels of
    the images, None where all of the map is described; `device`: where it is computed. `describe` takes the map and the
    image, both (H, W), to feature maps (C, H // stride, W // stride). `exclusion`: pixels of a feature map around a
    peak in which no rival of it is sought; `min_structure`: least mean strength of the features of a window that holds
    structure.
    """

    name: str
    building_px: float | None
    device: torch.device
    describe: Callable[[Side, Side], tuple[Tensor, Tensor]]
    stride: int
    exclusion: int
    min_structure: float

    @property
    def ground(self) -> bool:
        """Whether the map is described without its buildings."""
        return self.building_px is not None


def chosen_features(limits: WindowLimits, building_px: float | None) -> Features:
    """Describe map and image by the features that the limits name.

    Args:
        limits: They name the features, and hold their least strength.
        building_px: See `learned_features`.
    """
    if limits.features == "cfog":
        return harmonics(limits.min_structure, building_px)
    return learned_features(limits.min_learned_structure, building_px)


def harmonics(min_structure: float, building_px: float | None = None) -> Features:
    """Describe map and image by harmonics of oriented gradients, in the manner of CFOG (Ye et al., 2019).

    Args:
        min_structure: Least mean strength of a window's features.
        building_px: Largest building that is left out of the map, in square pixels of the images that are described;
            None to describe all of the map.
    """
    device = _device()

    def describe(drawn: Side, seen: Side) -> tuple[Tensor, Tensor]:
        sides = (MaskedImage(*side, device) for side in (_without_buildings(drawn, building_px), seen))
        first, second = (side.harmonics(1.0)[0][0] for side in sides)
        return first, second

    return Features("cfog", building_px, device, describe, 1, 6, min_structure)


def learned_features(min_structure: float, building_px: float | None = None) -> Features:
    """Describe map and image by MapGlue's learned feature map.

    Args:
        min_structure: Least mean strength of a window's features.
        building_px: As for `harmonics`.
    """
    device = _device()
    network = _network(device)

    @torch.no_grad()
    def describe(drawn: Side, seen: Side) -> tuple[Tensor, Tensor]:
        sides = (MaskedImage(*side, device) for side in (_without_buildings(drawn, building_px), seen))
        first, second = (network(side.image_tensor, side.mask_tensor)[0] for side in sides)
        return first, second

    return Features("mapglue", building_px, device, describe, STRIDE, 2, min_structure)


def _without_buildings(drawn: Side, building_px: float | None) -> Side:
    image, inside = drawn
    return image, inside if building_px is None else inside & ~find_buildings(image, building_px)


@cache
def _network(device: torch.device) -> FeatureMapNetwork:
    return placed(load_feature_map(), device)


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
