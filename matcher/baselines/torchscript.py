"""Any TorchScript file with FastMapGlue's interface, so that the authors' weights plug in by path."""

from __future__ import annotations

from pathlib import Path

import torch

from matcher.checkpoints import read_weights
from matcher.errors import MatcherError
from matcher.images import RGBImage
from matcher.types import Matcher, Matches


class TorchScriptMatcher(Matcher):
    """Calls `model(image0, image1, num_keypoints)` with two (H, W, 3) uint8 RGB tensors.

    The model returns (N, 4) = x0, y0, x1, y1 in pixels, as the file published with FastMapGlue does. Such files carry
    no scores: every match scores 1. Loading runs code from the file: use files from people you trust.
    """

    def __init__(self, path: Path, device: torch.device, num_keypoints: int = 2048) -> None:
        """Load a TorchScript file.

        Args:
            path: TorchScript file, which may run any code.
            device: Where it runs.
            num_keypoints: Most keypoints an image; the third argument of the model.

        Raises:
            WeightsError: The file is missing or no TorchScript.
        """
        self.name = f"torchscript:{path}"
        self.device = device
        self.num_keypoints = num_keypoints
        self.model = read_weights(path, lambda file: torch.jit.load(file, map_location=device)).eval()

    @torch.inference_mode()
    def correspond(self, image0: RGBImage, image1: RGBImage) -> Matches:
        tensors = (torch.from_numpy(image).to(self.device) for image in (image0, image1))
        found = self.model(*tensors, self.num_keypoints)
        if not isinstance(found, torch.Tensor) or found.ndim != 2 or found.shape[1] != 4:
            shape = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
            raise MatcherError(f"{self.name} returned {shape}: FastMapGlue's interface is a tensor of shape (N, 4)")
        points = found.float().cpu().numpy()
        return Matches(points[:, :2], points[:, 2:], torch.ones(len(points)).numpy())
