"""From an aligned pair to a training pair: two crops, warped against each other, with independent image noise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from matcher.images import RGBImage
from matcher.training.aligned import UNLABELLED, AlignedPair
from raster.homography import Matrix
from raster.levels import HomographyRange
from raster.warp import antialiased, shrinkage

LOCAL_WARP_PX = 2.0
"""Amplitude of local warps. Generalisation shifts a map's features by a few pixels, which the ground truth ignores."""


@dataclass(frozen=True, eq=False)
class Crop:
    """A square crop of an image.

    Attributes:
        image: S x S x 3 uint8.
        mask: S x S bool, true where there is data.
        labels: S x S semantic classes.
    """

    image: RGBImage
    mask: npt.NDArray[np.bool_]
    labels: npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class TrainingPair:
    """Two crops and the homography (3 x 3) from pixels of the first to pixels of the second."""

    crop0: Crop
    crop1: Crop
    homography: Matrix


def training_pair(
    pair: AlignedPair, homographies: HomographyRange, size: int, rng: np.random.Generator, zoom: tuple[float, float]
) -> TrainingPair:
    """Cut two crops from an aligned pair. They lie inside it wherever they fit, so that few borders are seen.

    Args:
        pair: The aligned pair; which of its images comes first is random.
        homographies: Range of the homography between the crops.
        size: Side of the crops, pixels.
        rng: Source of all random choices.
        zoom: Least and largest enlargement of the pair's pixels.
    """
    images = [pair.map, pair.visible] if rng.random() < 0.5 else [pair.visible, pair.map]
    height, width = pair.labels.shape
    relative = homographies.sample(rng, size, size)
    shared = np.sqrt(abs(np.linalg.det(relative[:2, :2])))
    enlarged = np.exp(rng.uniform(*np.log(zoom))) / np.sqrt(shared)  # half of the scale goes to each crop
    angle = rng.uniform(-np.pi, np.pi)
    reach = size * 0.5 / enlarged * 1.1
    centre = [rng.uniform(min(reach, side / 2), max(side - reach, side / 2)) for side in (width, height)]
    cosine, sine = enlarged * np.cos(angle), enlarged * np.sin(angle)
    middle = (size - 1) / 2
    first = np.array([[cosine, -sine, middle], [sine, cosine, middle], [0, 0, 1]]) @ np.array(
        [[1, 0, -centre[0]], [0, 1, -centre[1]], [0, 0, 1]]
    )
    crop0 = _crop(images[0], pair.labels, first, size, rng)
    crop1 = _crop(images[1], pair.labels, relative @ first, size, rng, warp=True)
    return TrainingPair(crop0, crop1, relative)


def _crop(
    image: RGBImage,
    labels: npt.NDArray[np.uint8],
    matrix: Matrix,
    size: int,
    rng: np.random.Generator,
    warp: bool = False,
) -> Crop:
    """Warp one image of a pair by `matrix` (its pixels -> those of the crop), with local warps if asked, and disturb
    it."""
    to_image = np.asarray(np.linalg.inv(matrix), np.float64)
    grid, shrink = _grid(to_image, size), shrinkage(to_image, size, size)
    if warp:
        grid += _smooth_noise(size, rng) * np.float32(LOCAL_WARP_PX)
    border = cv2.BORDER_REFLECT_101 if rng.random() < 0.5 else cv2.BORDER_CONSTANT
    fill = [float(v) for v in rng.integers(0, 256, 3)] if rng.random() < 0.5 else [0.0] * 3
    smooth = np.ascontiguousarray(antialiased(image, shrink))
    cut = cv2.remap(smooth, grid[..., 0], grid[..., 1], cv2.INTER_LINEAR, borderMode=border, borderValue=fill)
    classes = cv2.remap(
        np.ascontiguousarray(labels),
        grid[..., 0],
        grid[..., 1],
        cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=UNLABELLED,
    )
    inside = ((grid >= 0) & (grid <= (labels.shape[1] - 1, labels.shape[0] - 1))).all(-1)
    disturbed, visible = disturb(np.asarray(cut, np.uint8), rng)
    return Crop(disturbed, inside & visible, np.asarray(classes, np.uint8))


def disturb(image: RGBImage, rng: np.random.Generator) -> tuple[RGBImage, npt.NDArray[np.bool_]]:
    """Change tone, sharpness and noise at random, and sometimes hide a rectangle.

    Args:
        image: H x W x 3 uint8.
        rng: Source of all random choices.

    Returns:
        The image, and H x W bool, true where it is still visible.
    """
    tone = np.linspace(0, 1, 256) ** np.exp(rng.uniform(-0.4, 0.4))
    tone = (tone - 0.5) * rng.uniform(0.6, 1.3) + 0.5 + rng.uniform(-0.12, 0.12)
    tint = rng.uniform(0.8, 1.2, 3) if rng.random() < 0.3 else np.ones(3)
    table = (np.clip(tone[:, None] * tint, 0, 1) * 255).astype(np.uint8)
    disturbed = np.asarray(cv2.LUT(image, table[:, None]), np.uint8)
    if rng.random() < 0.3:
        disturbed = np.asarray(cv2.GaussianBlur(disturbed, (0, 0), rng.uniform(0.4, 1.2)), np.uint8)
    if rng.random() < 0.3:
        largest = int(rng.integers(2, 16))
        grain = rng.integers(-largest, largest + 1, image.shape, dtype=np.int16)
        disturbed = np.clip(disturbed + grain, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        _, encoded = cv2.imencode(".jpg", disturbed, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 90))])
        disturbed = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
    visible = np.ones(image.shape[:2], bool)
    if rng.random() < 0.2:
        size = len(image)
        (x, y), (w, h) = rng.integers(0, size * 3 // 4, 2), rng.integers(size // 10, size // 3, 2)
        disturbed[y : y + h, x : x + w] = rng.integers(0, 256, 3)
        visible[y : y + h, x : x + w] = False
    return disturbed, visible


def _grid(matrix: Matrix, size: int) -> npt.NDArray[np.float32]:
    """Return where `matrix` takes each pixel of a square crop: size x size x 2 (x, y)."""
    steps = np.arange(size)
    rows = matrix[:, 1, None] * steps + matrix[:, 2, None]  # 3 x size
    homogeneous = rows[:, :, None] + (matrix[:, 0, None] * steps)[:, None]  # 3 x y x x
    depth = np.maximum(homogeneous[2], 1e-6)
    return np.stack([homogeneous[0] / depth, homogeneous[1] / depth], -1).astype(np.float32)


def _smooth_noise(size: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return size x size x 2 in about [-1, 1], smooth over some tens of pixels."""
    coarse = rng.uniform(-1, 1, (max(size // 48, 2), max(size // 48, 2), 2)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), np.float32)
