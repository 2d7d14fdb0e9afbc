"""Where training pairs come from: drawn scenes, real images against pseudo-modalities, a real map on its image.

SRIF is never among them: it judges.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import cv2
import numpy as np

from matcher.images import RGBImage
from matcher.training.aligned import UNLABELLED, AlignedPair, ScenePool
from matcher.training.pseudo import pseudo_modality
from matcher.training.tiles import Mosaic, TileRange, read_mosaic

SCENE_SIDE = 512
"""Pixels of a side of every aligned pair."""

MIN_DATA_SHARE = 0.98

LANDQUART_TRAIN = {
    "lk25": TileRange(16, 34512, 34517, 23054, 23062),
    "swissimage": TileRange(16, 34512, 34517, 23054, 23062),
}
"""The western part; tile column 34518 belongs to nobody, 34519 and on validate."""

PSEUDO_PLACES = {
    "landquart-west-z17": TileRange(17, 69024, 69035, 46109, 46124),
    "la-punt-z18": TileRange(18, 138284, 138303, 92637, 92652),
    "susch-z18": TileRange(18, 138394, 138407, 92448, 92460),
}
"""Imagery that training may use; all west of Landquart's validation part or in another valley."""


class Source(ABC):
    """An endless supply of aligned pairs."""

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> AlignedPair:
        """Return a pair of SCENE_SIDE x SCENE_SIDE pixels that depends on `rng` alone."""


class SceneSource(Source):
    """Any of the first `count` scenes of a pool."""

    def __init__(self, pool: ScenePool, count: int) -> None:
        self.pool, self.count = pool, count

    def draw(self, rng: np.random.Generator) -> AlignedPair:
        return self.pool[int(rng.integers(self.count))]


class RealSource(Source):
    """A real topographic map on the image it lies on, at the map's scale and enlarged."""

    def __init__(self, map_mosaic: Mosaic, visible: Mosaic) -> None:
        self.map, self.visible = map_mosaic, visible
        self.mask = map_mosaic.mask & visible.mask

    @classmethod
    def landquart(cls, tiles: Path, ranges: dict[str, TileRange] = LANDQUART_TRAIN) -> RealSource:
        """Read the training part of Landquart from the folder of tile layers."""
        return cls(
            read_mosaic(tiles / "lk25", ranges["lk25"], imagery=False),
            read_mosaic(tiles / "swissimage", ranges["swissimage"], imagery=True),
        )

    def draw(self, rng: np.random.Generator) -> AlignedPair:
        side = int(rng.integers(SCENE_SIDE // 2, SCENE_SIDE + 1))
        rows, columns = _window(self.mask, side, rng)
        cut = [
            cv2.resize(image[rows, columns], (SCENE_SIDE, SCENE_SIDE), interpolation=cv2.INTER_LINEAR)
            for image in (self.map.image, self.visible.image)
        ]
        return AlignedPair(np.asarray(cut[0]), np.asarray(cut[1]), _unlabelled())


class PseudoSource(Source):
    """Real images against pseudo-modalities made from them; at times plain copies, the easy beginning."""

    def __init__(self, mosaics: list[Mosaic], plain_share: float = 0.1) -> None:
        self.mosaics, self.plain_share = mosaics, plain_share

    @classmethod
    def swiss(cls, tiles: Path) -> PseudoSource:
        """Read the imagery that training may use from the folder of tile layers."""
        places = PSEUDO_PLACES.values()
        return cls([read_mosaic(tiles / "swissimage", place, imagery=True) for place in places])

    def image(self, side: int, rng: np.random.Generator) -> RGBImage:
        """Return a square piece of the imagery, `side` px wide."""
        mosaic = self.mosaics[rng.integers(len(self.mosaics))]
        return np.ascontiguousarray(mosaic.image[_window(mosaic.mask, side, rng)])

    def draw(self, rng: np.random.Generator) -> AlignedPair:
        image = self.image(SCENE_SIDE, rng)
        other = image if rng.random() < self.plain_share else pseudo_modality(image, rng)
        return AlignedPair(other, image, _unlabelled())


class Mixture(Source):
    """Draws from several sources with given weights."""

    def __init__(self, sources: list[tuple[float, Source]]) -> None:
        if not sources:
            raise ValueError("a mixture of no source: give at least one source a weight above 0")
        self.sources = [source for _, source in sources]
        weights = np.array([weight for weight, _ in sources])
        self.shares = weights / weights.sum()

    def draw(self, rng: np.random.Generator) -> AlignedPair:
        return self.sources[rng.choice(len(self.sources), p=self.shares)].draw(rng)


def _window(mask: np.ndarray, side: int, rng: np.random.Generator) -> tuple[slice, slice]:
    """Return a random square window that holds data nearly everywhere; the last tried where none of 50 does."""
    for _ in range(50):
        y, x = rng.integers(0, mask.shape[0] - side + 1), rng.integers(0, mask.shape[1] - side + 1)
        window = slice(y, y + side), slice(x, x + side)
        if mask[window][::8, ::8].mean() >= MIN_DATA_SHARE:
            break
    return window


def _unlabelled() -> np.ndarray:
    return np.full((SCENE_SIDE, SCENE_SIDE), UNLABELLED, np.uint8)
