"""Losses of the extractor stage: descriptors, detection, semantics. Ground truth is a homography between two crops.

The paper's losses are not published; all of these are this project's choice.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from matcher.mapglue.config import SEMANTIC_STRIDE, STRIDE
from matcher.mapglue.extractor import Features
from matcher.mapglue.semantic import cell_centres
from matcher.training.aligned import UNLABELLED
from raster.pixels import rescaled

MATCHED_PX = 1.5 * STRIDE
"""A cell counts as matched when its best partner lies within this distance of the truth."""


@dataclass
class Correspondence:
    """Where each cell of one crop lies in the other: points B x N x 2 (pixels), and B x N bool: both hold data."""

    points: Tensor
    valid: Tensor


def project(homography: Tensor, points: Tensor) -> Tensor:
    """Apply B x 3 x 3 to N x 2 or B x N x 2 points; a point at or beyond the horizon goes far outside any image.

    Args:
        homography: B x 3 x 3.
        points: N x 2, the same for all of the batch, or B x N x 2; x, y in pixels.

    Returns:
        B x N x 2; (-10,000, -10,000) for a point at or beyond the horizon.
    """
    homogeneous = F.pad(points, (0, 1), value=1.0) @ homography.transpose(1, 2)
    depth = homogeneous[..., 2:]
    return torch.where(depth > 1e-6, homogeneous[..., :2] / depth.clamp(min=1e-6), torch.full_like(depth, -1e4))


def correspond(homography: Tensor, mask0: Tensor, mask1: Tensor) -> Correspondence:
    """Project the cell centres of crop 0 into crop 1.

    Args:
        homography: B x 3 x 3, pixels of crop 0 -> pixels of crop 1.
        mask0: B x 1 x H x W bool, true where crop 0 holds data; a cell counts where more than half of it does.
        mask1: B x 1 x H x W bool, true where crop 1 holds data.
    """
    height, width = mask0.shape[-2] // STRIDE, mask0.shape[-1] // STRIDE
    centres = cell_centres(height, width, STRIDE, mask0.device)
    points = project(homography, centres.expand(len(homography), -1, -1))
    filled = F.avg_pool2d(mask0.float(), STRIDE).flatten(1) > 0.5
    return Correspondence(points, filled & (look_up(mask1.float(), points)[..., 0] > 0.5))


def look_up(values: Tensor, points: Tensor) -> Tensor:
    """Return B x N x C values of B x C x H x W at pixels, bilinearly; zero outside.

    Args:
        values: B x C x H x W float.
        points: B x N x 2, x, y in pixels of the values, (0, 0) the centre of the top-left one.
    """
    size = points.new_tensor([values.shape[-1], values.shape[-2]])
    normalised = (2 * points + 1) / size - 1
    return F.grid_sample(values, normalised[:, None], align_corners=False)[:, :, 0].transpose(1, 2)


def descriptor_loss(similarity: Tensor, truth: Correspondence, width: int) -> tuple[Tensor, Tensor]:
    """Return the cross-entropy of similarities against the four cells around each true place.

    The four are weighted bilinearly, so that the peak has its place within the cell.

    Args:
        similarity: B x N x M, with the M cells of the other crop.
        truth: Where the N cells lie in the other crop.
        width: Cells in a row of the other crop.

    Returns:
        The loss, and B x N bool, which cells found their partner.
    """
    cells = rescaled(truth.points, 1 / STRIDE)
    steps = torch.tensor([[0, 0], [1, 0], [0, 1], [1, 1]], device=cells.device)
    corners = cells.floor()[..., None, :] + steps  # B x N x 4 x 2
    size = torch.tensor([width, similarity.shape[2] // width], device=cells.device)
    inside = ((corners >= 0) & (corners < size)).all(-1)
    weight = (1 - (cells[..., None, :] - corners).abs()).prod(-1) * inside
    column, row = corners.long().clamp(min=0).minimum(size - 1).unbind(-1)
    total = weight.sum(2)
    right = (weight * similarity.gather(2, row * width + column)).sum(2)
    loss = total * similarity.logsumexp(2) - right
    best = similarity.detach().argmax(2)
    found = torch.stack([best % width, best // width], -1)
    matched = truth.valid & ((found - cells).norm(dim=-1) * STRIDE <= MATCHED_PX)
    weight = truth.valid * (total > 0)
    return (loss / total.clamp(min=1e-6) * weight).sum() / weight.sum().clamp(min=1), matched


def detection_loss(detection: Tensor, agreed: Tensor, matched: Tensor, valid: Tensor) -> Tensor:
    """Return SuperPoint's 65-way cross-entropy (DeTone et al., 2018).

    A cell that found its partner has its keypoint at the maximum of `agreed`; any other has none. Both kinds have the
    same total weight.

    Args:
        detection: B x 65 x h x w logits.
        agreed: B x 1 x H x W, product of both crops' saliency.
        matched: B x N bool, cells that found their partner.
        valid: B x N bool, cells that count.
    """
    best = F.pixel_unshuffle(agreed, STRIDE).argmax(1).flatten(1)
    target = torch.where(matched, best, STRIDE**2)
    loss = F.cross_entropy(detection.flatten(2), target, reduction="none")
    share = (matched & valid).sum() / valid.sum().clamp(min=1)
    weight = torch.where(matched, 0.5 / share.clamp(min=0.02), 0.5 / (1 - share).clamp(min=0.02)) * valid
    return (loss * weight).sum() / valid.sum().clamp(min=1)


def semantic_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of B x classes x h x w token logits with the labels, B x H x W, at the tokens' centres.

    Args:
        logits: B x classes x h x w, at stride `SEMANTIC_STRIDE`.
        labels: B x H x W integers; `UNLABELLED` does not count.

    Returns:
        A scalar, the mean over labelled tokens; 0 where there are none.
    """
    half = SEMANTIC_STRIDE // 2
    target = labels[:, half::SEMANTIC_STRIDE, half::SEMANTIC_STRIDE].long()
    known = (target != UNLABELLED).sum().clamp(min=1)
    return F.cross_entropy(logits, target, ignore_index=UNLABELLED, reduction="sum") / known


@dataclass
class ExtractorLosses:
    """The parts of the extractor's loss, and the share of cells that found their partner."""

    descriptor: Tensor
    detection: Tensor
    semantic: Tensor
    accuracy: Tensor

    def total(self) -> Tensor:
        """Return the weighted sum that is minimised.

        Returns:
            A scalar; the accuracy is no part of it.
        """
        return self.descriptor + 0.2 * self.detection + 0.2 * self.semantic


def extractor_losses(
    features: Features, homography: Tensor, mask: Tensor, labels: Tensor, temperature: Tensor
) -> ExtractorLosses:
    """Return the losses of P pairs that were encoded together: the first crop of each, then the second of each.

    Args:
        features: What the extractor computed of 2P crops.
        homography: P x 3 x 3, first crop -> second crop.
        mask: 2P x 1 x H x W bool, true where there is data.
        labels: 2P x H x W semantic classes.
        temperature: Of the similarities of descriptors.

    Returns:
        Scalars, means over both crops.
    """
    mask0, mask1 = mask.chunk(2)
    truths = correspond(homography, mask0, mask1), correspond(torch.linalg.inv(homography), mask1, mask0)
    grid0, grid1 = features.descriptors.flatten(2).chunk(2)
    similarity = temperature * grid0.transpose(1, 2) @ grid1  # P x N x N
    width = features.descriptors.shape[3]
    loss0, matched0 = descriptor_loss(similarity, truths[0], width)
    loss1, matched1 = descriptor_loss(similarity.transpose(1, 2), truths[1], width)
    valid = torch.cat([truths[0].valid, truths[1].valid])
    matched = torch.cat([matched0, matched1])
    agreed = agreed_saliency(features.saliency, homography)
    return ExtractorLosses(
        descriptor=(loss0 + loss1) / 2,
        detection=detection_loss(features.detection, agreed, matched, valid),
        semantic=semantic_loss(features.semantics, labels),
        accuracy=matched.sum() / valid.sum().clamp(min=1),
    )


def agreed_saliency(saliency: Tensor, homography: Tensor) -> Tensor:
    """Return each crop's saliency times the other's, warped by the homography: 2P x 1 x H x W.

    Args:
        saliency: 2P x 1 x H x W in [0, 1), the first crop of each pair, then the second of each.
        homography: P x 3 x 3, first crop -> second crop.

    Returns:
        2P x 1 x H x W in the order of `saliency`. What the other crop does not show keeps a twentieth, so that its own
        maximum still counts.
    """
    height, width = saliency.shape[-2:]
    pixels = cell_centres(height, width, 1, saliency.device)
    first, second = saliency.chunk(2)
    pairs = ((first, second, homography), (second, first, torch.linalg.inv(homography)))
    agreed = []
    for own, other, matrix in pairs:
        seen = look_up(other, project(matrix, pixels.expand(len(matrix), -1, -1)))
        agreed.append(own * (0.05 + seen.transpose(1, 2).unflatten(2, (height, width))))
    return torch.cat(agreed)
