"""MapGlue as a matcher: images in, correspondences out.

One pass is the network as it is published in name: extractor, graphs, assignment. What surrounds it is ours: when the
matches do not agree, image 1 is tried in other poses; when they do, it is seen through their motion and compared cell
by cell, which makes matches precise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from matcher.fit import transform
from matcher.images import RGBImage
from matcher.mapglue.model import MapGlue
from matcher.mapglue.pose import search
from matcher.mapglue.refinement import refine
from matcher.mapglue.single_pass import match_once_batch
from matcher.mapglue.views import Encoder, Matrix, reduced
from matcher.mapglue.weights import load_model
from matcher.types import Matcher, Matches


class MapGlueMatcher(Matcher):
    """`mapglue` or `fast-mapglue` with shipped weights (or with `network`).

    At most `num_keypoints` matches come back, surest first. `search` tries other rotations and scales when images as
    they stand do not agree; `refined` improves the matches in the frame of image 0. Without both it is one pass of the
    network, the quickest. Raises WeightsError when the weights are missing or damaged.
    """

    def __init__(
        self,
        name: str,
        device: torch.device,
        num_keypoints: int = 2048,
        *,
        search: bool = True,
        refined: bool = True,
        network: MapGlue | None = None,
    ) -> None:
        self.name = name
        self.num_keypoints, self.search, self.refined = num_keypoints, search, refined
        network = network or load_model(name)
        self.network = network.eval().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.encode = Encoder(self.network.extractor, device)

    def correspond(self, image0: RGBImage, image1: RGBImage) -> Matches:
        """Match one pair."""
        return self.correspond_batch([image0], [image1])[0]

    def correspond_batch(self, images0: Sequence[RGBImage], images1: Sequence[RGBImage]) -> list[Matches]:
        """Match pairs; without search and refinement the graphs run on all pairs at once, padded."""
        small0, small1 = [reduced(image) for image in images0], [reduced(image) for image in images1]
        if self.search or self.refined:
            found = [self._settle(first[0], second[0]) for first, second in zip(small0, small1, strict=True)]
        else:
            views = [(self.encode(a[0]), self.encode(b[0])) for a, b in zip(small0, small1, strict=True)]
            found = match_once_batch(self.network, views, self.num_keypoints)
        return [
            _best(_enlarged(matches, first[1], second[1]), self.num_keypoints)
            for matches, first, second in zip(found, small0, small1, strict=True)
        ]

    def _settle(self, image0: RGBImage, image1: RGBImage) -> Matches:
        """Find the pose, then the matches in it."""
        view0 = self.encode(image0)
        pose = search(self.encode, view0, image1, every=self.search)
        if pose.matrix is None:
            return pose.matches
        size0 = image0.shape[1], image0.shape[0]
        matches = refine(self.encode, view0, size0, image1, pose.matrix) if self.refined else Matches.empty()
        return matches if len(matches) else pose.matches


def _enlarged(matches: Matches, matrix0: Matrix, matrix1: Matrix) -> Matches:
    """Take matches of reduced images to the originals' pixels."""
    points0 = transform(matrix0, matches.points0).astype(np.float32)
    return Matches(points0, transform(matrix1, matches.points1).astype(np.float32), matches.scores)


def _best(matches: Matches, count: int) -> Matches:
    order = np.argsort(-matches.scores, kind="stable")[:count]
    return matches[order]
