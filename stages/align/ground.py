"""Where the ground lies against an answer that the relief displacement of buildings may have shifted (relief
displacement).

Roofs are displaced away from the camera, all to one side and by their own heights, and shift whatever is fitted to all
of the map. Roads, water and fields lie on the ground. The map is therefore compared without its small connected
components (buildings, symbols, letters), and the correlation surfaces of windows all over the raster are averaged
before a peak is sought: in one window a roof may well speak loudest, but only the ground is displaced alike everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from matcher.dense.correlation import find_peak
from matcher.dense.masked_image import MaskedImage
from matcher.dense.windows import correlation_surfaces, window_grid
from raster.homography import FloatArray
from raster.pair import RasterPair
from raster.pixels import resizing
from raster.reader import RasterReader
from raster.resample import warped
from stages.align.small_components import find_small_components

BLOCK, BLOCKS = 1024, 40
"""Side of the blocks that are looked at (working pixels), and how many there are at most."""

SIZE, RADIUS = 256, 12
"""Side of the windows within them, and the reach of their search (working pixels)."""

MANY_BLOCKS = 20
"""Blocks from which on surfaces are averaged: fewer do not outweigh that masking buildings leaves little to compare."""

MAX_COMPONENT_M2 = 3000.0
"""Square metres of the largest building that is told from the ground."""

MIN_WINDOWS = 8
MAX_HALVES = 1.0
"""Working pixels by which the shifts of two halves of the windows may differ for the shift to be believed."""


@dataclass(frozen=True, eq=False)
class Ground:
    """The shift of the ground against an answer: `shift` (2,) in visible px, zero where it is not reliable.

    `halves_px`: distance between the shifts of two halves of the windows, visible px; infinite with too few windows.
    """

    shift: FloatArray
    halves_px: float
    reliable: bool

    @property
    def matrix(self) -> FloatArray:
        """The correction, 3x3, in the visible frame."""
        return np.array([[1, 0, self.shift[0]], [0, 1, self.shift[1]], [0, 0, 1]], dtype=np.float64)


def has_many_blocks(visible: RasterReader, reduce: int) -> bool:
    """Return whether a raster is large enough to average surfaces all over it."""
    return len(_blocks(visible, reduce)[1]) >= MANY_BLOCKS


def _blocks(visible: RasterReader, reduce: int) -> tuple[int, NDArray[np.intp]]:
    """Return the side of the blocks and their top-left corners (N, 2), working pixels."""
    height, width = visible.height // reduce, visible.width // reduce
    side = min(BLOCK, height, width)
    return side, window_grid(height, width, side, max(side, round((height * width / BLOCKS) ** 0.5)))


NO_GROUND = Ground(np.zeros(2), float("inf"), False)


@torch.no_grad()
def measure_ground(pair: RasterPair, homography: FloatArray, reduce: int) -> Ground:
    """Measure the shift of the ground alone against an answer.

    Args:
        pair: The map and the visible raster.
        homography: The answer: 3x3, map -> visible, full-resolution pixels.
        reduce: Visible pixels a working pixel.

    Returns:
        The shift. It is not reliable where nothing says how large a pixel is, where too few windows hold structure, and
        where two halves of the windows disagree.
    """
    grid = pair.visible.located
    if grid is None:
        return NO_GROUND
    side, blocks = _blocks(pair.visible, reduce)
    component = MAX_COMPONENT_M2 / (grid.gsd * reduce) ** 2
    sums, counts = np.zeros((2, 2 * RADIUS + 1, 2 * RADIUS + 1)), np.zeros(2, int)
    for x0, y0 in blocks.tolist():
        image, mask = pair.visible.read(x0 * reduce, y0 * reduce, side * reduce, side * reduce, reduce)
        shift = np.array([[1, 0, -x0], [0, 1, -y0], [0, 0, 1]], dtype=np.float64)
        drawn, inside = warped(pair.map, shift @ resizing(1 / reduce, 1 / reduce) @ homography, side, side)
        compared = inside & ~find_small_components(drawn, component)
        sides = (MaskedImage(drawn, compared, torch.device("cpu")), MaskedImage(image, mask, torch.device("cpu")))
        fields = [each.harmonics(1.0)[0][0] for each in sides]
        size = min(SIZE, side)
        corners = window_grid(side, side, size, size)
        surfaces = correlation_surfaces(fields[0], fields[1], corners, size, RADIUS).numpy()
        parity = (corners + np.array([x0, y0])).sum(axis=1) // size % 2
        held = surfaces.max(axis=(1, 2)) > 0
        for half in (0, 1):
            sums[half] += surfaces[held & (parity == half)].sum(axis=0, dtype=np.float64)
            counts[half] += int((held & (parity == half)).sum())
    if counts.min() < MIN_WINDOWS:
        return NO_GROUND
    means = np.stack([sums.sum(axis=0) / counts.sum(), *(sums / counts[:, None, None])])
    peak = find_peak(torch.from_numpy(means).float())
    places = (peak.place.double().numpy() - RADIUS) * reduce
    apart = float(np.linalg.norm(places[1] - places[2]))
    inside_search = bool(np.abs(places[0]).max() < (RADIUS - 1) * reduce)
    reliable = inside_search and apart <= MAX_HALVES * reduce
    return Ground(places[0] if reliable else np.zeros(2), apart, reliable)
