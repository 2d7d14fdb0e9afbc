"""The matcher stage's loss: negative log-likelihood of the true assignment after every layer (as LightGlue's)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from matcher.mapglue.extractor import Keypoints
from matcher.training.losses import look_up, project

PARTNER_PX = 6.0
"""Keypoints of two modalities are partners when each is the other's nearest and this near."""

UNMATCHED_PX = 10.0
"""A keypoint without any other this near is unmatched; between the two distances it is neither."""


@dataclass
class TrueAssignment:
    """The true assignment of two sets of keypoints.

    Attributes:
        partners: B x N0 x N1 bool, which keypoints match.
        unmatched0: B x N0 bool, keypoints of image 0 without a match.
        unmatched1: B x N1 bool, keypoints of image 1 without a match.
    """

    partners: Tensor
    unmatched0: Tensor
    unmatched1: Tensor


def true_assignment(
    keypoints: tuple[Keypoints, Keypoints], homography: Tensor, masks: tuple[Tensor, Tensor]
) -> TrueAssignment:
    """Return the partners by the homography.

    Args:
        keypoints: Keypoints of both images.
        homography: B x 3 x 3, image 0 -> image 1.
        masks: B x 1 x H x W bool of both images, true where there is data.
    """
    first, second = keypoints
    projected0 = project(homography, first.points)
    projected1 = project(torch.linalg.inv(homography), second.points)
    distance = torch.cdist(projected0, second.points)
    real = first.mask[:, :, None] & second.mask[:, None, :]
    distance = distance.masked_fill(~real, torch.inf)
    nearest1, nearest0 = distance.min(2), distance.min(1)
    mutual = nearest0.indices.gather(1, nearest1.indices) == torch.arange(distance.shape[1], device=distance.device)
    partners = torch.zeros_like(real).scatter_(2, nearest1.indices[..., None], mutual[..., None])
    partners &= distance < PARTNER_PX
    seen0 = look_up(masks[1].float(), projected0)[..., 0] > 0.5
    seen1 = look_up(masks[0].float(), projected1)[..., 0] > 0.5
    unmatched0 = first.mask & (~seen0 | (nearest1.values > UNMATCHED_PX))
    unmatched1 = second.mask & (~seen1 | (nearest0.values > UNMATCHED_PX))
    return TrueAssignment(partners, unmatched0, unmatched1)


def assignment_loss(log_probability: Tensor, matchable: tuple[Tensor, Tensor], truth: TrueAssignment) -> Tensor:
    """Return the loss of one layer.

    Args:
        log_probability: B x N0 x N1; it shall be high for partners.
        matchable: Logits B x N0 and B x N1; they shall be low for unmatched keypoints.
        truth: The true assignment.

    Returns:
        A scalar: the mean over partners plus the mean of both images' means over unmatched keypoints.
    """
    found = -(log_probability * truth.partners).sum() / truth.partners.sum().clamp(min=1)
    unmatched = [
        -(F.logsigmoid(-logit) * alone).sum() / alone.sum().clamp(min=1)
        for logit, alone in zip(matchable, (truth.unmatched0, truth.unmatched1), strict=True)
    ]
    return found + (unmatched[0] + unmatched[1]) / 2
