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
"""A keypoint without any other this near has no partner; between the two distances nothing is said."""


@dataclass
class TrueAssignment:
    """B x N0 x N1 bool: partners; B x N0 and B x N1 bool: keypoints that surely have none."""

    partners: Tensor
    unmatched0: Tensor
    unmatched1: Tensor


def true_assignment(
    keypoints: tuple[Keypoints, Keypoints], homography: Tensor, masks: tuple[Tensor, Tensor]
) -> TrueAssignment:
    """Derive partners from the homography, view 0 -> view 1; masks are B x 1 x H x W bool."""
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
    """Return the loss of one layer: partners are found, unmatched keypoints (logits B x N) say that they are
    unmatched."""
    found = -(log_probability * truth.partners).sum() / truth.partners.sum().clamp(min=1)
    unmatched = [
        -(F.logsigmoid(-logit) * alone).sum() / alone.sum().clamp(min=1)
        for logit, alone in zip(matchable, (truth.unmatched0, truth.unmatched1), strict=True)
    ]
    return found + (unmatched[0] + unmatched[1]) / 2
