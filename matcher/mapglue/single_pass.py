"""A single pass of the network: keypoints, graphs, assignment, and each match's place to a fraction of a cell."""

from __future__ import annotations

import torch
from torch import Tensor

from matcher.mapglue.assignment import mutual_matches
from matcher.mapglue.config import STRIDE
from matcher.mapglue.encoding import EncodedImage
from matcher.mapglue.extractor import Keypoints, sample
from matcher.mapglue.model import GraphInput, MapGlue
from matcher.precision import mixed_precision
from matcher.types import Matches
from raster.peak import vertex

THRESHOLD = 0.0
"""Least probability of a match. Zero: all mutual nearest neighbours count, and the robust fit decides. Keypoints lie
denser than cells, so neighbours share a probability."""


def match_once(
    network: MapGlue, view0: EncodedImage, view1: EncodedImage, count: int, reach: float | None = None
) -> Matches:
    """Match two encoded images with up to `count` keypoints each.

    Args:
        network: In evaluation mode.
        view0: Image 0, encoded by this network's extractor.
        view1: Image 1, encoded by this network's extractor.
        count: Most keypoints an image.
        reach: Of images that are nearly aligned, see `MapGlue.forward`.

    Returns:
        As `match_once_batch` returns for one pair.
    """
    return match_once_batch(network, [(view0, view1)], count, reach)[0]


@torch.inference_mode()
def match_once_batch(
    network: MapGlue, views: list[tuple[EncodedImage, EncodedImage]], count: int, reach: float | None = None
) -> list[Matches]:
    """Match pairs of encoded images of any sizes, with up to `count` keypoints an image.

    Pairs are matched one by one where the network stops early, as each pair then needs its own number of layers, and
    where their sizes differ.

    Args:
        network: In evaluation mode.
        views: Pairs of images, encoded by this network's extractor; one or more.
        count: Most keypoints an image.
        reach: Of images that are nearly aligned, see `MapGlue.forward`.

    Returns:
        Matches of each pair in pixels of the encoded images, sub-pixel in image 1; scores are probabilities. No match
        for a single pair of which an image has no cell with data and structure.
    """
    if network.config.early_exit and len(views) > 1:
        return [match_once(network, *pair, count, reach) for pair in views]
    if len(views) == 1 and not (views[0][0].cells.any() and views[0][1].cells.any()):
        return [Matches.empty()]
    sides = [stacked([_keypoints(network, pair[side], count) for pair in views]) for side in (0, 1)]
    tokens = [[pair[side].features.tokens[0] for pair in views] for side in (0, 1)]
    if len({grid.shape for grid in tokens[0]}) > 1 or len({grid.shape for grid in tokens[1]}) > 1:
        return [match_once(network, *pair, count, reach) for pair in views]
    device = sides[0].points.device
    with mixed_precision(device):
        first, second = (GraphInput(*side) for side in zip(sides, map(torch.stack, tokens), strict=True))
        assigned = network(first, second, reach)
    partner, probability = mutual_matches(assigned.log_probability, THRESHOLD)
    results: list[Matches] = []
    for number, (_, view1) in enumerate(views):
        found = (partner[number] >= 0).nonzero()[:, 0]
        index0 = assigned.index0[number][found]
        index1 = assigned.index1[number][partner[number][found]]
        points0 = sides[0].points[number][index0]
        near = sides[1].points[number][index1]
        points1 = peak_near(sides[0].descriptors[number][index0], view1.features.descriptors, near)
        kept = [values.float().cpu().numpy() for values in (points0, points1, probability[number][found])]
        results.append(Matches(kept[0], kept[1], kept[2]))
    return results


def stacked(keypoints: list[Keypoints]) -> Keypoints:
    """Stack the keypoints of several images, padded to the largest number; padding is masked."""
    most = max(item.points.shape[1] for item in keypoints)

    def padded(values: Tensor) -> Tensor:
        missing = most - values.shape[1]
        return torch.cat([values, values.new_zeros(1, missing, *values.shape[2:])], 1)

    columns = zip(*(vars(item).values() for item in keypoints), strict=True)
    return Keypoints(*(torch.cat([padded(value) for value in column]) for column in columns))


def peak_near(descriptors: Tensor, grid: Tensor, points: Tensor, step: float = 4.0) -> Tensor:
    """Return where descriptors are most similar to a grid, near given points.

    Args:
        descriptors: N x D.
        grid: 1 x D x h x w.
        points: N x 2 pixels (x, y).
        step: Distance in pixels of the samples in x and in y whose parabolas give the peak.

    Returns:
        N x 2 pixels.
    """
    steps = step * torch.tensor(
        [[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, -1.0], [0.0, 1.0]], dtype=points.dtype, device=points.device
    )
    places = (points[:, None] + steps).reshape(1, -1, 2)
    similarity = (sample(grid, places)[0].reshape(points.shape[0], 5, grid.shape[1]) * descriptors[:, None]).sum(-1)
    left, centre, right, above, below = similarity.unbind(1)
    offset = torch.stack([vertex(left, centre, right), vertex(above, centre, below)], -1)
    return points + step * offset


def _keypoints(network: MapGlue, view: EncodedImage, count: int) -> Keypoints:
    mask = view.cells[None, None].repeat_interleave(STRIDE, 2).repeat_interleave(STRIDE, 3)
    found = network.extractor.keypoints(view.features, count, mask)
    real = found.mask[0].nonzero()[:, 0]
    return Keypoints(*(value[:, real] for value in vars(found).values()))
