"""Texture of surfaces: tiles that repeat, added to flat colours. Procedural, or taken from a folder of photographs.

Every surface class has weights for a few tiles. Two tiles of coprime sizes are added, so that the pattern of a large
image repeats only after their product.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from cartography.hashing import generator

FINE, COARSE = 512, 375
"""Sizes of the two families of tiles, pixels: coprime."""

SURFACES = (
    "plain", "paved", "roof", "tiled", "metal", "gravel", "grass", "meadow", "soil", "canopy", "water", "rock", "snow",
)  # fmt: skip
"""Surface classes with isotropic texture; the row classes of crops follow them."""

ROW_DIRECTIONS = 12
ROW_CLASS = len(SURFACES)
"""First row class: ROW_CLASS + 2 * direction + (0 fine, 1 wide)."""

_WEIGHTS: dict[str, tuple[float, float, float]] = {
    "plain": (0.02, 0.01, 0), "paved": (0.06, 0.07, 0), "roof": (0.05, 0.05, 0), "tiled": (0.10, 0.04, 0),
    "metal": (0.035, 0.03, 0), "gravel": (0.11, 0.06, 0), "grass": (0.10, 0.13, 0.05), "meadow": (0.09, 0.2, 0.03),
    "soil": (0.08, 0.13, 0), "canopy": (0.12, 0.14, 0.34), "water": (0.025, 0.05, 0), "rock": (0.18, 0.26, 0.08),
    "snow": (0.02, 0.04, 0.06),
}  # fmt: skip
"""Relative strength of (fine, coarse, relief) per surface."""


def surface(name: str) -> int:
    """Return the class number of a surface.

    Args:
        name: One of `SURFACES`.

    Returns:
        Its number.
    """
    return SURFACES.index(name)


def row_class(angle: float, wide: bool) -> int:
    """Return the class number of crop rows.

    Args:
        angle: Direction in radians.
        wide: Are the rows wide, as in vineyards and orchards?

    Returns:
        The number.
    """
    return ROW_CLASS + 2 * (round(angle / np.pi * ROW_DIRECTIONS) % ROW_DIRECTIONS) + int(wide)


@dataclass(frozen=True)
class Textures:
    """Tiles for one ground sample distance. `built` and `green` (FINE, FINE, 3) are relative deviations of colour."""

    gsd: float
    built: np.ndarray
    green: np.ndarray
    coarse: np.ndarray
    relief: np.ndarray
    """(FINE, FINE, 2): slope of crowns and rocks along x and y, for light from any side."""

    @classmethod
    def procedural(cls, gsd: float, seed: int = 0) -> Textures:
        """Make tiles of synthetic noise.

        Args:
            gsd: Ground sample distance, metres a pixel.
            seed: Seed of the noise.

        Returns:
            The textures.
        """
        random = generator(seed, 0x7EC5)
        fine = 0.75 * _noise(random, FINE, 0.6) + 0.65 * _noise(random, FINE, max(0.9 / gsd, 0.7))
        green = 0.8 * _noise(random, FINE, max(0.5 / gsd, 0.6)) + 0.6 * _noise(random, FINE, max(2.5 / gsd, 1.2))
        chroma = np.stack([_noise(random, FINE, 1.5) for _ in range(3)], axis=2) * 0.25
        coarse = 0.7 * _noise(random, COARSE, 5 / gsd) + 0.7 * _noise(random, COARSE, 18 / gsd)
        return cls(gsd, fine[..., None] + chroma, green[..., None] + chroma, coarse, _crowns(random, gsd))

    @classmethod
    def from_photographs(cls, folder: Path, gsd: float, seed: int = 0) -> Textures:
        """Fine tiles from the images in `folder`: the greener half for vegetation, the rest for what is built.

        Args:
            folder: Holds images of 64 pixels or more.
            gsd: Ground sample distance, metres a pixel.
            seed: Chooses among the images.

        Returns:
            The textures.

        Raises:
            ValueError: The folder holds no readable image of 64 pixels or more.
        """
        crops = [image for path in sorted(folder.iterdir()) if (image := _read(path)) is not None]
        if not crops:
            raise ValueError(
                f"{folder} holds no image of at least 64x64 pixels; give a folder of JPEG, PNG or TIFF crops"
            )
        crops.sort(key=lambda image: float(np.mean(2.0 * image[..., 1] - image[..., 0] - image[..., 2])))
        random = generator(seed, 0xF070)
        half = max(len(crops) // 2, 1)
        built = _mirrored(crops[random.integers(0, half)], random)
        green = _mirrored(crops[random.integers(len(crops) - half, len(crops))], random)
        base = cls.procedural(gsd, seed)
        return cls(gsd, built, green, base.coarse, base.relief)

    def relative(self, classes: np.ndarray, to_sun: tuple[float, float], column: int, row: int) -> np.ndarray:
        """Relative deviation (H, W, 3) float32 of brightness for a raster of surface classes (H, W).

        (`column`, `row`) is the position of its top-left pixel in the whole image.

        Args:
            classes: Surface classes (H, W) uint8.
            to_sun: Unit vector (east, north) towards the sun.
            column: Column of the first pixel in the whole image.
            row: Row of the first pixel in the whole image.

        Returns:
            float32 (H, W, 3).
        """
        # OpenCV's tables and channel arithmetic: several times faster than numpy's on three channels.
        fine, coarse, relief = (cv2.LUT(classes, weights) for weights in _weight_table().T)
        texture = tiled(self.built, classes, column, row)
        cv2.copyTo(tiled(self.green, classes, column, row), cv2.LUT(classes, _is_green()), texture)
        light = self.relief[..., 0] * -to_sun[0] + self.relief[..., 1] * to_sun[1]
        plain = coarse * tiled(self.coarse, classes, column, row)
        plain += relief * tiled(light, classes, column, row)
        rows = classes >= ROW_CLASS
        if rows.any():
            plain[rows] += self._rows(classes, rows, column, row)
        # In place: to have new memory mapped takes longer than to fill it.
        texture *= cv2.merge([fine] * 3)
        texture += cv2.merge([plain] * 3)
        return texture

    def _rows(self, classes: np.ndarray, where: np.ndarray, column: int, row: int) -> np.ndarray:
        y, x = np.nonzero(where)
        kind = classes[where].astype(np.int32) - ROW_CLASS
        angle = (kind // 2) * (np.pi / ROW_DIRECTIONS)
        period = np.where(kind % 2 == 1, 4.5, 2.2) / self.gsd
        # Rows closer than three pixels would only alias: they show as wider tramlines.
        period = np.where(period < 3, 24.0 / self.gsd, period)
        phase = ((x + column) * np.sin(angle) + (y + row) * np.cos(angle)) / period
        return (np.sin(2 * np.pi * phase) * np.where(kind % 2 == 1, 0.16, 0.07)).astype(np.float32)


def _weight_table() -> np.ndarray:
    rows = np.zeros((256, 3), np.float32)
    rows[: len(SURFACES)] = [_WEIGHTS[name] for name in SURFACES]
    rows[ROW_CLASS : ROW_CLASS + 2 * ROW_DIRECTIONS] = (0.08, 0.1, 0)
    return rows


def _is_green() -> np.ndarray:
    table = np.zeros(256, np.uint8)
    table[[surface(name) for name in ("grass", "meadow", "canopy", "soil")]] = 1
    table[ROW_CLASS:] = 1
    return table


def tiled(tile: np.ndarray, like: np.ndarray, column: int, row: int) -> np.ndarray:
    """Return a part of the plane that is covered with a tile.

    Args:
        tile: (h, w) or (h, w, C).
        like: Raster (H, W, ...) whose size the part has.
        column: Column of the part's first pixel in the plane.
        row: Row of the part's first pixel in the plane.

    Returns:
        (H, W) or (H, W, C).
    """
    height, width = tile.shape[:2]
    part = np.empty((*like.shape[:2], *tile.shape[2:]), tile.dtype)
    for top in range(-(row % height), part.shape[0], height):
        for left in range(-(column % width), part.shape[1], width):
            target = part[max(top, 0) : top + height, max(left, 0) : left + width]
            above, before = max(-top, 0), max(-left, 0)
            target[:] = tile[above : above + target.shape[0], before : before + target.shape[1]]
    return part


def _noise(random: np.random.Generator, size: int, sigma: float) -> np.ndarray:
    """Gaussian noise of unit variance and standard width `sigma` pixels that tiles."""
    rows, columns = np.fft.fftfreq(size), np.fft.rfftfreq(size)
    power = np.exp(-2 * (np.pi * sigma) ** 2 * (rows[:, None] ** 2 + columns[None, :] ** 2))
    noise = np.fft.irfft2(np.fft.rfft2(random.standard_normal((size, size))) * power, (size, size))
    return (noise / noise.std()).astype(np.float32)


def _crowns(random: np.random.Generator, gsd: float) -> np.ndarray:
    """Slopes of a surface of crowded domes (a canopy seen from above) that tiles: (FINE, FINE, 2), unit variance."""
    per_side = max(int(FINE / max(5.0 / gsd, 3.0)), 4)
    side = FINE / per_side
    centres = np.stack(np.meshgrid(np.arange(per_side), np.arange(per_side)), axis=-1) * side
    centres = (centres + random.uniform(0.1, 0.9, centres.shape) * side).astype(np.float32)
    tops = random.uniform(0.0, 0.6, (per_side, per_side)).astype(np.float32)
    pixel = np.arange(FINE, dtype=np.float32)
    cell = (pixel / side).astype(int)
    height = np.full((FINE, FINE), -4.0, np.float32)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            near = np.ix_((cell + dy) % per_side, (cell + dx) % per_side)
            gap = np.abs(centres[near] - np.stack(np.meshgrid(pixel, pixel), axis=-1))
            gap = np.minimum(gap, FINE - gap)
            np.maximum(height, tops[near] - (gap**2).sum(axis=2) / side**2, out=height)
    slope = np.stack(
        [np.roll(height, -1, 1) - np.roll(height, 1, 1), np.roll(height, -1, 0) - np.roll(height, 1, 0)], axis=2
    )
    return (slope / slope.std()).astype(np.float32)


def _read(path: Path) -> np.ndarray | None:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if image is None or min(image.shape[:2]) < 64:
        return None
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _mirrored(crop: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The fine detail of a photograph as a tile (FINE, FINE, 3) of unit variance that mirrors at its borders."""
    side = min(crop.shape[0], crop.shape[1], FINE // 2)
    top, left = random.integers(0, crop.shape[0] - side + 1), random.integers(0, crop.shape[1] - side + 1)
    part = crop[top : top + side, left : left + side].astype(np.float32)
    detail = part - cv2.GaussianBlur(part, (0, 0), 6)
    detail /= max(float(detail.std()), 1e-3)
    padded = np.pad(np.clip(detail, -3, 3), ((0, FINE // 2 - side), (0, FINE // 2 - side), (0, 0)), mode="reflect")
    upper = np.concatenate([padded, padded[:, ::-1]], axis=1)
    return np.concatenate([upper, upper[::-1]], axis=0)
