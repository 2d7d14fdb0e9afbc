"""The baseline: a tower for each modality, one space for all (MML-CLIP in manner).

A tower is a small network on frozen features, a small convolutional network on pixels, or the location encoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from retrieval.benchmark import Modality
from retrieval.location import LocationEncoder

PIXELS = 0
"""In place of a length of features: the tower reads thumbnails."""


class ImageTower(nn.Module):
    """A small residual network on thumbnails, trained from scratch."""

    def __init__(self, dimensions: int, widths: tuple[int, ...] = (24, 48, 96, 128), dropout: float = 0.2) -> None:
        """Make the network.

        Args:
            dimensions: Length of an embedding.
            widths: Channels after each halving of the sides.
            dropout: Share of pooled values left out in training.
        """
        super().__init__()
        blocks: list[nn.Module] = [_convolution(3, widths[0], 2)]
        for before, after in pairwise(widths):
            blocks += [_convolution(before, after, 2), _Residual(after)]
        # Colours and textures of the whole image are taken early; the last layers keep shapes.
        self.early, self.late = nn.Sequential(*blocks[:3]), nn.Sequential(*blocks[3:])
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * widths[1] + 2 * widths[-1], dimensions))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # twice as fast on processors

    def forward(self, images: Tensor) -> Tensor:
        """Embed images (N, 3, S, S) in [0, 1]: (N, dimensions), not of unit length."""
        images = images.contiguous(memory_format=torch.channels_last)
        early = self.early((images - 0.45) / 0.25)
        late = self.late(early)
        pooled = [early.mean((2, 3)), early.std((2, 3)), late.mean((2, 3)), late.amax((2, 3))]
        return torch.as_tensor(self.head(torch.cat(pooled, dim=1)))


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _convolution(width, width, 1)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, values: Tensor) -> Tensor:
        return F.relu(values + self.second(self.first(values)))


def _convolution(before: int, after: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
    )


class FeatureTower(nn.Module):
    """A small network on frozen features, which are whitened first: most of them repeat each other."""

    def __init__(self, size: int, components: int, dimensions: int, hidden: int, dropout: float) -> None:
        """Make the network.

        Args:
            size: Length of the features.
            components: Principal components that are kept, at most.
            dimensions: Length of an embedding.
            hidden: Width of the hidden layer.
            dropout: Share of values left out in training.
        """
        super().__init__()
        components = min(components, size)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("matrix", torch.eye(size)[:, :components].contiguous())
        self.network = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(components, hidden), nn.GELU(), nn.Dropout(dropout),
            nn.Linear(hidden, dimensions),
        )  # fmt: skip

    def whiten(self, features: Tensor) -> None:
        """Take mean and principal components from features (N, size); components that vary too little become 0."""
        mean = features.double().mean(dim=0)
        _, values, components = torch.linalg.svd(features.double() - mean, full_matrices=False)
        kept = min(self.get_buffer("matrix").shape[1], int((values > values[0] * 1e-4).sum()))
        deviations = values[:kept] / max(1, len(features) - 1) ** 0.5
        self.get_buffer("mean").copy_(mean)
        matrix = self.get_buffer("matrix")
        matrix.zero_()
        matrix[:, :kept] = (components[:kept] / deviations[:, None]).T

    def forward(self, features: Tensor) -> Tensor:
        """Embed features (N, size): (N, dimensions), not of unit length."""
        white = (features - self.get_buffer("mean")) @ self.get_buffer("matrix")
        return torch.as_tensor(self.network(white.clamp(-6, 6)))


class Towers(nn.Module):
    """A tower for each modality, and a learned temperature.

    Attributes:
        inputs: Length of the features of each modality but coordinates, which always take part; `PIXELS` for pixels.
        temperature: Logarithm of the factor on cosine similarities.
    """

    def __init__(
        self,
        inputs: Mapping[Modality, int],
        dimensions: int = 128,
        components: int = 96,
        hidden: int = 256,
        dropout: float = 0.2,
    ) -> None:
        """Make the towers.

        Args:
            inputs: See the attribute.
            dimensions: Length of an embedding.
            components: See `FeatureTower`.
            hidden: Width of the hidden layer of towers on features.
            dropout: Share of values left out in training.
        """
        super().__init__()
        self.inputs = dict(inputs)
        self.towers = nn.ModuleDict()
        for name, size in inputs.items():
            self.towers[name] = (
                ImageTower(dimensions, dropout=dropout)
                if size == PIXELS
                else FeatureTower(size, components, dimensions, hidden, dropout)
            )
        self.towers["coordinates"] = LocationEncoder(dimensions)
        self.temperature = nn.Parameter(torch.tensor(14.0).log())

    def forward(self, modality: Modality, values: Tensor) -> Tensor:
        """Embed items of one modality into the common space.

        Args:
            modality: Whose tower.
            values: (N, D) features, (N, 3, S, S) images, or (N, 2) longitudes and latitudes in degrees.

        Returns:
            (N, dimensions) of unit length, so that the dot product of two is their cosine similarity.
        """
        return F.normalize(self.towers[modality](values), dim=1)


def contrastive_loss(
    first: Tensor, second: Tensor, landmarks: tuple[Tensor, Tensor], factor: Tensor, related: Tensor | None = None
) -> Tensor:
    """Return the symmetric InfoNCE loss between items of two modalities.

    Items of one landmark are all right answers to each other, so a batch may hold several images of a landmark; the
    loss is the mean over right answers (Khosla et al., Supervised contrastive learning, 2020, equation 2).

    Args:
        first: (N, D) of unit length.
        second: (M, D) of unit length.
        landmarks: Numbers of the landmarks of both, (N,) and (M,).
        factor: On cosine similarities, a scalar.
        related: (N, M) weights of answers that are not right but better than others, each row and column summing to
            less than 1; a right answer then has what is left. None for none.
    """
    right = (landmarks[0][:, None] == landmarks[1][None, :]).float()
    scores = factor * first @ second.T
    total = first.new_zeros(())
    for logits, mask, other in (
        (scores, right, related),
        (scores.T, right.T, None if related is None else related.T),
    ):
        known = mask.sum(dim=1) > 0
        target = mask[known] / mask[known].sum(dim=1, keepdim=True)
        if other is not None:
            target = target * (1 - other[known].sum(dim=1, keepdim=True)) + other[known]
        total = total - (F.log_softmax(logits[known], dim=1) * target).sum(dim=1).mean()
    return total / 2


def same_group(groups: tuple[Tensor, Tensor], landmarks: tuple[Tensor, Tensor], share: float) -> Tensor:
    """Return weights for answers that show another landmark of the same category; see `contrastive_loss`.

    Args:
        groups: Category of each item of both modalities, (N,) and (M,).
        landmarks: Landmark of each item, (N,) and (M,).
        share: Of the whole weight of an answer, in both directions at most.
    """
    alike = (groups[0][:, None] == groups[1][None, :]) & (landmarks[0][:, None] != landmarks[1][None, :])
    counts = torch.maximum(alike.sum(dim=1, keepdim=True), alike.sum(dim=0, keepdim=True)).clamp(min=1)
    return share * alike.float() / counts
