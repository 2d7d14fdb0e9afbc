"""Where training pairs come from: synthetic scenes, real images against pseudo-modalities, real maps, releases."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import cv2
import numpy as np

from matcher.benchmark.pairs import PairSource
from matcher.images import RGBImage
from matcher.training.aligned import UNLABELLED, AlignedPair, ScenePool
from matcher.training.pseudo import pseudo_modality
from matcher.training.tiles import Mosaic

SCENE_SIDE = 512
"""Pixels of a side of every aligned pair that is rendered or cut from a mosaic."""

MIN_DATA_SHARE = 0.98
"""Share of a window of a mosaic that must hold data."""

MAX_TRIES = 50
"""Random windows that are looked at before one with less data is taken."""

COPY_SHARE = 0.1
"""Share of plain copies among pseudo-modalities: easy pairs, for the first steps."""


class TrainingSource(ABC):
    """An endless supply of aligned pairs."""

    @abstractmethod
    def sample(self, rng: np.random.Generator) -> AlignedPair:
        """Return a pair that depends on the state of `rng` alone."""


class SceneSource(TrainingSource):
    """Any of the first `count` scenes of a pool."""

    def __init__(self, pool: ScenePool, count: int) -> None:
        """Make a source of scenes.

        Args:
            pool: Scenes that are missing in it are rendered when they are asked for.
            count: How many of them are used, from number 0.
        """
        self.pool, self.count = pool, count

    def sample(self, rng: np.random.Generator) -> AlignedPair:
        return self.pool[int(rng.integers(self.count))]


class RealSource(TrainingSource):
    """A real map on the image it lies on, both of one size, at the map's scale or enlarged up to twofold."""

    def __init__(self, map_mosaic: Mosaic, visible: Mosaic) -> None:
        """Make a source of real pairs.

        Args:
            map_mosaic: The map; a pixel counts where both hold data.
            visible: The image of the same ground, of the same size in pixels.
        """
        self.map, self.visible = map_mosaic, visible
        self.mask = map_mosaic.mask & visible.mask

    def sample(self, rng: np.random.Generator) -> AlignedPair:
        side = int(rng.integers(SCENE_SIDE // 2, SCENE_SIDE + 1))
        rows, columns = _window(self.mask, side, rng)
        cut = [
            cv2.resize(image[rows, columns], (SCENE_SIDE, SCENE_SIDE), interpolation=cv2.INTER_LINEAR)
            for image in (self.map.image, self.visible.image)
        ]
        return _unlabelled(np.asarray(cut[0]), np.asarray(cut[1]))


class PseudoSource(TrainingSource):
    """Real images against pseudo-modalities that are computed from them, and some plain copies."""

    def __init__(self, mosaics: Sequence[Mosaic], copy_share: float = COPY_SHARE) -> None:
        """Make a source of real images and what is computed from them.

        Args:
            mosaics: Imagery, one or more; each is chosen equally often.
            copy_share: Share of pairs whose sides are the same image, 0 to 1.
        """
        self.mosaics, self.copy_share = mosaics, copy_share

    def image(self, side: int, rng: np.random.Generator) -> RGBImage:
        """Return a square window of the imagery, `side` pixels wide.

        Args:
            side: Side of the window, pixels; at most that of the smallest mosaic.
            rng: Chooses the mosaic and the window.

        Returns:
            side x side x 3 uint8 RGB, with data in nearly all of it where such a window is found.
        """
        mosaic = self.mosaics[int(rng.integers(len(self.mosaics)))]
        return np.ascontiguousarray(mosaic.image[_window(mosaic.mask, side, rng)])

    def sample(self, rng: np.random.Generator) -> AlignedPair:
        image = self.image(SCENE_SIDE, rng)
        return _unlabelled(image if rng.random() < self.copy_share else pseudo_modality(image, rng), image)


class ReleaseSource(TrainingSource):
    """The pairs of a release of this project: image 0 is the map, image 1 the visible image."""

    def __init__(self, pairs: Sequence[PairSource]) -> None:
        self.pairs = pairs

    def sample(self, rng: np.random.Generator) -> AlignedPair:
        pair = self.pairs[int(rng.integers(len(self.pairs)))].load()
        return _unlabelled(pair.image0, pair.image1)


class Mixture(TrainingSource):
    """Several sources, each with a weight: how often a pair comes from it, relative to the others."""

    def __init__(self, sources: Sequence[tuple[float, TrainingSource]]) -> None:
        self.sources = [source for _, source in sources]
        weights = np.array([weight for weight, _ in sources])
        self.shares = weights / weights.sum()

    def sample(self, rng: np.random.Generator) -> AlignedPair:
        return self.sources[rng.choice(len(self.sources), p=self.shares)].sample(rng)


def _window(mask: np.ndarray, side: int, rng: np.random.Generator) -> tuple[slice, slice]:
    """Return a random square window with enough data, or the last one tried."""
    for _ in range(MAX_TRIES):
        y, x = rng.integers(0, mask.shape[0] - side + 1), rng.integers(0, mask.shape[1] - side + 1)
        window = slice(y, y + side), slice(x, x + side)
        if mask[window][::8, ::8].mean() >= MIN_DATA_SHARE:
            break
    return window


def _unlabelled(map_image: RGBImage, visible: RGBImage) -> AlignedPair:
    return AlignedPair(map_image, visible, np.full(visible.shape[:2], UNLABELLED, np.uint8))
