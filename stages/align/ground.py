"""Where the ground lies against an answer that the relief displacement of buildings may have shifted.

Roofs are displaced away from the camera, all to one side and by their own heights, and shift whatever is fitted to all
of the map. Roads, water and fields lie on the ground. The map is therefore compared without its buildings, symbols and
letters (`stages.align.buildings`), and the correlation surfaces of windows all over the raster are averaged before a
peak is sought: in one window a roof may well speak loudest, but roofs of different heights do not agree all
over it. Shadows of buildings along streets do, and facades of one height: what they displace this cannot tell from the
ground (measured by `benchmarks/aligning_displaced.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from matcher.dense.correlation import find_peak
from matcher.dense.masked_image import MaskedImage
from matcher.dense.windows import correlation_surfaces, window_grid
from raster.homography import FloatArray, translation
from raster.image import Image, Mask
from raster.pair import RasterPair
from raster.pixels import resizing
from raster.reader import RasterReader
from raster.resample import warped
from stages.align.buildings import find_buildings
from stages.align.limits import GroundLimits
from stages.align.threads import in_threads


@dataclass(frozen=True, eq=False)
class Ground:
    """The shift of the ground against an answer: `shift` (2,) in visible px, zero where it is not reliable.

    `halves_px`: distance between the shifts of two halves of the windows, visible px; infinite with too few windows.
    `unseen_px`: how far roofs may have shifted the answer where the ground is not found and much of the map is built
    upon, visible px; 0 where nothing says how large a pixel is. `windows`: how many surfaces the averages are of.
    """

    shift: FloatArray
    halves_px: float
    reliable: bool
    unseen_px: float = 0.0
    windows: int = 0

    def unexplained_px(self, building_lean_px: float, reduce: int, limits: GroundLimits) -> float:
        """Return how much of the building lean the shift may have missed, visible px.

        Where hardly any ground is seen between roofs, that is much. A large raster has ground, and roofs of all sorts.

        Args:
            building_lean_px: How far the roofs may have shifted the answer, visible px.
            reduce: Visible pixels a working pixel.
            limits: From how many windows on a raster is large, and how much is missed there at most.
        """
        missed = max(0.0, building_lean_px - float(np.linalg.norm(self.shift)))
        large = self.reliable and self.windows >= limits.many_windows
        return min(missed, limits.max_unexplained_px * reduce) if large else missed

    @property
    def matrix(self) -> FloatArray:
        """The correction, 3x3, in the visible frame."""
        return np.array([[1, 0, self.shift[0]], [0, 1, self.shift[1]], [0, 0, 1]], dtype=np.float64)

    def weighed(self, building_lean_px: float, reduce: int, limits: GroundLimits) -> Ground:
        """Return what the ground and the answer of all windows say together, each weighed by its inverse variance.

        Where no roof is displaced, all windows know better than the ground alone.

        Args:
            building_lean_px: How far the roofs may have shifted the answer, visible px.
            reduce: Visible pixels a working pixel.
            limits: Standard deviations of both, roofs apart.
        """
        variance = limits.answer_deviation_px**2 + (building_lean_px / reduce) ** 2
        return replace(self, shift=self.shift * variance / (variance + limits.deviation_px**2))


def _blocks(visible: RasterReader, reduce: int, limits: GroundLimits) -> tuple[int, NDArray[np.intp]]:
    """Return the side of the blocks and their top-left corners (N, 2), working pixels."""
    height, width = visible.height // reduce, visible.width // reduce
    side = min(limits.block_px, height, width)
    return side, window_grid(height, width, side, max(side, round((height * width / limits.max_blocks) ** 0.5)))


NO_GROUND = Ground(np.zeros(2), float("inf"), False)


def measure_ground(pair: RasterPair, homography: FloatArray, reduce: int, limits: GroundLimits) -> Ground:
    """Measure the shift of the ground alone against an answer.

    Args:
        pair: The map and the visible raster.
        homography: The answer: 3x3, map -> visible, full-resolution pixels.
        reduce: Visible pixels a working pixel.
        limits: Of what is looked at and believed.

    Returns:
        The shift. It is not reliable where nothing says how large a pixel is, where too few windows hold structure,
        where two halves of the windows disagree, and at the border of the search.
    """
    grid = pair.visible.located
    if grid is None:
        return NO_GROUND
    radius = limits.radius_px
    side, blocks = _blocks(pair.visible, reduce, limits)
    component = limits.max_building_m2 / (grid.gsd * reduce) ** 2
    tasks = (_read(pair, homography, reduce, side, *origin) for origin in blocks.tolist())
    sums, counts, built = np.zeros((2, 2 * radius + 1, 2 * radius + 1)), np.zeros(2, int), list[float]()
    for found, number, share in in_threads(lambda block: _summed(block, component, limits), tasks):
        sums += found
        counts += number
        built.append(share)
    unseen = limits.unseen_m / grid.gsd if np.mean(built) > limits.max_built else 0.0
    if counts.min() < limits.min_windows:
        return Ground(np.zeros(2), float("inf"), False, unseen)
    means = np.stack([sums.sum(axis=0) / counts.sum(), *(sums / counts[:, None, None])])
    places = (find_peak(torch.from_numpy(means).float()).place.double().numpy() - radius) * reduce
    apart = float(np.linalg.norm(places[1] - places[2]))
    inside_search = bool(np.abs(places[0]).max() < (radius - 1) * reduce)
    if inside_search and apart <= limits.max_halves_px * reduce:
        return Ground(places[0], apart, True, windows=int(counts.sum()))
    return Ground(np.zeros(2), apart, False, unseen)


class _Block(NamedTuple):
    """Both sides of a block (pixels, mask) whose top-left working pixel is `origin`."""

    origin: tuple[int, int]
    drawn: tuple[Image, Mask]
    seen: tuple[Image, Mask]


def _read(pair: RasterPair, homography: FloatArray, reduce: int, side: int, x0: int, y0: int) -> _Block:
    seen = pair.visible.read(x0 * reduce, y0 * reduce, side * reduce, side * reduce, reduce)
    to_block = translation(-x0, -y0) @ resizing(1 / reduce, 1 / reduce) @ homography
    return _Block((x0, y0), warped(pair.map, to_block, side, side), seen)


@torch.no_grad()
def _summed(block: _Block, component: float, limits: GroundLimits) -> tuple[FloatArray, NDArray[np.intp], float]:
    """Return the sums (2, D, D) of the correlation surfaces of two halves of a block's windows, their numbers, and the
    share of the map that buildings cover."""
    (drawn, inside), radius = block.drawn, limits.radius_px
    device, side = torch.device("cpu"), len(drawn)
    buildings = inside & find_buildings(drawn, component)
    compared = inside & ~buildings
    fields = [MaskedImage(*each, device).harmonics(1.0)[0][0] for each in ((drawn, compared), block.seen)]
    size = min(limits.window_px, side)
    corners = window_grid(side, side, size, size)
    surfaces = correlation_surfaces(fields[0], fields[1], corners, size, radius).numpy()
    parity = (corners + np.array(block.origin)).sum(axis=1) // size % 2
    held = surfaces.max(axis=(1, 2)) > 0
    halves = [held & (parity == half) for half in (0, 1)]
    sums = np.stack([surfaces[half].sum(axis=0, dtype=np.float64) for half in halves])
    return sums, np.array([half.sum() for half in halves], np.intp), float(buildings.mean())
