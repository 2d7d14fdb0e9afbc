"""Supersampled painting of metric geometry with OpenCV, shared by the light map, the image and the label raster.

OpenCV fills polygons between vertices rounded to whole subpixels, a quarter of a pixel here; its antialiased lines are
true to a hundredth. So polygons are filled a little short of their edge, and two antialiased lines are drawn along it:
edges then lie within a few hundredths of a pixel of where they belong.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import cv2
import numpy as np
import shapely

from cartography.frame import Frame
from cartography.outlines import Outlines, Path, Shape, inwards_of

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
_STRAIGHT_PX = 0.03
"""Vertices no farther from a straight line are left out of it: wide lines are drawn piece by piece, with round ends."""


class Canvas:
    """`scale` x `scale` subpixels a pixel over a frame; 1 or 3 channels of uint8 as `background` has, in `pixels`.

    A background of four values asks for `surfaces` besides: a raster of classes, one a pixel, that every colour must
    then have and writes to. Only a supersampled canvas is antialiased: with `scale` 1 the last colour painted wins.
    `column`, `row` are the position of its top-left pixel in the whole rendering, for patterns that must run through.
    """

    def __init__(self, frame: Frame, scale: int, background: Sequence[int], column: int = 0, row: int = 0) -> None:
        """Make a canvas of one colour.

        Args:
            frame: The ground that it covers, and its size in pixels.
            scale: Subpixels along a side of a pixel, a power of two.
            background: One value, or red, green and blue, 0 to 255; a fourth value is the class of `surfaces`.
            column: Of its left edge in the whole rendering, pixels.
            row: Of its top edge in the whole rendering, pixels.

        Raises:
            ValueError: The scale is no power of two.
        """
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
        """Scene coordinates (..., 2) -> OpenCV's fixed-point subpixel coordinates, int32.

        Args:
            points: Scene coordinates (..., 2), y up.

        Returns:
            int32 of the same shape; 16 units are a subpixel, y down.
        """
        # Frame.to_pixels and the change to fixed point in one step: this is called for every feature.
        step = self.scale * UNIT / self.frame.gsd
        fixed = (points - (self.frame.left, self.frame.top)) * (step, -step) - UNIT / 2
        return np.rint(fixed).astype(np.int32)

    def lengths(self, metres: float) -> float:
        """Length of `metres` in subpixels.

        Args:
            metres: Length in units of the scene.

        Returns:
            The length in subpixels.
        """
        return metres / self.frame.gsd * self.scale

    def lines(self, geometries: np.ndarray) -> list[Path]:
        """Paths of an array of line strings.

        Args:
            geometries: Line strings (N,) in scene coordinates.

        Returns:
            One path for each line, without vertices that lie on a straight line.
        """
        lines = shapely.simplify(geometries, _STRAIGHT_PX * self.frame.gsd, preserve_topology=False)
        return self._paths(shapely.get_coordinates(lines), shapely.get_num_coordinates(lines))

    def paths(self, lines: Sequence[np.ndarray]) -> list[Path]:
        """Paths of lines given by their vertices (N, 2).

        Args:
            lines: Vertices (K, 2) of each line in scene coordinates.

        Returns:
            One path for each line.
        """
        return self._paths(np.concatenate([np.empty((0, 2)), *lines]), [len(line) for line in lines])

    def _paths(self, vertices: np.ndarray, counts: Sequence[int] | np.ndarray) -> list[Path]:
        points = self.fixed(vertices)[:, None]
        return [points[start:end] for start, end in pairwise([0, *np.cumsum(counts, dtype=int).tolist()])]

    def polygons(self, geometries: np.ndarray) -> list[Shape]:
        """Shapes of an array of polygons, which when filled are neither larger nor smaller than they should be.

        Their shells run counter-clockwise on the ground, holes clockwise, whatever the polygons' rings do.

        Args:
            geometries: Polygons (N,) in scene coordinates.

        Returns:
            One shape for each polygon.
        """
        return self.outlines(geometries).shapes()

    def outlines(self, geometries: np.ndarray) -> Outlines:
        """Return the outlines of polygons before they are taken apart into shapes.

        Args:
            geometries: Polygons (N,) in scene coordinates.

        Returns:
            Their outlines, whose shells run counter-clockwise on the ground and whose holes run clockwise.
        """
        rings, owner = shapely.get_rings(shapely.orient_polygons(geometries), return_index=True)
        coordinates, index = shapely.get_coordinates(rings, return_index=True)
        fixed = self.fixed(coordinates)
        starts = np.searchsorted(index, np.arange(len(rings) + 1))
        inwards = inwards_of(fixed, starts[:-1])
        depths = (*_LINE_DEPTHS, _CORE_DEPTH) if self._smooth else (_PLAIN_DEPTH,)
        # What is narrower than its lines is nothing but the outer ones.
        broad = shapely.area(geometries) * self.lengths(1.0) > _CORE_DEPTH / 2 * shapely.length(geometries)
        return Outlines(
            np.stack([fixed + np.rint(inwards * (depth * UNIT)).astype(np.int32) for depth in depths]),
            starts,
            np.searchsorted(owner, np.arange(len(geometries) + 1)),
            broad & self._smooth,
        )

    def fill(self, shape: Shape, colour: Sequence[int], target: np.ndarray | None = None) -> None:
        """Fill a polygon, antialiased where the canvas is supersampled.

        Args:
            shape: The polygon.
            colour: One value or three; a fourth is the surface class.
            target: Raster of subpixels to paint on instead of the canvas; its surface classes are then left alone.
        """
        surface = self.pixels if target is None else target
        if not self._smooth:
            cv2.fillPoly(surface, shape.rings, colour[:3], cv2.LINE_8, SHIFT)
            return
        if shape.cores:
            cv2.fillPoly(surface, shape.cores, colour[:3], cv2.LINE_8, SHIFT)
        if shape.rings:
            cv2.polylines(surface, shape.rings + shape.lines, True, colour[:3], 1, cv2.LINE_AA, SHIFT)
        if target is None and self.surfaces is not None:
            self.cover(shape, colour)

    def cover(self, shape: Shape, colour: Sequence[int]) -> None:
        """Give a polygon the surface class of a colour and leave its colour.

        Args:
            shape: The polygon.
            colour: Its fourth value is the class.
        """
        assert self.surfaces is not None
        cv2.fillPoly(self.surfaces, shape.rings, colour[3:], cv2.LINE_8, self._surface_shift)

    def convex(
        self, rings: Iterable[np.ndarray], colours: Iterable[Sequence[int]], target: np.ndarray | None = None
    ) -> None:
        """Fill convex polygons one after the other, edges to half a subpixel: faster.

        Args:
            rings: Vertices (K, 2) int32 of each polygon, fixed-point.
            colours: A colour for each polygon.
            target: Raster to paint on instead of the canvas.
        """
        surface = self.pixels if target is None else target
        shift = self._surface_shift if surface is self.surfaces else SHIFT
        for ring, colour in zip(rings, colours, strict=False):
            cv2.fillConvexPoly(surface, ring, colour[:3], cv2.LINE_8, shift)
            if target is None and self.surfaces is not None:
                cv2.fillConvexPoly(self.surfaces, ring, colour[3:], cv2.LINE_8, self._surface_shift)

    def stroke(
        self,
        paths: list[Path],
        thickness: float,
        colour: Sequence[int],
        closed: bool = False,
        target: np.ndarray | None = None,
    ) -> None:
        """Draw lines `thickness` subpixels wide with round ends; OpenCV knows every second width.

        Args:
            paths: The lines.
            thickness: Width in subpixels.
            colour: One value or three; a fourth is the surface class.
            closed: Join the last vertex of each line to its first.
            target: Raster to paint on instead of the canvas.
        """
        if not paths:
            return
        surface = self.pixels if target is None else target
        cv2.polylines(surface, paths, closed, colour[:3], _pen(thickness), self._line_type, SHIFT)
        if target is None and self.surfaces is not None:
            pen = _pen(thickness / self.scale)
            cv2.polylines(self.surfaces, paths, closed, colour[3:], pen, cv2.LINE_8, self._surface_shift)

    def discs(
        self, centres: np.ndarray, radii: np.ndarray, colours: np.ndarray, target: np.ndarray | None = None
    ) -> None:
        """Fill discs one after the other: fixed-point centres (N, 2), radii (N,) in subpixels, colours (N or 1, C).

        Args:
            centres: Fixed-point coordinates (N, 2).
            radii: Radii (N,) in subpixels.
            colours: Colours (N, C), or one for all (1, C).
            target: Raster to paint on instead of the canvas.
        """
        surface = self.pixels if target is None else target
        shift = self._surface_shift if surface is self.surfaces else SHIFT
        places, sizes = centres.astype(int), np.rint(radii * UNIT).astype(int)
        far = np.array(self.pixels.shape[1::-1]) * UNIT
        seen = ((places > -UNIT - sizes[:, None]) & (places < far + sizes[:, None])).all(axis=1)
        chosen = np.broadcast_to(colours[:, :3], (len(seen), min(colours.shape[1], 3)))[seen].tolist()
        for place, size, colour in zip(places[seen].tolist(), sizes[seen].tolist(), chosen, strict=True):
            cv2.circle(surface, place, size, colour, -1, cv2.LINE_8, shift)

    def hatch(self, shapes: Iterable[Shape], spacing_px: float, colour: Sequence[int]) -> None:
        """Diagonal lines one pixel wide over polygons; the pattern runs through the whole rendering.

        Args:
            shapes: The polygons.
            spacing_px: Distance between the lines in pixels of the map.
            colour: Colour of the lines.
        """
        height, width = self.pixels.shape[:2]
        mask = np.zeros((height, width), np.uint8)
        for shape in shapes:
            cv2.fillPoly(mask, shape.rings, (1,), cv2.LINE_8, SHIFT)
        period = round(spacing_px * self.scale * np.sqrt(2))
        diagonals = np.arange(height + width - 1) + (self.row + self.column) * self.scale
        stripes = (diagonals % period < round(self.scale * np.sqrt(2))).astype(np.uint8)
        # Row r of the pattern begins at stripe r.
        mask *= np.lib.stride_tricks.sliding_window_view(stripes, width)
        self.imprint(mask, colour)

    def imprint(self, mask: np.ndarray, colour: Sequence[int], left: int = 0, top: int = 0) -> None:
        """Paint the subpixels where a mask, whose top-left corner lies at (`left`, `top`), is not 0.

        Args:
            mask: Subpixels (H, W) uint8; those that are not 0 are painted.
            colour: The colour.
            left: Column of the mask's first subpixel.
            top: Row of the mask's first subpixel.
        """
        target = self.pixels[top : top + mask.shape[0], left : left + mask.shape[1]]
        cv2.copyTo(_filled(mask.shape[0], mask.shape[1], colour), mask, target)

    def image(self) -> np.ndarray:
        """Return the canvas at one value a pixel, by area average.

        Returns:
            (H, W, C) or (H, W) uint8 in pixels of the frame, as the background has channels.
        """
        return self.averaged(self.pixels)

    def averaged(self, raster: np.ndarray) -> np.ndarray:
        """Return any raster of subpixels at one value a pixel, by area average.

        Args:
            raster: (scale * H, scale * W) or with channels.

        Returns:
            (H, W), with the channels of the raster.
        """
        # OpenCV halves a raster three times as fast as it quarters it.
        while raster.shape[0] > self.frame.height:
            raster = cv2.resize(raster, (raster.shape[1] // 2, raster.shape[0] // 2), interpolation=cv2.INTER_AREA)
        return raster


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


def dashed(points: np.ndarray, drawn: float, gap: float) -> list[np.ndarray]:
    """Cut a line (N, 2) into dashes of the given lengths, starting with a drawn one at its first vertex.

    Args:
        points: Vertices (N, 2).
        drawn: Length of a dash.
        gap: Length between two dashes.

    Returns:
        Vertices (K, 2) of each dash.
    """
    along = np.r_[0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]
    starts = np.arange(0, along[-1], drawn + gap)
    ends = np.minimum(starts + drawn, along[-1])
    first, last = (np.stack([np.interp(s, along, points[:, k]) for k in (0, 1)], axis=1) for s in (starts, ends))
    inside = zip(np.searchsorted(along, starts, "right").tolist(), np.searchsorted(along, ends).tolist(), strict=True)
    return [np.concatenate([first[n, None], points[i:j], last[n, None]]) for n, (i, j) in enumerate(inside)]
