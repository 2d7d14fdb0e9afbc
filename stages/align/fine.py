"""The fine step: where each window of the map lies on the visible raster, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from matcher.dense.windows import match_windows
from raster.box import window_means
from raster.homography import FloatArray, apply_homography, inverse, translation
from raster.pair import RasterPair
from raster.pixels import rescaled, resizing
from raster.reader import RasterReader
from raster.resample import warped
from stages.align.features import Features, Side
from stages.align.limits import WindowLimits
from stages.align.resume import measured_once
from stages.align.threads import in_threads

BLOCK = 1024
"""Usual side of the blocks (pixels of the pass): windows whose top-left corner lies in one are measured together."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Where windows lie: `reduce` visible pixels a pixel of the pass; the rest in these: the windows' `size`, the
    `radius` of their search, their top-left `corners` (N, 2), and the side of the `block`s measured together."""

    reduce: int
    size: int
    radius: int
    corners: NDArray[np.intp]
    block: int


@dataclass(frozen=True, eq=False)
class Windows:
    """What the windows measured: automatic tie points, and how reliable each is.

    Points in full-resolution pixels: `source` (N, 2) in the map, `expected` where the homography puts it in the visible
    raster, `found` where the correlation does. `scores`, `peak_margins` and `forward_backward` errors (pixels of the
    pass) as in `matcher.dense.windows`; `inside` (N,) bool: does not end at the border of its search; `reliable` (N,)
    bool: passes this, the peak-margin and the forward-backward test.
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

    def weights(self, full_margin: float) -> FloatArray:
        """Return what each window counts (N,), in [0, 1]: its peak margin, as a share of one that counts in full."""
        return np.clip(self.peak_margins / full_margin, 0.0, 1.0)

    def share(self, chosen: NDArray[np.bool_], among: NDArray[np.bool_], full_margin: float) -> float:
        """Return which share of what windows count is that of chosen ones; 0 without any.

        Windows of water or forest show nothing that is found again, and count next to nothing.

        Args:
            chosen: (N,), which windows are chosen.
            among: (N,), which windows count at all.
            full_margin: See `weights`.
        """
        weights = self.weights(full_margin) * among
        return float(weights @ chosen / weights.sum()) if weights.any() else 0.0

    def joined(self, others: Windows) -> Windows:
        """Return these windows and, after them, others."""
        names = [field.name for field in fields(self)]
        return Windows(*(np.concatenate([getattr(self, name), getattr(others, name)]) for name in names))


def measure(
    pair: RasterPair, homography: FloatArray, layout: Layout, features: Features, limits: WindowLimits
) -> Windows:
    """Measure every window that holds data and structure on both sides.

    Args:
        pair: The map and the visible raster.
        homography: Where the search starts: 3x3, map -> visible, full-resolution pixels.
        layout: Which windows, at which reduction.
        features: What they are compared by.
        limits: What a window must hold, and what makes it reliable.

    Returns:
        One row for each such window, block by block.
    """

    def rows() -> FloatArray:
        blocks = (
            _read_block(pair, homography, layout, corners, bounds) for corners, bounds in _blocks(pair.visible, layout)
        )
        found = in_threads(lambda block: _measure_block(block, layout, features, limits), blocks)
        return np.concatenate([np.empty((0, 8)), *found])

    compared = f"{features.name} {features.building_px} {features.device.type}"
    placed = f"{layout.reduce} {layout.size} {layout.radius} {layout.block}"
    table = measured_once(f"{compared} {placed}".encode() + homography.tobytes() + layout.corners.tobytes(), rows)
    expected, shifts = table[:, :2], table[:, 2:4]
    scores, peak_margins, forward_backward = table[:, 4], table[:, 5], table[:, 6]
    reach = layout.radius // features.stride * features.stride
    inside = np.abs(shifts).max(axis=1, initial=0) < reach - 0.5 * features.stride
    to_full = inverse(resizing(1 / layout.reduce, 1 / layout.reduce))
    return Windows(
        source=apply_homography(inverse(homography), apply_homography(to_full, expected)),
        expected=apply_homography(to_full, expected),
        found=apply_homography(to_full, expected + shifts),
        scores=scores,
        peak_margins=peak_margins,
        forward_backward=forward_backward,
        inside=inside,
        reliable=inside
        & (forward_backward <= limits.max_forward_backward_px)
        & (peak_margins >= limits.min_peak_margin),
    )


def _blocks(visible: RasterReader, layout: Layout) -> Iterator[tuple[NDArray[np.intp], tuple[int, int, int, int]]]:
    """Yield the windows' corners by block, and the bounds (x0, y0, x1, y1) of the block with all it looks at; both in
    pixels of the pass."""
    height, width = visible.height // layout.reduce, visible.width // layout.reduce
    keys = layout.corners // layout.block
    for key in np.unique(keys, axis=0):
        here = layout.corners[(keys == key).all(axis=1)]
        x0, y0 = np.maximum(here.min(0) - layout.radius, 0)
        x1, y1 = np.minimum(here.max(0) + layout.size + layout.radius, (width, height))
        yield here, (int(x0), int(y0), int(x1), int(y1))


class _Block(NamedTuple):
    """Both sides of a block whose top-left pixel of the pass is `origin`, and its windows' `corners`."""

    origin: tuple[int, int]
    corners: NDArray[np.intp]
    drawn: Side
    seen: Side


def _read_block(
    pair: RasterPair,
    homography: FloatArray,
    layout: Layout,
    corners: NDArray[np.intp],
    bounds: tuple[int, int, int, int],
) -> _Block:
    x0, y0, x1, y1 = bounds
    width, height, reduce = x1 - x0, y1 - y0, layout.reduce
    seen = pair.visible.read(x0 * reduce, y0 * reduce, width * reduce, height * reduce, reduce)
    working = resizing(1 / reduce, 1 / reduce) @ homography
    return _Block((x0, y0), corners, warped(pair.map, translation(-x0, -y0) @ working, width, height), seen)


@torch.no_grad()
def _measure_block(block: _Block, layout: Layout, features: Features, limits: WindowLimits) -> FloatArray:
    stride = features.stride
    first, second = features.describe(block.drawn, block.seen)
    size, local = layout.size // stride, (block.corners - block.origin) // stride
    held = torch.from_numpy(block.drawn[1] & block.seen[1])
    share = window_means(held, local * stride, size * stride).numpy()
    strengths = [window_means(field.square().sum(0).sqrt(), local, size).cpu().numpy() for field in (first, second)]
    usable = (share >= limits.min_data) & (np.minimum(*strengths) >= features.min_structure)
    radius, margin = layout.radius // stride, limits.min_peak_margin
    found = match_windows(first, second, local[usable], size, radius, margin, features.exclusion)
    numbers = np.column_stack([found.scores, found.margins, found.forward_backward * stride, share[usable]])
    centres = rescaled(found.centres, stride) + np.array(block.origin)
    return np.concatenate([centres, found.shifts * stride, numbers], axis=1)
