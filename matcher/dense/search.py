"""The search of similarities: any rotation, scales of 1/2 to 2, any shift, by correlation of whole images.

Orientation harmonics are computed once, at full size, and reduced to the search's resolutions. The larger image of a
scale is turned: a quarter of the rotations is sampled and the quarter turns of each follow by a change of signs, as
a turn by 90 degrees negates cos 2t and sin 2t and leaves cos 4t and sin 4t. The cross-spectrum is whitened in part,
which sharpens the peak of the true similarity beside those of repeated structure (after phase correlation).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from scipy.fft import next_fast_len
from torch import Tensor

from matcher.dense.harmonics import orientation_harmonics, turn_harmonics

SIDE = 64
"""Longer side, in pixels, of the larger image of a scale."""

ROTATIONS = 72
"""Rotations of the full circle, a multiple of four."""

SCALES = tuple(2.0 ** (step / 4) for step in range(-4, 5))

WHITENING = 0.3
"""The cross-spectrum is divided by this power of its magnitude: 0 is correlation, 1 phase correlation."""

BATCH = 18
"""Rotations correlated at once: few enough that their spectra stay in a processor's caches."""

PERIOD = 0.75
"""Length of the transforms, as a share of the length at which no correlation wraps round."""

NEIGHBOUR_ANGLE, NEIGHBOUR_SCALE = 0.2, 0.25
"""Similarities nearer to a better one, in radians and in logarithms of scales, are taken for the same."""


class Similarities(NamedTuple):
    """Distinct similarities between two images, best first.

    Attributes:
        scores: K, cosine between the whitened harmonics of both whole images.
        matrices: K x 3 x 3 float64, pixels of image 0 -> pixels of image 1.
    """

    scores: Tensor
    matrices: Tensor


class _Correlated(NamedTuple):
    """The best shift of each rotation at one scale: K scores and K matrices, pixels of image 0 -> of image 1."""

    scores: Tensor
    angles: Tensor
    matrices: Tensor


class _Turned(NamedTuple):
    """An image at each of K rotations in a square of S x S pixels: spectra of batches of these, and energies, K."""

    side: int
    spectra: list[Tensor]
    energies: Tensor


@torch.no_grad()
def search(image0: Tensor, mask0: Tensor, image1: Tensor, mask1: Tensor, count: int) -> Similarities:
    """Return the best similarities between two images.

    Args:
        image0: 1 x 3 x H x W in [0, 1].
        mask0: 1 x 1 x H x W bool, where image 0 holds data.
        image1: 1 x 3 x H' x W' in [0, 1].
        mask1: 1 x 1 x H' x W' bool.
        count: How many distinct similarities to return.
    """
    sides = [search_harmonics(image0, mask0), search_harmonics(image1, mask1)]
    longest = [max(side.shape[-2:]) for side in sides]
    turned = [
        _transformed(_turned(_reduced(side, SIDE / length), ROTATIONS))
        for side, length in zip(sides, longest, strict=True)
    ]
    found, scales = [], []
    for scale in SCALES:
        ratio = scale * longest[0] / longest[1]  # length of image 0 to that of image 1 at this scale
        larger = int(ratio <= 1)
        still = _reduced(sides[1 - larger], SIDE / longest[1 - larger] * min(ratio, 1 / ratio))
        scores, places = _correlate(turned[larger], still)
        matrices = _matrices(places, turned[larger].side, still, (sides[larger], sides[1 - larger]))
        angles = torch.arange(ROTATIONS, device=scores.device) * (2 * math.pi / ROTATIONS)
        if larger:
            matrices, angles = torch.linalg.inv_ex(matrices).inverse, -angles
        found.append(_Correlated(scores, angles, matrices))
        scales.append(torch.full_like(scores, math.log(scale)))
    scores, angles, matrices = (torch.cat(values) for values in zip(*found, strict=True))
    kept = _distinct(scores, angles, torch.cat(scales), count)
    return Similarities(scores[kept], matrices[kept])


def search_harmonics(image: Tensor, mask: Tensor) -> Tensor:
    """Return the harmonics, 1 x 4 x H x W, that the search correlates: reduced, they need no blur of their own.

    Args:
        image: 1 x 3 x H x W in [0, 1].
        mask: 1 x 1 x H x W bool, where the image holds data.
    """
    return orientation_harmonics(image, mask, post_blur=0.0, saturated=True, window=129)


def _reduced_size(harmonics: Tensor, scale: float) -> list[int]:
    return [max(8, round(length * scale)) for length in harmonics.shape[-2:]]


def _reduced(harmonics: Tensor, scale: float) -> Tensor:
    size = _reduced_size(harmonics, scale)
    return F.interpolate(harmonics, size=size, mode="bilinear", antialias=True, align_corners=False)


def _turned(harmonics: Tensor, count: int) -> Tensor:
    """Return 1 x 4 x H x W turned by each of `count` rotations about its centre: count x 4 x S x S, zero outside."""
    height, width = harmonics.shape[-2:]
    side = math.ceil(math.hypot(height, width))
    angles = torch.arange(count // 4, device=harmonics.device) * (2 * math.pi / count)
    cosine, sine, zero = angles.cos() * side, angles.sin() * side, torch.zeros_like(angles)
    # affine_grid takes the inverse, in coordinates in which an image spans -1 to 1.
    rows = torch.stack([cosine / width, sine / width, zero, -sine / height, cosine / height, zero], 1)
    grid = F.affine_grid(rows.view(-1, 2, 3), [len(angles), 4, side, side], align_corners=False)
    quarter = F.grid_sample(harmonics.expand(len(angles), -1, -1, -1), grid, align_corners=False)
    quarter = turn_harmonics(quarter, angles)
    sign = torch.tensor([-1.0, -1.0, 1.0, 1.0], device=quarter.device).view(1, 4, 1, 1)
    quarters = [quarter]
    for _ in range(3):
        quarters.append(quarters[-1].rot90(-1, (2, 3)) * sign)
    return torch.cat(quarters)


def _transformed(images: Tensor) -> _Turned:
    """Return K x 4 x S x S turned images as the search correlates them."""
    side = images.shape[-1]
    spectra = [torch.fft.rfft2(batch, s=(_period(side),) * 2) for batch in images.split(BATCH)]
    return _Turned(side, spectra, images.square().sum((1, 2, 3)))


def _period(side: int) -> int:
    """Return after how many pixels of shift the correlation with turned images in squares of `side` repeats itself.

    Only the corners of the squares, which are mostly empty, and small overlaps then wrap round.
    """
    return int(next_fast_len(max(side, math.ceil(PERIOD * (side + SIDE))), real=True))


def _correlate(turned: _Turned, still: Tensor) -> tuple[Tensor, Tensor]:
    """Return the score, K, and place (x, y), K x 2, of the best shift of each turned image on the one that is not.

    The place is that of the turned image's first pixel among the pixels of the other.
    """
    size = _period(turned.side)
    spectrum1 = torch.fft.rfft2(still, s=(size, size))
    peaks = []
    for spectra in turned.spectra:
        spectrum = (spectra.conj() * spectrum1).sum(1)
        spectrum = spectrum * (spectrum.abs() + 1e-9).pow(-WHITENING)
        peaks.append(torch.fft.irfft2(spectrum, s=(size, size)).flatten(1).max(1))
    heights, index = (torch.cat(values) for values in zip(*peaks, strict=True))
    energy = turned.energies * still.square().sum()
    place = torch.stack([index % size, torch.div(index, size, rounding_mode="floor")], 1)
    middle = torch.tensor([still.shape[-1] - turned.side, still.shape[-2] - turned.side], device=place.device)
    wrapped = place - size  # Of the shifts that repeat alike, the one that brings the centres closest together.
    nearer = (2 * place - middle).abs() <= (2 * wrapped - middle).abs()
    return heights / energy.sqrt().pow(1 - WHITENING).clamp(min=1e-9), torch.where(nearer, place, wrapped)


def _matrices(places: Tensor, square: int, still: Tensor, sides: tuple[Tensor, Tensor]) -> Tensor:
    """Return, K x 3 x 3, pixels of the image that was turned -> pixels of the other.

    Args:
        places: K x 2, see `_correlate`.
        square: Side of the squares that hold the turned images, pixels.
        still: 1 x 4 x h x w, the other reduced.
        sides: Both at full size, the turned one first.
    """
    angles = torch.arange(len(places), device=places.device, dtype=torch.float64) * (2 * math.pi / len(places))
    cosine, sine = angles.cos(), angles.sin()
    linear = torch.stack([cosine, -sine, sine, cosine], 1).view(-1, 2, 2)
    height, width = _reduced_size(sides[0], SIDE / max(sides[0].shape[-2:]))
    first, second = _resizing(sides[0], (height, width)), _resizing(sides[1], still.shape[-2:])
    centre = torch.tensor([(width - 1) / 2, (height - 1) / 2], dtype=torch.float64, device=places.device)
    turn = torch.eye(3, dtype=torch.float64, device=places.device).repeat(len(places), 1, 1)
    turn[:, :2, :2] = linear
    turn[:, :2, 2] = places + (square - 1) / 2 - linear @ centre
    return torch.linalg.inv_ex(second).inverse @ turn @ first


def _resizing(full: Tensor, size: Sequence[int]) -> Tensor:
    """Return the matrix from the pixels of a full image to those of one of `size` (height, width)."""
    y, x = (new / old for new, old in zip(size, full.shape[-2:], strict=True))
    rows = [[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]]
    return torch.tensor(rows, dtype=torch.float64, device=full.device)


def _distinct(scores: Tensor, angles: Tensor, scales: Tensor, count: int) -> Tensor:
    """Return the indices of the best `count` that are no neighbours of a better one."""
    kept = []
    for _ in range(count):
        best = scores.argmax()
        kept.append(best)
        turn = (angles - angles.take(best) + math.pi).remainder(2 * math.pi) - math.pi
        near = (turn.abs() <= NEIGHBOUR_ANGLE) & ((scales - scales.take(best)).abs() <= NEIGHBOUR_SCALE)
        scores = scores.masked_fill(near, -math.inf)
    return torch.stack(kept)
