"""From a hypothesis to precise matches: image 1 is warped by the homography found so far and compared cell by cell.

Ours, not the paper's. For every cell there is a surface of similarities with the cells around its own place; summed
along the shifts that one transformation implies, the surfaces find it where most cells alone would not (see
`matcher.dense.pooling`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from matcher.dense.masked_image import MaskedImage
from matcher.dense.pooling import pool_surfaces
from matcher.dense.resident import Deferred, Homography, fetched
from matcher.mapglue.config import STRIDE
from matcher.mapglue.encoding import EncodedImage, Encoder, encode_warped
from matcher.mapglue.local import cell_shifts, correlation_volume
from matcher.types import Matches
from raster.fit import Model
from raster.homography import FloatArray, Matrix, apply_homography
from raster.pixels import rescaled, resizing

PASSES: tuple[tuple[int, tuple[Model, ...]], ...] = (
    (5, ("similarity",)),
    (4, ("similarity", "homography")),
    (3, ("similarity", "homography")),
)
"""For each pass: radius of the search in cells, and the transformation models that may explain the shifts."""

WINDOWS = 600
"""Cells, evenly spread, whose surfaces are pooled; more add no independent evidence."""

MIN_WINDOWS = 30
"""Fewer cells that hold data in both images do not determine a homography."""

RADIUS, SUPPORT = 3, 5
"""Radius, in cells, of the search for a cell's own match, and side of the square of cells over which it is averaged."""

AGREEING_PX = 6.0
"""Largest distance, in pixels of image 0, of a cell's own match from the homography that it agrees with."""

_TO_PIXELS = resizing(STRIDE, STRIDE)


@dataclass(frozen=True, eq=False)
class Refined:
    """A refined hypothesis.

    Attributes:
        matrix: 3 x 3, image 0 -> image 1.
        matches: The cells that agree with it.
        score: Hypothesis score in [0, 1]: the share of agreeing cells among those that both images show, times their
            share among all cells of image 0. The first factor alone is high where a small overlap agrees by chance; the
            second lowers it there.
    """

    matrix: Matrix
    matches: Matches
    score: float


def refine(
    encode: Encoder, view0: EncodedImage, size0: tuple[int, int], image1: MaskedImage, matrix: Matrix
) -> Refined:
    """Refine a hypothesis.

    Args:
        encode: What encodes the warped image 1.
        view0: Image 0, encoded.
        size0: Width and height of image 0, pixels.
        image1: Image 1.
        matrix: The hypothesis, 3 x 3, image 0 -> image 1.
    """
    for radius, models in PASSES:
        at = Homography.at(matrix, encode.device)
        change = _pooled(view0, encode_warped(encode, image1, at, size0), radius, models)
        if change is None:
            return Refined(matrix, Matches.empty(), 0.0)
        matrix = matrix @ change
        matrix = matrix / matrix[2, 2]
    at = Homography.at(matrix, encode.device)
    return fetched(verify(encode, view0, size0, image1, at))[0]


def verify(
    encode: Encoder, view0: EncodedImage, size0: tuple[int, int], image1: MaskedImage, at: Homography
) -> Deferred[Refined]:
    """Match cells around a hypothesis as it is, and tell how many agree with it.

    Args:
        encode: What encodes the warped image 1.
        view0: Image 0, encoded.
        size0: Width and height of image 0, pixels, to which image 1 is warped.
        image1: Image 1, not warped.
        at: The hypothesis, image 0 -> image 1; it is returned unchanged.
    """
    return agreeing(view0, encode_warped(encode, image1, at, size0), at)


@torch.no_grad()
def _pooled(view0: EncodedImage, view1: EncodedImage, radius: int, models: tuple[Model, ...]) -> Matrix | None:
    """Return the transformation of image 0's pixels under which all cells are most similar; None if few are on both."""
    side = 2 * radius + 1
    both = (view0.cells & view1.cells).flatten().nonzero()[:, 0]
    if len(both) < MIN_WINDOWS:
        return None
    windows = both[torch.linspace(0, len(both) - 1, min(WINDOWS, len(both)), device=both.device).long()]
    volume = correlation_volume(view0, view1, radius).flatten(1)[:, windows]
    real = volume > -1
    mean = (volume * real).sum(0) / real.sum(0).clamp(min=1)
    surfaces = torch.where(real, volume - mean, 0.0).T.unflatten(1, (side, side))
    width = view0.cells.shape[1]
    centres = torch.stack([windows % width, torch.div(windows, width, rounding_mode="floor")], 1)
    change, _ = pool_surfaces(surfaces[None], centres, models)
    return np.asarray(_TO_PIXELS @ change[0].cpu().numpy() @ np.linalg.inv(_TO_PIXELS))


@torch.no_grad()
def agreeing(view0: EncodedImage, view1: EncodedImage, at: Homography) -> Deferred[Refined]:
    """Match cell by cell around a homography, and keep the matches near it, moved onto it.

    Where a map is generalised, a match of cells is off by a few pixels, and a homography fitted to such matches would
    follow their errors to the corners.

    Args:
        view0: Image 0, encoded.
        view1: Image 1, warped by the homography, encoded.
        at: The homography, image 0 -> image 1; it is returned unchanged.
    """
    moved, margin, found = cell_shifts(view0, view1, RADIUS, SUPPORT)
    agreeing = found & (moved.norm(dim=-1) < AGREEING_PX)
    cells = torch.stack([margin, agreeing, view0.cells & view1.cells, view0.cells])

    def finish(values: FloatArray) -> Refined:
        matrix = values[:9].reshape(3, 3)
        margins, kept, both, all0 = values[9:].reshape(cells.shape)
        kept0 = rescaled(np.argwhere(kept > 0)[:, ::-1].astype(np.float32), STRIDE)
        moved0 = apply_homography(matrix, kept0).astype(np.float32)
        matches = Matches(kept0, moved0, margins[kept > 0].astype(np.float32))
        return Refined(matrix, matches, float(len(matches) ** 2 / max(both.sum() * all0.sum(), 1)))

    return Deferred(torch.cat([at.values.flatten(), cells.double().flatten()]), finish)
