"""The baseline: frozen features of each modality, a small head each, one space for all (MML-CLIP in manner)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from retrieval.benchmark import Modality
from retrieval.location import LocationEncoder


class Heads(nn.Module):
    """A head for each modality, and a learned temperature.

    Attributes:
        temperature: Logarithm of the factor on cosine similarities.
    """

    def __init__(
        self, inputs: Mapping[Modality, int], dimensions: int = 128, hidden: int = 256, dropout: float = 0.2
    ) -> None:
        """Make the heads.

        Args:
            inputs: Length of the features of each modality but coordinates, which always take part.
            dimensions: Length of an embedding.
            hidden: Width of the hidden layer.
            dropout: Share of hidden values left out in training.
        """
        super().__init__()
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(
                    nn.LayerNorm(size),
                    nn.Dropout(dropout),
                    nn.Linear(size, hidden),
                    nn.GELU(),
                    nn.Dropout(dropout),
                    nn.Linear(hidden, dimensions),
                )
                for name, size in inputs.items()
            }
        )
        self.heads["coordinates"] = LocationEncoder(dimensions)
        self.temperature = nn.Parameter(torch.tensor(14.0).log())

    def forward(self, modality: Modality, features: Tensor) -> Tensor:
        """Embed items of one modality into the common space.

        Args:
            modality: Whose head.
            features: (N, D) frozen features of the encoder; for `coordinates` (N, 2) longitude and latitude in degrees.

        Returns:
            (N, dimensions) of unit length, so that the dot product of two is their cosine similarity.
        """
        return F.normalize(self.heads[modality](features), dim=1)


def contrastive_loss(first: Tensor, second: Tensor, landmarks: tuple[Tensor, Tensor], factor: Tensor) -> Tensor:
    """Return the symmetric InfoNCE loss between items of two modalities.

    Items of one landmark are all right answers to each other, so a batch may hold several images of a landmark; the
    loss is the mean over right answers (Khosla et al., Supervised contrastive learning, 2020, equation 2).

    Args:
        first: (N, D) of unit length.
        second: (M, D) of unit length.
        landmarks: Numbers of the landmarks of both, (N,) and (M,).
        factor: On cosine similarities, a scalar.
    """
    right = (landmarks[0][:, None] == landmarks[1][None, :]).float()
    scores = factor * first @ second.T
    total = first.new_zeros(())
    for logits, mask in ((scores, right), (scores.T, right.T)):
        known = mask.sum(dim=1)
        likelihood = (F.log_softmax(logits, dim=1) * mask).sum(dim=1)
        total = total - (likelihood[known > 0] / known[known > 0]).mean()
    return total / 2
