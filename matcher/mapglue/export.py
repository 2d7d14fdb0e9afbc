"""Export to one TorchScript file with FastMapGlue's interface, which needs torch alone to run.

ONNX was tried for CPU users and does not pay. One pass of `fast-mapglue` over a pair of 512 x 512 images with 2,048
keypoints, in turns with the others, median of ten on a busy machine, one thread / two: PyTorch 4.5 / 4.4 s, with the
extractor in ONNX Runtime 1.31 4.5 / 4.6 s, with the graphs there as well 6.3 / 5.7 s (the extractor alone, per image:
0.67 / 0.55 s in bfloat16, 0.94 / 0.81 s in float32, 0.68 / 0.74 s in ONNX Runtime).
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from matcher.mapglue.anms import strongest_points
from matcher.mapglue.assignment import mutual_matches
from matcher.mapglue.config import GRAPH_STRIDE, STRIDE
from matcher.mapglue.extractor import Keypoints, sample
from matcher.mapglue.model import GraphInput, MapGlue
from matcher.mapglue.single_pass import THRESHOLD, peak_near

EXAMPLE = (256, 320)
"""Height and width of the images that the parts are traced with; the exported file takes any size."""


class _Encode(nn.Module):
    """1 x 3 x H x W -> descriptors, scores of pixels that survive suppression (0 elsewhere), semantic tokens."""

    def __init__(self, model: MapGlue) -> None:
        super().__init__()
        self.extractor = model.extractor

    def forward(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = self.extractor(image, mask)
        structured = self.extractor.structure(features, mask)
        score = self.extractor.surviving(features, F.interpolate(structured.float(), scale_factor=float(STRIDE)) > 0)
        return features.descriptors, score, features.tokens


class _Match(nn.Module):
    """Points, descriptors and tokens of both images -> log-probabilities 1 x N0 x N1. Runs every layer."""

    def __init__(self, model: MapGlue) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        points0: Tensor,
        descriptors0: Tensor,
        tokens0: Tensor,
        points1: Tensor,
        descriptors1: Tensor,
        tokens1: Tensor,
    ) -> Tensor:
        first = Keypoints(points0, points0[..., 0], descriptors0, points0[..., 0] > -1)
        second = Keypoints(points1, points1[..., 0], descriptors1, points1[..., 0] > -1)
        found: Tensor = self.model(GraphInput(first, tokens0), GraphInput(second, tokens1)).log_probability
        return found


class Exported(nn.Module):
    """`model(image0, image1, num_keypoints)`: two H x W x 3 RGB, uint8 or in [0, 1] -> N x 4 (x0, y0, x1, y1)."""

    def __init__(self, encode: torch.jit.ScriptModule, match: torch.jit.ScriptModule) -> None:
        """Join the traced parts.

        Args:
            encode: 1 x 3 x H x W in [0, 1] and 1 x 1 x H x W bool -> descriptors, scores, semantic tokens.
            match: Points, descriptors and tokens of both images -> log-probabilities, 1 x N0 x N1.
        """
        super().__init__()
        self.encode, self.match = encode, match
        self.threshold, self.multiple = THRESHOLD, GRAPH_STRIDE

    def forward(self, image0: Tensor, image1: Tensor, num_keypoints: int = 2048) -> Tensor:
        """Return matches of two images.

        Args:
            image0: H x W x 3 RGB, uint8 or float in [0, 1], of any size, on the model's device.
            image1: The same, of a size of its own.
            num_keypoints: Most keypoints an image.

        Returns:
            N x 4 float32 (x0, y0, x1, y1) in pixels, (0, 0) the centre of the top-left pixel; 0 x 4 without a match.
        """
        descriptors0, score0, tokens0 = self.encoded(image0)
        descriptors1, score1, tokens1 = self.encoded(image1)
        points0, _, real0 = strongest_points(score0, score0 > 0, num_keypoints)
        points1, _, real1 = strongest_points(score1, score1 > 0, num_keypoints)
        points0, points1 = points0[:, real0[0]], points1[:, real1[0]]
        if points0.shape[1] == 0 or points1.shape[1] == 0:
            return torch.zeros(0, 4, device=image0.device)
        sampled0, sampled1 = sample(descriptors0, points0), sample(descriptors1, points1)
        found = self.match(points0, sampled0, tokens0, points1, sampled1, tokens1)
        partner, _ = mutual_matches(found, self.threshold)
        kept = (partner[0] >= 0).nonzero()[:, 0]
        near = points1[0][partner[0][kept]]
        return torch.cat([points0[0][kept], peak_near(sampled0[0][kept], descriptors1, near)], 1)

    def encoded(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return descriptors, scores and semantic tokens of an image, padded to whole nodes.

        Args:
            image: H x W x 3 RGB, uint8 or float in [0, 1].

        Returns:
            1 x D x h x w, 1 x 1 x H' x W' and 1 x C x h/2 x w/2 for the padded image of H' x W' pixels, h = H' / 8;
            scores are 0 where no keypoint may lie.
        """
        values = image.float() / 255 if image.dtype == torch.uint8 else image.float()
        values = values.permute(2, 0, 1)[None]
        below, right = -values.shape[2] % self.multiple, -values.shape[3] % self.multiple
        mask = torch.ones_like(values[:, :1])
        padded = F.pad(values, [0, right, 0, below], mode="replicate")
        found: tuple[Tensor, Tensor, Tensor] = self.encode(padded, F.pad(mask, [0, right, 0, below]) > 0)
        return found


def export_torchscript(model: MapGlue, path: Path) -> None:
    """Write `path`; every layer runs (no early exit), in float32, on the device that the caller moves the file to.

    Args:
        model: Is left as it is: a copy is exported.
        path: TorchScript file; one that is there is replaced.
    """
    whole = MapGlue(replace(model.config, early_exit=False)).eval().requires_grad_(False)
    whole.load_state_dict(model.state_dict())
    image = torch.rand(1, 3, *EXAMPLE, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(1, 1, *EXAMPLE, dtype=torch.bool)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        encode = torch.jit.trace(_Encode(whole), (image, mask))
        descriptors, score, tokens = encode(image, mask)
        points, _, _ = strongest_points(score, score > 0, 64)
        side = points, sample(descriptors, points), tokens
        match = torch.jit.trace(_Match(whole), (*side, *side), check_trace=False)
        torch.jit.script(Exported(encode, match)).save(str(path))
