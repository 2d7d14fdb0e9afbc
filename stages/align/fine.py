"""The fine step: where each window of the map lies on the visible raster, block by block at working resolution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from matcher.dense.masked_image import MaskedImage
from matcher.dense.windows import match_windows
from raster.box import window_means
from raster.homography import FloatArray, apply_homography, inverse
from raster.pair import RasterPair
from raster.pixels import resizing
from raster.reader import RasterReader
from raster.resample import warped
from stages.align.small_components import find_small_components

BLOCK = 1536
"""Usual side of the blocks (working pixels): windows whose top-left corner lies in one are measured together."""

MIN_DATA = 0.7
"""Share of a window that must hold data on both sides."""

MIN_STRUCTURE = 0.05
"""Least mean strength of the structure in a window, on both sides: below, there is nothing to match."""

MAX_FORWARD_BACKWARD = 2.0
MIN_PEAK_MARGIN = 0.02


@dataclass(frozen=True, eq=False)
class Layout:
    """Where windows lie: `reduce` visible pixels a working pixel; the rest in working pixels: the windows' `size`, the
    `radius` of their search, their top-left `corners` (N, 2), and the side of the `block`s measured together.
    Connected components of the map of less than `min_component` square pixels are masked out (see
    `stages.align.small_components`)."""

    reduce: int
    size: int
    radius: int
    corners: NDArray[np.intp]
    block: int
    min_component: float = 0.0


@dataclass(frozen=True, eq=False)
class Windows:
    """What the windows measured: automatic tie points, and how reliable each is.

    Points in full-resolution pixels: `source` (N, 2) in the map, `expected` where the homography puts it in the visible
    raster, `found` where the correlation does. `scores`, `peak_margins` and `forward_backward` errors (working pixels)
    as in `matcher.dense.windows`; `inside` (N,) bool: does not end at the border of its search; `reliable` (N,) bool:
    passes this, the peak-margin and the forward-backward test.
    """

    source: FloatArray
    expected: FloatArray
    found: FloatArray
    scores: FloatArray
    peak_margins: FloatArray
    forward_backward: FloatArray
    inside: NDArray[np.bool_]
    reliable: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.source)


@torch.no_grad()
def measure(pair: RasterPair, homography: FloatArray, layout: Layout) -> Windows:
    """Measure every window that holds data and structure on both sides.

    Args:
        pair: The map and the visible raster.
        homography: Where the search starts: 3x3, map -> visible, full-resolution pixels.
        layout: Which windows, at which reduction.

    Returns:
        One row for each such window, block by block.
    """
    rows = [np.empty((0, 8))]
    for corners, bounds in _blocks(pair.visible, layout):
        rows.append(_measure_block(pair, homography, layout, corners, bounds))
    table = np.concatenate(rows)
    expected, shifts = table[:, :2], table[:, 2:4]
    scores, peak_margins, forward_backward = table[:, 4], table[:, 5], table[:, 6]
    inside = np.abs(shifts).max(axis=1, initial=0) < layout.radius - 0.5
    to_full = inverse(resizing(1 / layout.reduce, 1 / layout.reduce))
    return Windows(
        source=apply_homography(inverse(homography), apply_homography(to_full, expected)),
        expected=apply_homography(to_full, expected),
        found=apply_homography(to_full, expected + shifts),
        scores=scores,
        peak_margins=peak_margins,
        forward_backward=forward_backward,
        inside=inside,
        reliable=inside & (forward_backward <= MAX_FORWARD_BACKWARD) & (peak_margins >= MIN_PEAK_MARGIN),
    )


def _blocks(visible: RasterReader, layout: Layout) -> Iterator[tuple[NDArray[np.intp], tuple[int, int, int, int]]]:
    """Yield the windows' corners by block, and the bounds (x0, y0, x1, y1) of the block with all it looks at; both in
    working pixels."""
    height, width = visible.height // layout.reduce, visible.width // layout.reduce
    keys = layout.corners // layout.block
    for key in np.unique(keys, axis=0):
        here = layout.corners[(keys == key).all(axis=1)]
        x0, y0 = np.maximum(here.min(0) - layout.radius, 0)
        x1, y1 = np.minimum(here.max(0) + layout.size + layout.radius, (width, height))
        yield here, (int(x0), int(y0), int(x1), int(y1))


def _measure_block(
    pair: RasterPair,
    homography: FloatArray,
    layout: Layout,
    corners: NDArray[np.intp],
    bounds: tuple[int, int, int, int],
) -> FloatArray:
    x0, y0, x1, y1 = bounds
    width, height, reduce = x1 - x0, y1 - y0, layout.reduce
    image, mask = pair.visible.read(x0 * reduce, y0 * reduce, width * reduce, height * reduce, reduce)
    working = resizing(1 / reduce, 1 / reduce) @ homography
    shift = np.array([[1, 0, -x0], [0, 1, -y0], [0, 0, 1]], dtype=np.float64)
    drawn, inside = warped(pair.map, shift @ working, width, height)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    compared = inside & ~find_small_components(drawn, layout.min_component) if layout.min_component else inside
    field0, field1 = (MaskedImage(*side, device).harmonics(1.0)[0][0] for side in ((drawn, compared), (image, mask)))
    size = layout.size
    local = corners - (x0, y0)
    share = window_means(torch.from_numpy(inside & mask), local, size)
    strengths = [window_means(field.square().sum(0).sqrt(), local, size) for field in (field0, field1)]
    usable = (share >= MIN_DATA) & (np.minimum(*strengths) >= MIN_STRUCTURE)
    found = match_windows(field0, field1, local[usable], size, layout.radius, MIN_PEAK_MARGIN)
    centres = found.centres + np.array([x0, y0])
    numbers = np.column_stack([found.scores, found.margins, found.forward_backward, share[usable]])
    return np.concatenate([centres, found.shifts, numbers], axis=1)
