"""Hypotheses near a prior: given rotations and scales at which small versions of two images agree best.

The aligner's search, which has a prior most of the time; `matcher.dense.search` is that of images without one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy.fft import next_fast_len
from torch import Tensor

from matcher.dense.harmonics import CHANNELS, turn_harmonics
from matcher.dense.masked_image import MaskedImage
from raster.homography import Matrix, inverse

BATCH = 12
"""Rotations correlated at once: enough to fill a processor, few enough to stay in its caches."""

PERIOD = 0.75
"""Length of the transforms, as a share of the length at which no correlation wraps round."""

ROTATIONS = 72
"""Rotations of a full circle, between whose steps a hypothesis is refined."""

REFINED_SIDE = 192
"""Longer side, in pixels, of image 1 around a hypothesis that is refined."""


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """A similarity between two images.

    Attributes:
        score: Cosine between the harmonics of both whole images under the similarity, in [-1, 1].
        angle: Rotation in radians, from x towards y.
        scale: Scale, as it was asked for.
        matrix: 3 x 3 float64, pixels of image 0 -> pixels of image 1.
    """

    score: float
    angle: float
    scale: float
    matrix: Matrix


def search_similarities(
    view0: MaskedImage, view1: MaskedImage, angles: npt.NDArray[np.float64], scales: Sequence[float], side: int
) -> list[Hypothesis]:
    """Correlate image 0 at every rotation and scale with image 1 at every shift.

    The score divides by the energy of both whole images, not of their overlap: a small overlap that agrees by chance
    cannot score higher than one that fills the images.

    Args:
        view0: Image 0.
        view1: Image 1.
        angles: Rotations in radians.
        scales: Scales.
        side: Longer side, in pixels, to which image 1 is reduced and image 0 with it. Where image 0 at a scale is
            larger than image 1, both are reduced further, by the root of the ratio.

    Returns:
        The best shift of every rotation and scale, best hypothesis first.
    """
    longest0, longest1 = max(view0.image.shape[:2]), max(view1.image.shape[:2])
    found = []
    for scale in scales:
        reduction = side / longest1 / math.sqrt(max(1.0, scale * longest0 / longest1))
        harmonics0, to_small0 = view0.harmonics(reduction * scale, saturated=True)
        harmonics1, to_small1 = view1.harmonics(reduction, saturated=True)
        found += _best_shifts(harmonics0, harmonics1, angles, scale, (to_small0, inverse(to_small1)))
    return sorted(found, key=lambda each: -each.score)


def distinct_hypotheses(hypotheses: Sequence[Hypothesis], count: int) -> list[Hypothesis]:
    """Return the first `count` hypotheses that are no neighbours: two steps of angle or one of scale apart.

    Args:
        hypotheses: Best first.
        count: Most hypotheses to return.
    """
    chosen: list[Hypothesis] = []
    for each in hypotheses:
        if len(chosen) == count:
            break
        if all(_angle_between(each, other) > 0.2 or abs(math.log(each.scale / other.scale)) > 0.25 for other in chosen):
            chosen.append(each)
    return chosen


def refine_hypothesis(view0: MaskedImage, view1: MaskedImage, found: Hypothesis) -> Hypothesis:
    """Search around a hypothesis with half the steps of the search, then a quarter, on larger versions of the
    images.

    Args:
        view0: Image 0, at any resolution.
        view1: Image 1, at any resolution.
        found: Hypothesis of `search_similarities`.

    Returns:
        The best one around it; its score is that on the larger versions, which those of the search do not compare with.
    """
    for halving in (1, 2):
        angle, scale = np.pi / ROTATIONS / halving, 2.0 ** (0.125 / halving)
        angles = found.angle + angle * np.array([-1.0, 0.0, 1.0])
        scales = found.scale / scale, found.scale, found.scale * scale
        found = search_similarities(view0, view1, angles, scales, REFINED_SIDE)[0]
    return found


def rotated(harmonics: Tensor, angles: npt.NDArray[np.float64], side: int) -> tuple[Tensor, list[Matrix]]:
    """Rotate the harmonics of one image about its centre.

    Args:
        harmonics: 1 x 4 x H x W.
        angles: B rotations in radians, from x towards y.
        side: Side of the squares that hold the result, pixels.

    Returns:
        B x 4 x S x S, zero outside the image, and for each the matrix from the image's pixels to the square's.
    """
    height, width = harmonics.shape[-2:]
    matrices, samplings = [], []
    for angle in angles:
        cosine, sine = math.cos(angle), math.sin(angle)
        turn = np.array([[cosine, -sine], [sine, cosine]])
        matrix = np.eye(3)
        matrix[:2, :2] = turn
        matrix[:2, 2] = (side - 1) / 2 - turn @ [(width - 1) / 2, (height - 1) / 2]
        matrices.append(matrix)
        # affine_grid takes the inverse, in coordinates in which an image spans -1 to 1.
        samplings.append(
            [[cosine * side / width, sine * side / width, 0], [-sine * side / height, cosine * side / height, 0]]
        )
    theta = torch.tensor(samplings, dtype=harmonics.dtype, device=harmonics.device)
    grid = F.affine_grid(theta, [len(angles), CHANNELS, side, side], align_corners=False)
    sampled = F.grid_sample(harmonics.expand(len(angles), -1, -1, -1), grid, align_corners=False)
    return turn_harmonics(sampled, torch.from_numpy(np.asarray(angles)).to(harmonics.device)), matrices


def _best_shifts(
    harmonics0: Tensor, harmonics1: Tensor, angles: npt.NDArray[np.float64], scale: float, frames: tuple[Matrix, Matrix]
) -> list[Hypothesis]:
    """Correlate `harmonics0` at all `angles` with `harmonics1`; `frames` lead from image 0 and to image 1."""
    height, width = harmonics1.shape[-2:]
    diagonal = math.ceil(math.hypot(*harmonics0.shape[-2:]))
    size = _period(diagonal, height), _period(diagonal, width)
    spectrum1 = torch.fft.rfft2(harmonics1, s=size)
    energy1 = harmonics1.square().sum().clamp(min=1e-12)
    found = []
    for start in range(0, len(angles), BATCH):
        batch = angles[start : start + BATCH]
        turned, centring = rotated(harmonics0, batch, diagonal)
        product = (torch.fft.rfft2(turned, s=size).conj() * spectrum1).sum(1)
        surface = torch.fft.irfft2(product, s=size).flatten(1)
        scores, places = (surface / (turned.square().sum((1, 2, 3)) * energy1).clamp(min=1e-12).sqrt()[:, None]).max(1)
        for angle, score, place, turn in zip(batch, scores.tolist(), places.tolist(), centring, strict=True):
            y, x = divmod(place, size[1])
            shift = np.eye(3)
            shift[:2, 2] = _nearest(x, size[1], width - diagonal), _nearest(y, size[0], height - diagonal)
            found.append(Hypothesis(score, float(angle), scale, frames[1] @ shift @ turn @ frames[0]))
    return found


def _period(length0: int, length1: int) -> int:
    """Return after how many pixels of shift the correlation may repeat itself.

    Only the corners of the squares that hold rotated images, which are mostly empty, and small overlaps then wrap round
    into other shifts.
    """
    return int(next_fast_len(max(length0, length1, math.ceil(PERIOD * (length0 + length1))), real=True))


def _nearest(place: int, period: int, twice_middle: int) -> int:
    """Return, of the shifts that repeat as `place`, the one that brings the images' centres closest together."""
    return place if abs(2 * place - twice_middle) <= abs(2 * (place - period) - twice_middle) else place - period


def _angle_between(first: Hypothesis, second: Hypothesis) -> float:
    return abs((first.angle - second.angle + math.pi) % (2 * math.pi) - math.pi)
