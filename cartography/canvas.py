"""Supersampled painting of metric geometry with OpenCV, shared by the light map, the image and the label raster.

Whatever is rendered is composed of canonical chunks of `CHUNK` pixels, aligned to the top-left pixel of the frame. A
block is put together from the chunks it touches, so it equals the same part of a whole rendering byte for byte,
although OpenCV's rasteriser rounds a line differently when it is clipped differently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import cv2
import numpy as np
import shapely

from cartography.frame import Frame

CHUNK = 512
_SHIFT = 4
"""Fractional bits of coordinates given to OpenCV."""

Path: TypeAlias = np.ndarray
"""Fixed-point vertices (N, 1, 2) int32 of a line or a ring."""


class Canvas:
    """`scale` x `scale` subpixels a pixel over a frame; `channels` values each, `dtype` uint8.

    `column`, `row` are the position of its top-left pixel in the whole rendering, for patterns that must run through.
    """

    def __init__(self, frame: Frame, scale: int, background: Sequence[int], column: int = 0, row: int = 0) -> None:
        self.frame, self.scale, self.column, self.row = frame, scale, column, row
        shape = (frame.height * scale, frame.width * scale)
        channels = len(background)
        self.pixels = np.empty(shape if channels == 1 else (*shape, channels), np.uint8)
        self.pixels[:] = background if channels > 1 else background[0]

    def fixed(self, points: np.ndarray) -> np.ndarray:
        """Scene coordinates (..., 2) -> OpenCV's fixed-point subpixel coordinates, int32."""
        # Frame.to_pixels and the change to fixed point in one step: this is called for every feature.
        step = self.scale * (1 << _SHIFT) / self.frame.gsd
        half = (1 << _SHIFT) / 2
        fixed = (points - (self.frame.left, self.frame.top)) * (step, -step) - half
        return np.rint(fixed).astype(np.int32)

    def lengths(self, metres: float) -> float:
        """Length of `metres` in subpixels."""
        return metres / self.frame.gsd * self.scale

    def lines(self, geometries: np.ndarray) -> list[Path]:
        """Paths of an array of line strings."""
        coordinates, index = shapely.get_coordinates(geometries, return_index=True)
        return _split(self.fixed(coordinates), index, len(geometries))

    def polygons(self, geometries: np.ndarray) -> list[list[Path]]:
        """Rings of each of an array of polygons: shell first, then holes, ready to be filled without growing."""
        rings, owner = shapely.get_rings(geometries, return_index=True)
        coordinates, index = shapely.get_coordinates(rings, return_index=True)
        fixed = self.fixed(coordinates)
        starts = np.flatnonzero(np.diff(index, prepend=-1))
        shells = np.diff(owner, prepend=-1) != 0
        paths = _split(fixed + _shrinkage(fixed, starts, shells[index]), index, len(rings))
        result: list[list[Path]] = [[] for _ in range(len(geometries))]
        for path, polygon in zip(paths, owner, strict=True):
            result[polygon].append(path)
        return result

    def fill(self, rings: list[Path], colour: Sequence[int], target: np.ndarray | None = None) -> None:
        """Fill one polygon given by its rings (even-odd)."""
        cv2.fillPoly(self.pixels if target is None else target, rings, tuple(colour), cv2.LINE_8, _SHIFT)

    def convex(self, ring: Path, colour: Sequence[int], target: np.ndarray | None = None) -> None:
        """Fill one convex polygon: faster."""
        cv2.fillConvexPoly(self.pixels if target is None else target, ring, tuple(colour), cv2.LINE_8, _SHIFT)

    def stroke(
        self,
        paths: list[Path],
        thickness: float,
        colour: Sequence[int],
        closed: bool = False,
        target: np.ndarray | None = None,
    ) -> None:
        """Draw lines `thickness` subpixels wide with round ends."""
        if paths:
            surface = self.pixels if target is None else target
            # OpenCV draws the outline of a thick line, too: about a subpixel and a half more.
            cv2.polylines(surface, paths, closed, tuple(colour), max(1, round(thickness - 1.4)), cv2.LINE_8, _SHIFT)

    def disc(
        self,
        centre: Sequence[float] | np.ndarray,
        radius: float,
        colour: Sequence[int],
        target: np.ndarray | None = None,
    ) -> None:
        """Fill a disc: fixed-point centre (2,), radius in subpixels."""
        surface = self.pixels if target is None else target
        cv2.circle(
            surface,
            (int(centre[0]), int(centre[1])),
            round(radius * (1 << _SHIFT)),
            tuple(colour),
            -1,
            cv2.LINE_8,
            _SHIFT,
        )

    def hatch(self, polygons: Iterable[list[Path]], spacing_px: float, colour: Sequence[int]) -> None:
        """Diagonal lines one pixel wide over polygons; the pattern runs through the whole rendering."""
        mask = np.zeros(self.pixels.shape[:2], np.uint8)
        for rings in polygons:
            cv2.fillPoly(mask, rings, (1,), cv2.LINE_8, _SHIFT)
        rows = np.arange(mask.shape[0]) + self.row * self.scale
        columns = np.arange(mask.shape[1]) + self.column * self.scale
        period = round(spacing_px * self.scale * np.sqrt(2))
        stripes = (rows[:, None] + columns[None, :]) % period < round(self.scale * np.sqrt(2))
        self.pixels[stripes & (mask > 0)] = colour

    def image(self) -> np.ndarray:
        """The canvas at one value a pixel: area average."""
        return cv2.resize(self.pixels, (self.frame.width, self.frame.height), interpolation=cv2.INTER_AREA)


def _shrinkage(points: np.ndarray, starts: np.ndarray, is_shell: np.ndarray) -> np.ndarray:
    """Displacements (N, 2) of the vertices of closed rings by which a filled polygon keeps its size.

    OpenCV fills a polygon together with its outline, an 8-connected line that reaches half a subpixel beyond the edge
    along the axis nearer to its normal. Rings begin at `starts` (R,); `is_shell` (N,) tells shells from holes.
    """
    if len(points) == 0:
        return points
    ends = np.r_[starts[1:], len(points)] - 1
    after = np.roll(points, -1, axis=0)
    after[ends] = points[starts + 1]
    edge = (after - points).astype(np.float64)
    cross = points[:, 0] * edge[:, 1] - points[:, 1] * edge[:, 0]
    cross[ends] = 0
    clockwise = np.repeat(np.add.reduceat(cross, starts) < 0, ends - starts + 1)
    edge /= np.maximum(np.hypot(edge[:, 0], edge[:, 1]), 1e-9)[:, None]
    inwards = np.where(clockwise == is_shell, 1.0, -1.0)[:, None]
    normal = np.stack([edge[:, 1], -edge[:, 0]], axis=1) * inwards
    depth = np.abs(edge).max(axis=1) * (1 << _SHIFT) / 2
    before = np.roll(np.arange(len(points)), 1)
    before[starts] = ends - 1
    other, other_depth = normal[before], depth[before]
    cosine = (normal * other).sum(axis=1)
    straight = np.abs(cosine) > 0.97
    share = np.where(straight, 1.0, 1 - cosine**2)
    first = np.where(straight, depth, (depth - cosine * other_depth) / share)
    second = np.where(straight, 0.0, (other_depth - cosine * depth) / share)
    return np.rint(normal * first[:, None] + other * second[:, None]).astype(np.int32)


def dashed(points: np.ndarray, drawn: float, gap: float) -> list[np.ndarray]:
    """Cut a line (N, 2) into dashes of the given lengths, starting with a drawn one at its first vertex."""
    along = np.r_[0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]
    pieces = []
    for start in np.arange(0, along[-1], drawn + gap):
        end = min(start + drawn, along[-1])
        inside = points[(along > start) & (along < end)]
        ends = [[np.interp(s, along, points[:, 0]), np.interp(s, along, points[:, 1])] for s in (start, end)]
        pieces.append(np.concatenate([ends[:1], inside, ends[1:]]))
    return pieces


def assemble(frame: Frame, block: tuple[int, int, int, int], chunk: Callable[[int, int], np.ndarray]) -> np.ndarray:
    """Put a block (column, row, width, height) of a rendering together.

    `chunk(column, row)` renders the `CHUNK` x `CHUNK` pixels (fewer at the right and lower border of the frame) whose
    top-left pixel is (column, row).
    """
    column, row, width, height = block
    if (
        column < 0
        or row < 0
        or column + width > frame.width
        or row + height > frame.height
        or width <= 0
        or height <= 0
    ):
        raise ValueError(
            f"block (column, row, width, height) = {block} does not lie in the {frame.width}x{frame.height} frame"
        )
    result: np.ndarray | None = None
    for top in range(row // CHUNK * CHUNK, row + height, CHUNK):
        for left in range(column // CHUNK * CHUNK, column + width, CHUNK):
            part = chunk(left, top)
            if part.shape[:2] == (height, width) and (left, top) == (column, row):
                return part
            if result is None:
                result = np.empty((height, width, *part.shape[2:]), part.dtype)
            x0, y0 = max(left, column), max(top, row)
            x1, y1 = min(left + part.shape[1], column + width), min(top + part.shape[0], row + height)
            result[y0 - row : y1 - row, x0 - column : x1 - column] = part[y0 - top : y1 - top, x0 - left : x1 - left]
    assert result is not None
    return result


def chunk_frame(frame: Frame, column: int, row: int) -> Frame:
    """The frame of the chunk at (column, row)."""
    return frame.block(column, row, min(CHUNK, frame.width - column), min(CHUNK, frame.height - row))


def _split(points: np.ndarray, index: np.ndarray, count: int) -> list[Path]:
    ends = np.searchsorted(index, np.arange(1, count + 1)).tolist()
    points = points[:, None, :]
    start, result = 0, []
    for end in ends:
        result.append(points[start:end])
        start = end
    return result
