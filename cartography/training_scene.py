"""One call for training: a map, a simulated image of the same ground, their exact relation, and labels.

Needs numpy, OpenCV and shapely only. Nothing is cropped or warped after drawing: both sides show true content up to
their borders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from cartography.frame import Frame
from cartography.hashing import generator, mix
from cartography.imagery import Textures, render_image
from cartography.imagery.camera import MARGIN
from cartography.imagery.conditions import random_conditions
from cartography.imagery.render import REACH
from cartography.jitter import jittered
from cartography.labels import render_labels
from cartography.misregistration import MisregisteredSource, Misregistration, random_homography
from cartography.opencv_renderer import MAP_MARGIN_PX, render_map
from cartography.procedural import SyntheticScene
from cartography.procedural.landscape import LandscapeName
from cartography.scene import Scene

PAIRS_PER_SCENE = 96
"""Consecutive seeds share a world, so that its superblocks are made once."""

REGION = 1400.0
"""Metres square of a world from which its scenes are taken."""


@dataclass(frozen=True)
class TransformationRange:
    """Limits of the transformation from map to image: see `random_homography` and `Misregistration`."""

    rotation_deg: float = 10.0
    scale: float = 1.1
    shift: float = 0.05
    perspective: float = 5e-5
    warp_px: float = 1.0
    feature_px: float = 1.0


@dataclass(frozen=True)
class TrainingPair:
    """`map`, `visible` (S, S, 3) uint8 RGB; `map_labels`, `labels` (S, S) uint8 classes of `cartography.labels`."""

    map: np.ndarray
    visible: np.ndarray
    map_labels: np.ndarray
    labels: np.ndarray
    misregistration: Misregistration
    gsd: float
    style: str

    @property
    def homography(self) -> np.ndarray:
        """(3, 3) float64, map -> visible pixels; exact up to the local warp."""
        return self.misregistration.homography

    def flow(self) -> np.ndarray:
        """The visible pixel (x, y) of every map pixel: float32 (S, S, 2), exact, local warp included."""
        height, width = self.map.shape[:2]
        return self.misregistration.visible_pixels(width, height).astype(np.float32)


@dataclass(frozen=True)
class PairSampler:
    """Where training scenes come from.

    `osm` are scenes read from extracts (see `cartography.storage`), drawn from with probability `osm_share`;
    `photographs` is a folder of crops that give texture to half of the images. `draw(seed)` depends on nothing but
    these fields and the seed.
    """

    size: int = 512
    gsds: tuple[float, ...] = (0.35, 0.5, 0.7, 1.0, 1.3, 1.6)
    transformation: TransformationRange = TransformationRange()
    osm: Sequence[Scene] = field(default=(), repr=False)
    osm_share: float = 0.4
    photographs: Path | None = None

    def sample(self, seed: int) -> TrainingPair:
        """Return the pair of one seed.

        Args:
            seed: Seed of the pair; the same seed gives the same pair.

        Returns:
            The pair.

        Raises:
            ValueError: An extract has neither buildings, roads nor areas.
        """
        random = generator(seed, 0x7124)
        gsd = float(random.choice(self.gsds)) * float(random.uniform(0.93, 1.07))
        if self.osm and random.random() < self.osm_share:
            extract = self.osm[int(random.integers(len(self.osm)))]
            source: Scene | SyntheticScene = extract
            frame = _populated_frame(extract, gsd, self.size, random)
        else:
            source = scene_of(seed)
            left, top = random.uniform(0, REGION, 2)
            frame = Frame(float(left), float(top), gsd, self.size, self.size)
        limits = self.transformation
        homography = random_homography(
            random, self.size, limits.rotation_deg, limits.scale, limits.shift, limits.perspective
        )
        misregistration = Misregistration(
            homography,
            warp_px=limits.warp_px * float(random.random()),
            feature_px=limits.feature_px * float(random.random()),
            seed=mix(seed, 1),
        )
        mapped = MisregisteredSource(source, frame, misregistration).window(frame.grown(MAP_MARGIN_PX).bounds)
        ground = source.window(frame.grown(MARGIN + int(REACH / gsd)).bounds)
        style = jittered(mix(seed, 2))
        photographs = self.photographs if random.random() < 0.5 else None
        textures = _textures(min(self.gsds, key=lambda g: abs(g - gsd)), int(random.integers(2)), photographs)
        return TrainingPair(
            map=render_map(mapped, frame, style),
            visible=render_image(ground, frame, random_conditions(mix(seed, 3)), textures),
            map_labels=render_labels(mapped, frame),
            labels=render_labels(ground, frame),
            misregistration=misregistration,
            gsd=gsd,
            style=style.name,
        )


def _populated_frame(scene: Scene, gsd: float, size: int, random: np.random.Generator) -> Frame:
    """A frame about a random building or road of an extract: never an empty corner of it."""
    features = scene.buildings if scene.buildings and random.random() < 0.7 else scene.roads or scene.areas
    if not features:
        raise ValueError("a scene for training needs buildings, roads or areas; this extract has none")
    point = features[random.integers(len(features))].geometry.representative_point()
    half = size * gsd / 2
    dx, dy = random.uniform(-0.3, 0.3, 2) * size * gsd
    return Frame(float(point.x - half + dx), float(point.y + half + dy), gsd, size, size)


def scene_of(seed: int) -> SyntheticScene:
    """Return the synthetic scene from which a procedural pair is taken.

    Args:
        seed: Seed of the pair.

    Returns:
        The scene, which `PAIRS_PER_SCENE` seeds share.
    """
    return _world(seed // PAIRS_PER_SCENE)


@lru_cache(maxsize=3)
def _world(number: int) -> SyntheticScene:
    """Landscapes of training worlds: dense cities most often."""
    random = generator(number, 0x3041D)
    names: tuple[LandscapeName, ...] = ("city", "town", "mixed", "village", "farmland", "coast", "forest", "mountain")
    shares = [0.42, 0.22, 0.12, 0.06, 0.05, 0.07, 0.03, 0.03]
    return SyntheticScene(int(random.integers(1 << 40)), names[random.choice(len(names), p=shares)])


@lru_cache(maxsize=64)
def _textures(gsd: float, seed: int, photographs: Path | None) -> Textures:
    if photographs is None:
        return Textures.procedural(gsd, seed)
    return Textures.from_photographs(photographs, gsd, seed)


def sample_pair(
    seed: int, size: int = 512, gsd: float | None = None, transformation: TransformationRange | None = None
) -> TrainingPair:
    """Return a procedural pair.

    Args:
        seed: Seed of the pair.
        size: Width and height in pixels.
        gsd: Ground sample distance in metres a pixel; by default one of 0.33 to 1.7.
        transformation: Limits of the transformation from map to image.

    Returns:
        The pair.
    """
    defaults = PairSampler()
    return PairSampler(size, (gsd,) if gsd else defaults.gsds, transformation or defaults.transformation).sample(seed)
