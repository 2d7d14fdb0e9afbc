"""Tilt and shear that a similarity leaves, from whole images.

Windows that are large enough to be recognised are bent by tilt and shear themselves, so that their correlation surfaces
do not peak where they should. Whole images, much reduced, are compared under any homography at little cost: many are
drawn around one that is known, the best are kept, and more are drawn around these (the cross-entropy method).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from matcher.dense.masked_image import MaskedImage
from matcher.dense.pooling import GENERATORS
from matcher.dense.resident import Homography
from matcher.dense.search import search_harmonics

SIDE = 304
"""Longer side, in pixels, of image 1 whose harmonics are compared, further reduced."""

LEVELS = ((8, 4, 256, 1.0), (4, 3, 128, 0.3))
"""For each level: by how much the harmonics are reduced, how often homographies are drawn and how many, and how far
around the best, as a share of `SPREAD`."""

SPREAD = (0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.07, 0.07)
"""Standard deviation of each parameter (see `GENERATORS`) as a displacement at the border, as a share of half the
longer side."""

PENALTY = 0.03
"""Share of the score that tilt and shear of one standard deviation each cost."""

SIMILARITY = 4
"""The first parameters, those of a similarity, cost nothing."""

KEPT = 12
"""One of so many is kept."""


@torch.no_grad()
def tilted(view0: MaskedImage, view1: MaskedImage, at: Homography) -> Homography:
    """Return the homography around a given one under which the whole images agree best.

    It is right to a few pixels where it is right, and not always better than the given one.

    Args:
        view0: Image 0.
        view1: Image 1.
        at: The homography around which to look, image 0 -> image 1.
    """
    image1, mask1, to_small = view1.resized(min(1.0, SIDE / max(view1.image.shape[:2])))
    height, width = image1.shape[-2:]
    image0, mask0 = view0.warped(at, to_small, (width, height))
    harmonics0, harmonics1 = search_harmonics(image0, mask0), search_harmonics(image1, mask1)
    generator = np.random.default_rng(0)
    mean = harmonics0.new_zeros(len(GENERATORS))
    for reduction, rounds, count, share in LEVELS:
        size = max(8, round(height / reduction)), max(8, round(width / reduction))
        small0, small1, data1 = (F.adaptive_avg_pool2d(x.float(), size) for x in (harmonics0, harmonics1, mask1))
        deviation = mean.new_tensor(SPREAD) * share
        draws = torch.from_numpy(generator.standard_normal((rounds, count, len(SPREAD)))).to(mean)
        draws[:, 0] = 0.0
        for draw in draws:
            parameters = mean + draw * deviation
            best = _scores(small0, small1, data1, parameters).topk(count // KEPT).indices
            kept = parameters[best]
            mean, deviation = kept.mean(0), kept.std(0)
    longest = max(height, width)
    rows = [[2 / longest, 0, (1 - width) / longest], [0, 2 / longest, (1 - height) / longest], [0, 0, 1]]
    to_unit = torch.tensor(rows, dtype=torch.float64, device=mean.device)
    back = torch.linalg.inv_ex(_matrices(mean[None].double())[0]).inverse
    return at.after(torch.linalg.inv_ex(to_unit).inverse @ back @ to_unit, to_small)


def _matrices(parameters: Tensor) -> Tensor:
    """Return K x 3 x 3 matrices, on coordinates in which the longer side spans -1 to 1."""
    generators = parameters.new_tensor(GENERATORS)
    return torch.eye(3, dtype=parameters.dtype, device=parameters.device) + torch.einsum(
        "bk,kij->bij", parameters, generators
    )


def _scores(harmonics0: Tensor, harmonics1: Tensor, data1: Tensor, parameters: Tensor) -> Tensor:
    """Return how well image 0, 1 x 4 x h x w, moved by each of K x 8 parameters, agrees with image 1 of the same size:
    K cosines, of what of image 0 lies in image 1 with all of image 1, less the penalty."""
    height, width = harmonics1.shape[-2:]
    longest = max(height, width)
    y, x = (
        (2 * torch.arange(length, dtype=parameters.dtype, device=parameters.device) + 1 - length) / longest
        for length in (height, width)
    )
    across, down = torch.meshgrid(x, y, indexing="xy")
    places = torch.stack([across, down, torch.ones_like(across)], -1).flatten(0, 1)
    moved = places @ _matrices(parameters).transpose(1, 2)
    grid = moved[..., :2] / moved[..., 2:].clamp(min=0.1) * parameters.new_tensor([longest / width, longest / height])
    grid = grid.unflatten(1, (height, width))
    found = F.grid_sample(harmonics0.expand(len(grid), -1, -1, -1), grid, align_corners=False) * data1
    energies = found.square().sum((1, 2, 3)) * harmonics1.square().sum()
    cosines = (found * harmonics1).sum((1, 2, 3)) / energies.clamp(min=1e-12).sqrt()
    beyond = (parameters / parameters.new_tensor(SPREAD))[:, SIMILARITY:].square().sum(1)
    return cosines * (1 - PENALTY * beyond)
