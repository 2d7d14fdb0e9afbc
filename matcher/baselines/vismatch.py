"""Any matcher of the package vismatch, when it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from matcher.errors import MatcherUnavailable
from matcher.images import RGBImage, to_tensor
from matcher.types import Matcher, Matches


class VismatchMatcher(Matcher):
    """Calls the matcher that `vismatch.get_matcher` returns for a name. Without confidences every match scores 1."""

    def __init__(self, name: str, device: torch.device, num_keypoints: int = 2048) -> None:
        """Load a matcher of vismatch.

        Args:
            name: One of its models.
            device: Where it runs.
            num_keypoints: Most keypoints an image, where the model has such a limit.

        Raises:
            MatcherUnavailable: vismatch is not installed, or has no such model.
        """
        try:
            import vismatch
        except ImportError as error:
            raise MatcherUnavailable(
                f"vismatch cannot be used ({error}): pip install vismatch, in an environment of its own, as it needs"
                " an older kornia than the other baselines"
            ) from error
        if name not in vismatch.available_models:
            raise MatcherUnavailable(f"vismatch has no {name!r}: it has {', '.join(vismatch.available_models)}")
        self.name = f"vismatch:{name}"
        self.device = device
        self.model: Any = vismatch.get_matcher(name, device=str(device), max_num_keypoints=num_keypoints)

    def correspond(self, image0: RGBImage, image1: RGBImage) -> Matches:
        found = self.model(*(to_tensor([image], self.device)[0] for image in (image0, image1)))
        points0, points1, scores = (found[key] for key in ("matched_kpts0", "matched_kpts1", "matched_confidences"))
        return Matches(points0, points1, np.ones(len(points0), np.float32) if scores is None else scores)
