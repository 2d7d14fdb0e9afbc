"""Assignment: a dual softmax over similarities, weighted by how matchable each keypoint is (as in LightGlue)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

INITIAL_MATCHABILITY = 2.0
"""Logit: before training every keypoint counts as matchable."""


class Assignment(nn.Module):
    """From the states of two sets of keypoints to log-probabilities of their matches (as in LightGlue, Lindenberger et
    al., 2023).

    Before training it is the cosine similarity of the descriptors at a given temperature, so that an untrained graph
    matches as well as its descriptors do.
    """

    def __init__(self, width: int, temperature: float = 20.0) -> None:
        """Make the assignment of untrained states.

        Args:
            width: Channels C of the states.
            temperature: Of the cosine similarities before training; learned from then on.
        """
        super().__init__()
        self.project = nn.Linear(width, width)
        self.matchable = nn.Linear(width, 1)
        nn.init.eye_(self.project.weight)
        nn.init.zeros_(self.project.bias)
        nn.init.zeros_(self.matchable.weight)
        nn.init.constant_(self.matchable.bias, INITIAL_MATCHABILITY)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature)))

    def forward(self, states0: Tensor, states1: Tensor, masks: tuple[Tensor, Tensor], bias: Tensor | None) -> Tensor:
        """Return log-probabilities, B x N0 x N1.

        Args:
            states0: B x N0 x C.
            states1: B x N1 x C.
            masks: B x N0 and B x N1 bool, which keypoints are no padding.
            bias: B x N0 x N1, added to the similarities; -inf where two keypoints cannot match.
        """
        states = F.normalize(self.project(states0).float(), dim=-1), F.normalize(self.project(states1).float(), dim=-1)
        similarity = self.log_temperature.exp() * states[0] @ states[1].transpose(1, 2)
        if bias is not None:
            similarity = similarity + bias
        matchable = self.matchable(states0).float(), self.matchable(states1).float()
        return log_assignment(similarity, matchable, masks)

    def matchability(self, states: Tensor) -> Tensor:
        """Return the probability, B x N, that each keypoint has a match.

        Args:
            states: B x N x C, keypoints between the layers of the graph.

        Returns:
            B x N float32 in [0, 1]; that of padding means nothing.
        """
        return self.matchable(states).float()[..., 0].sigmoid()


def log_assignment(similarity: Tensor, matchable: tuple[Tensor, Tensor], masks: tuple[Tensor, Tensor]) -> Tensor:
    """Return log(softmax over rows * softmax over columns * matchable0 * matchable1), B x N0 x N1.

    Args:
        similarity: B x N0 x N1; -inf where two keypoints cannot match.
        matchable: Logits, B x N0 x 1 and B x N1 x 1.
        masks: B x N0 and B x N1 bool. Padding takes part in neither softmax and has a probability of nearly zero.
    """
    real = masks[0][:, :, None] & masks[1][:, None, :] & (similarity > -torch.inf)
    similarity = similarity.masked_fill(~real, -1e4)
    score = similarity.log_softmax(1) + similarity.log_softmax(2)
    score = score + F.logsigmoid(matchable[0]) + F.logsigmoid(matchable[1]).transpose(1, 2)
    return score.masked_fill(~real, -1e4)


def mutual_matches(log_probability: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Return for each keypoint of image 0 its mutual nearest in image 1 (B x N0, -1 without one) and the probability.

    Args:
        log_probability: B x N0 x N1.
        threshold: Matches of at most this probability are left out.
    """
    best1 = log_probability.argmax(2)
    best0 = log_probability.argmax(1)
    mutual = best0.gather(1, best1) == torch.arange(best1.shape[1], device=best1.device)
    probability = log_probability.gather(2, best1[..., None])[..., 0].exp()
    found = mutual & (probability > threshold)
    return torch.where(found, best1, -1), probability * found
