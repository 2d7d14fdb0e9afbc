"""Supersampled painting of metric geometry with OpenCV, shared by the light map, the image and the label raster.

Whatever is rendered is composed of canonical chunks of `CHUNK` pixels, aligned to the top-left pixel of the frame. A
block is put together from the chunks it touches, so it equals the same part of a whole rendering byte for byte,
although OpenCV's rasteriser rounds a line differently when it is clipped differently.

OpenCV fills polygons between vertices rounded to whole subpixels, a quarter of a pixel here; its antialiased lines are
true to a hundredth. So polygons are filled a little short of their edge, and two antialiased lines are drawn along it:
edges then lie within a few hundredths of a pixel of where they belong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
import shapely

from cartography.frame import Frame

CHUNK = 512
SHIFT = 4
"""Fractional bits of coordinates given to OpenCV."""
UNIT = 1 << SHIFT
"""Fixed-point units in a subpixel."""

_LINE_DEPTHS = (0.65, 1.65)
"""Subpixels from a polygon's edge to the middle of its lines; one line reaches 0.6-0.7 beyond its middle."""
_CORE_DEPTH = 1.9
"""Subpixels from a polygon's edge to that of its core: rounded by a subpixel, it still lies under the lines."""
_PLAIN_DEPTH = 0.43
"""Subpixels by which a polygon is filled short without antialiasing: OpenCV draws its outline, too."""

Path: TypeAlias = np.ndarray
"""Fixed-point vertices (N, 1, 2) int32 of a line or a ring."""


class Shape(NamedTuple):
    """A polygon ready to be filled, shell before holes: its `rings`, more `lines` to draw along them, its `cores`."""

    rings: list[Path]
    lines: list[Path]
    cores: list[Path]

    def moved(self, offset: np.ndarray) -> Shape:
        """The shape displaced by a fixed-point vector (2,)."""
        return Shape(*([path + offset for path in paths] for paths in self))

    def without_holes(self) -> Shape:
        """The shape of the shell."""
        return Shape(self.rings[:1], self.lines[:1], self.cores[:1])


class Canvas:
    """`scale` x `scale` subpixels a pixel over a frame; 1 or 3 channels of uint8 as `background` has, in `pixels`.

    A background of four values asks for `surfaces` besides: a raster of classes, one a pixel, that every colour must
    then have and writes to. Only a supersampled canvas is antialiased: with `scale` 1 the last colour painted wins.
    `column`, `row` are the position of its top-left pixel in the whole rendering, for patterns that must run through.
    """

    def __init__(self, frame: Frame, scale: int, background: Sequence[int], column: int = 0, row: int = 0) -> None:
        if scale & (scale - 1):
            raise ValueError(f"the scale of a canvas must be a power of two, not {scale}")
        self.frame, self.scale, self.column, self.row = frame, scale, column, row
        self.pixels = _filled(frame.height * scale, frame.width * scale, background[:3])
        self.surfaces: np.ndarray | None = None
        if len(background) == 4:
            self.surfaces = _filled(frame.height, frame.width, background[3:])
        # Fractional bits that make pixels of subpixels, to three eighths of a pixel: enough for texture.
        self._surface_shift = SHIFT + scale.bit_length() - 1
        self._smooth = scale > 1
        self._line_type = cv2.LINE_AA if self._smooth else cv2.LINE_8

    def fixed(self, points: np.ndarray) -> np.ndarray:
        """Scene coordinates (..., 2) -> OpenCV's fixed-point subpixel coordinates, int32."""
        # Frame.to_pixels and the change to fixed point in one step: this is called for every feature.
        step = self.scale * UNIT / self.frame.gsd
        fixed = (points - (self.frame.left, self.frame.top)) * (step, -step) - UNIT / 2
        return np.rint(fixed).astype(np.int32)

    def lengths(self, metres: float) -> float:
        """Length of `metres` in subpixels."""
        return metres / self.frame.gsd * self.scale

    def lines(self, geometries: np.ndarray) -> list[Path]:
        """Paths of an array of line strings."""
        coordinates, index = shapely.get_coordinates(geometries, return_index=True)
        return _split(self.fixed(coordinates), index, len(geometries))

    def polygons(self, geometries: np.ndarray) -> list[Shape]:
        """Shapes of an array of polygons, which when filled are neither larger nor smaller than they should be.

        Their shells run counter-clockwise on the ground, holes clockwise, whatever the polygons' rings do.
        """
        rings, owner = shapely.get_rings(shapely.orient_polygons(geometries), return_index=True)
        coordinates, index = shapely.get_coordinates(rings, return_index=True)
        fixed = self.fixed(coordinates)
        inwards = _inwards(fixed, np.flatnonzero(np.diff(index, prepend=-1)))

        def inset(depth: float) -> list[Path]:
            return _split(fixed + np.rint(inwards * (depth * UNIT)).astype(np.int32), index, len(rings))

        outer = inset(_LINE_DEPTHS[0] if self._smooth else _PLAIN_DEPTH)
        inner, core = (inset(_LINE_DEPTHS[1]), inset(_CORE_DEPTH)) if self._smooth else (outer, outer)
        # What is narrower than its lines is nothing but the outer ones.
        broad = shapely.area(geometries) * self.lengths(1.0) > _CORE_DEPTH / 2 * shapely.length(geometries)
        shapes = [Shape([], [], []) for _ in range(len(geometries))]
        for n, polygon in enumerate(owner.tolist()):
            shapes[polygon].rings.append(outer[n])
            if broad[polygon]:
                shapes[polygon].lines.append(inner[n])
                shapes[polygon].cores.append(core[n])
        return shapes

    def fill(self, shape: Shape, colour: Sequence[int], target: np.ndarray | None = None) -> None:
        """Fill one polygon."""
        surface = self.pixels if target is None else target
        if not self._smooth:
            cv2.fillPoly(surface, shape.rings, tuple(colour[:3]), cv2.LINE_8, SHIFT)
            return
        if shape.cores:
            cv2.fillPoly(surface, shape.cores, tuple(colour[:3]), cv2.LINE_8, SHIFT)
        cv2.polylines(surface, shape.rings + shape.lines, True, tuple(colour[:3]), 1, cv2.LINE_AA, SHIFT)
        if target is None and self.surfaces is not None:
            cv2.fillPoly(self.surfaces, shape.rings or shape.cores, (colour[3],), cv2.LINE_8, self._surface_shift)

    def convex(self, ring: Path, colour: Sequence[int], target: np.ndarray | None = None) -> None:
        """Fill one convex polygon, edges to half a subpixel: faster."""
        surface = self.pixels if target is None else target
        cv2.fillConvexPoly(surface, ring, tuple(colour[:3]), cv2.LINE_8, SHIFT)
        if target is None and self.surfaces is not None:
            cv2.fillConvexPoly(self.surfaces, ring, (colour[3],), cv2.LINE_8, self._surface_shift)

    def stroke(
        self,
        paths: list[Path],
        thickness: float,
        colour: Sequence[int],
        closed: bool = False,
        target: np.ndarray | None = None,
    ) -> None:
        """Draw lines `thickness` subpixels wide with round ends; OpenCV knows every second width."""
        if not paths:
            return
        surface = self.pixels if target is None else target
        cv2.polylines(surface, paths, closed, tuple(colour[:3]), _pen(thickness), self._line_type, SHIFT)
        if target is None and self.surfaces is not None:
            pen = _pen(thickness / self.scale)
            cv2.polylines(self.surfaces, paths, closed, (colour[3],), pen, cv2.LINE_8, self._surface_shift)

    def disc(
        self,
        centre: Sequence[float] | np.ndarray,
        radius: float,
        colour: Sequence[int],
        target: np.ndarray | None = None,
    ) -> None:
        """Fill a disc: fixed-point centre (2,), radius in subpixels."""
        surface = self.pixels if target is None else target
        place, size = (int(centre[0]), int(centre[1])), round(radius * UNIT)
        cv2.circle(surface, place, size, tuple(colour[:3]), -1, cv2.LINE_8, SHIFT)
        if target is None and self.surfaces is not None:
            cv2.circle(self.surfaces, place, size, (colour[3],), -1, cv2.LINE_8, self._surface_shift)

    def hatch(self, shapes: Iterable[Shape], spacing_px: float, colour: Sequence[int]) -> None:
        """Diagonal lines one pixel wide over polygons; the pattern runs through the whole rendering."""
        height, width = self.pixels.shape[:2]
        mask = np.zeros((height, width), np.uint8)
        for shape in shapes:
            cv2.fillPoly(mask, shape.rings, (1,), cv2.LINE_8, SHIFT)
        rows = np.arange(height) + self.row * self.scale
        columns = np.arange(width) + self.column * self.scale
        period = round(spacing_px * self.scale * np.sqrt(2))
        stripes = (rows[:, None] + columns[None, :]) % period < round(self.scale * np.sqrt(2))
        self.pixels[stripes & (mask > 0)] = colour

    def image(self) -> np.ndarray:
        """The canvas at one value a pixel: area average."""
        return cv2.resize(self.pixels, (self.frame.width, self.frame.height), interpolation=cv2.INTER_AREA)


def _filled(height: int, width: int, colour: Sequence[int]) -> np.ndarray:
    """A raster (height, width) or (height, width, 3) of one colour."""
    # Row by row: broadcasting three values over every pixel takes ten times as long.
    line = np.tile(np.array(colour, np.uint8), width)
    pixels = np.empty((height, line.size), np.uint8)
    pixels[:] = line
    return pixels if len(colour) == 1 else pixels.reshape(height, width, len(colour))


def _pen(width: float) -> int:
    """The `thickness` at which OpenCV's lines are closest to `width` wide: for an even n they measure n + 1.4."""
    return 1 if width < 2.4 else 2 * max(1, round((width - 1.4) / 2))


def _inwards(points: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Displacements (N, 2) that move the edges of closed rings by 1 into the polygon, corners kept.

    Rings of the vertices `points` (N, 2) begin at `starts` (R,); the polygon lies to the right of them (y down).
    """
    if len(points) == 0:
        return points
    ends = np.r_[starts[1:], len(points)] - 1
    after = np.roll(points, -1, axis=0)
    after[ends] = points[starts + 1]
    edge = (after - points).astype(np.float64)
    edge /= np.maximum(np.hypot(edge[:, 0], edge[:, 1]), 1e-9)[:, None]
    normal = np.stack([edge[:, 1], -edge[:, 0]], axis=1)
    before = np.roll(np.arange(len(points)), 1)
    before[starts] = ends - 1
    other = normal[before]
    cosine = (normal * other).sum(axis=1)
    # A needle's tip would run far back: it moves as one of its sides does.
    return np.where((cosine < -0.97)[:, None], normal, (normal + other) / np.maximum(1 + cosine, 0.03)[:, None])


def dashed(points: np.ndarray, drawn: float, gap: float) -> list[np.ndarray]:
    """Cut a line (N, 2) into dashes of the given lengths, starting with a drawn one at its first vertex."""
    along = np.r_[0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]
    starts = np.arange(0, along[-1], drawn + gap)
    ends = np.minimum(starts + drawn, along[-1])
    first, last = (np.stack([np.interp(s, along, points[:, k]) for k in (0, 1)], axis=1) for s in (starts, ends))
    inside = zip(np.searchsorted(along, starts, "right").tolist(), np.searchsorted(along, ends).tolist(), strict=True)
    return [np.concatenate([first[n, None], points[i:j], last[n, None]]) for n, (i, j) in enumerate(inside)]


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
