"""Correspondences, and what a matcher is."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from matcher.errors import InputError, MatcherError, MatcherUnavailable, WeightsError
from matcher.images import RGBImage, as_rgb, shrink
from raster.pixels import from_corner, to_corner

__all__ = ["InputError", "Matcher", "MatcherError", "MatcherUnavailable", "Matches", "WeightsError"]


PARITY_SHARE, PARITY_PX = 0.9, 0.5
"""Parity of a CPU and a CUDA device: they round differently, so keypoints near a threshold may differ, but of a pair's
matches at least this share is found by both, within so many pixels."""


@dataclass(frozen=True, eq=False)
class Matches:
    """Correspondences of an image pair, in any order.

    Attributes:
        points0: (N, 2) float32, pixels (x, y) in image 0, (0, 0) the centre of the top-left pixel.
        points1: (N, 2) float32, the same in image 1.
        scores: (N,) float32, higher is better, comparable within one matcher only.
        confidence: Probability that a homography fitted to them is right, of matchers that judge it; NaN of others.

    Raises:
        MatcherError: The shapes disagree or a value is not finite.
    """

    points0: npt.NDArray[np.float32]
    points1: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    confidence: float = math.nan

    def __post_init__(self) -> None:
        for name, width in (("points0", 2), ("points1", 2), ("scores", 0)):
            values = np.ascontiguousarray(getattr(self, name), dtype=np.float32)
            if values.shape != (len(self.points0), width)[: 1 + (width > 0)]:
                raise MatcherError(f"matches: {name} has shape {values.shape} for {len(self.points0)} points0")
            if not np.isfinite(values).all():
                raise MatcherError(f"matches: {name} holds values that are not finite")
            object.__setattr__(self, name, values)

    @classmethod
    def empty(cls) -> Matches:
        """Return no correspondence at all: points (0, 2) and scores (0,)."""
        return cls(np.empty((0, 2), np.float32), np.empty((0, 2), np.float32), np.empty(0, np.float32))

    def __len__(self) -> int:
        return len(self.points0)

    def __getitem__(self, index: npt.NDArray[np.bool_] | npt.NDArray[np.intp] | slice) -> Matches:
        """Return the chosen correspondences, in the order chosen."""
        return Matches(self.points0[index], self.points1[index], self.scores[index], self.confidence)


class Matcher(ABC):
    """Finds correspondences. A new matcher sets `name` and implements `correspond`; the rest is shared.

    Images come in any form that `matcher.images.as_rgb` takes; `correspond` sees H x W x 3 uint8 RGB only. A pair with
    an image narrower or lower than `minimum_size` pixels has no match, without asking; an image larger than
    `maximum_side` is shrunk to it, and its points are scaled back.
    """

    name: str
    minimum_size: ClassVar[int] = 32
    maximum_side: ClassVar[int | None] = None

    @abstractmethod
    def correspond(self, image0: RGBImage, image1: RGBImage) -> Matches:
        """Match one pair.

        Args:
            image0: H x W x 3 uint8 RGB.
            image1: H x W x 3 uint8 RGB, of any size.

        Returns:
            The correspondences, in pixels of these images; `Matches.empty()` where there are none.
        """

    def correspond_batch(self, images0: Sequence[RGBImage], images1: Sequence[RGBImage]) -> list[Matches]:
        """Match several pairs; a matcher that is faster on a batch overrides this. The results equal `correspond`'s.

        Args:
            images0: First images, each H x W x 3 uint8 RGB.
            images1: Second images, as many.

        Returns:
            The correspondences of each pair, in order.
        """
        return [self.correspond(image0, image1) for image0, image1 in zip(images0, images1, strict=True)]

    def match(self, image0: np.ndarray, image1: np.ndarray) -> Matches:
        """Match one pair.

        Args:
            image0: An image in any form that `matcher.images.as_rgb` accepts.
            image1: The same, of any size.

        Returns:
            The correspondences, in pixels of the images as they were given.

        Raises:
            InputError: An image cannot be used.
        """
        return self._match_rgb([as_rgb(image0, "image0")], [as_rgb(image1, "image1")])[0]

    def match_batch(self, images0: Sequence[np.ndarray], images1: Sequence[np.ndarray]) -> list[Matches]:
        """Match several pairs.

        Args:
            images0: First images, each in any form that `matcher.images.as_rgb` accepts.
            images1: Second images, as many, of any sizes.

        Returns:
            The correspondences of each pair, equal to those of `match`.

        Raises:
            InputError: An image cannot be used (its place is named), or the lists have different lengths.
        """
        if len(images0) != len(images1):
            raise InputError(f"match_batch: {len(images0)} first images but {len(images1)} second images")
        return self._match_rgb(
            [as_rgb(image, f"images0[{index}]") for index, image in enumerate(images0)],
            [as_rgb(image, f"images1[{index}]") for index, image in enumerate(images1)],
        )

    def _match_rgb(self, images0: Sequence[RGBImage], images1: Sequence[RGBImage]) -> list[Matches]:
        small0, factors0 = _shrunk(images0, self.maximum_side)
        small1, factors1 = _shrunk(images1, self.maximum_side)
        usable = [i for i in range(len(small0)) if min(*small0[i].shape[:2], *small1[i].shape[:2]) >= self.minimum_size]
        found = self.correspond_batch([small0[i] for i in usable], [small1[i] for i in usable]) if usable else []
        matches = [Matches.empty()] * len(small0)
        for i, pair in zip(usable, found, strict=True):
            points0, points1 = _enlarged(pair.points0, factors0[i]), _enlarged(pair.points1, factors1[i])
            matches[i] = replace(pair, points0=points0, points1=points1)
        return matches


def _shrunk(
    images: Sequence[RGBImage], maximum_side: int | None
) -> tuple[list[RGBImage], list[npt.NDArray[np.float32]]]:
    """Return the images, the large ones shrunk, and the factors (x, y) back to their own pixels."""
    pairs = [shrink(image, maximum_side) if maximum_side else (image, np.ones(2, np.float32)) for image in images]
    return [image for image, _ in pairs], [factor for _, factor in pairs]


def _enlarged(points: npt.NDArray[np.float32], factor: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return points if (factor == 1).all() else from_corner(to_corner(points) * factor)
