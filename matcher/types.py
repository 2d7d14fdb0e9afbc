"""The vocabulary of the room: correspondences, and what a matcher is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from matcher.errors import InputError, MatcherError, MatcherUnavailable, WeightsError
from matcher.images import RGBImage, as_rgb

__all__ = ["InputError", "Matcher", "MatcherError", "MatcherUnavailable", "Matches", "WeightsError"]


@dataclass(frozen=True, eq=False)
class Matches:
    """Correspondences of an image pair, best first or in no order.

    points0, points1: (N, 2) float32, pixel (x, y) in image 0 and image 1, (0, 0) the centre of the top-left pixel;
    scores: (N,) float32, higher is surer, comparable within one matcher only. Raises MatcherError when the shapes
    disagree or a value is not finite.
    """

    points0: npt.NDArray[np.float32]
    points1: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]

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
        """No correspondence at all."""
        return cls(np.empty((0, 2)), np.empty((0, 2)), np.empty(0))  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self.points0)

    def __getitem__(self, index: npt.NDArray[np.bool_] | npt.NDArray[np.intp] | slice) -> Matches:
        """Return the chosen correspondences, in the order chosen."""
        return Matches(self.points0[index], self.points1[index], self.scores[index])


class Matcher(ABC):
    """Finds correspondences. A new matcher sets `name` and implements `correspond`; the rest is shared.

    Images come in any form that `matcher.images.as_rgb` takes; `correspond` sees H x W x 3 uint8 RGB only, both sides
    at least `minimum_size` pixels wide and high: a pair with a smaller image has no match, without asking.
    """

    name: str
    minimum_size: ClassVar[int] = 32

    @abstractmethod
    def correspond(self, image0: RGBImage, image1: RGBImage) -> Matches:
        """Match one pair."""

    def correspond_batch(self, images0: Sequence[RGBImage], images1: Sequence[RGBImage]) -> list[Matches]:
        """Match many pairs; a matcher that gains from a batch overrides this. The results equal `correspond`'s."""
        return [self.correspond(image0, image1) for image0, image1 in zip(images0, images1, strict=True)]

    def match(self, image0: np.ndarray, image1: np.ndarray) -> Matches:
        """Return the correspondences of one pair. Raises InputError for an image that cannot be used."""
        pair = as_rgb(image0, "image0"), as_rgb(image1, "image1")
        return self.correspond(*pair) if self._large_enough(*pair) else Matches.empty()

    def match_batch(self, images0: Sequence[np.ndarray], images1: Sequence[np.ndarray]) -> list[Matches]:
        """Return the correspondences of each pair `images0[i]`, `images1[i]`, of any sizes, equal to `match`'s.

        Raises InputError for an image that cannot be used (naming its place) and for lists of different lengths.
        """
        if len(images0) != len(images1):
            raise InputError(f"match_batch: {len(images0)} first images but {len(images1)} second images")
        sides0 = [as_rgb(image, f"images0[{index}]") for index, image in enumerate(images0)]
        sides1 = [as_rgb(image, f"images1[{index}]") for index, image in enumerate(images1)]
        usable = [index for index in range(len(sides0)) if self._large_enough(sides0[index], sides1[index])]
        found = self.correspond_batch([sides0[i] for i in usable], [sides1[i] for i in usable]) if usable else []
        matches = [Matches.empty()] * len(sides0)
        for index, pair_matches in zip(usable, found, strict=True):
            matches[index] = pair_matches
        return matches

    def _large_enough(self, *images: RGBImage) -> bool:
        return all(min(image.shape[:2]) >= self.minimum_size for image in images)
