"""MapGlue as a matcher: images in, correspondences out.

A single pass is the network as it is published in name: extractor, graphs, assignment. What surrounds it is ours: image
1 is warped by each of the best initial hypotheses and compared with image 0 cell by cell, which finds the homography
and makes matches precise; correlation of windows of a learned feature map (`matcher.dense.feature_map`) then refines it
to sub-pixel accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from matcher.dense.feature_map import ENERGY_FLOOR, FeatureMapNetwork
from matcher.dense.hypotheses import CANDIDATES, initial_hypotheses
from matcher.dense.masked_image import MaskedImage, data_mask
from matcher.dense.matcher import FINAL_STEPS, DenseMatcher
from matcher.images import RGBImage
from matcher.mapglue.config import Mode
from matcher.mapglue.encoding import Encoder, reduced
from matcher.mapglue.initial import unsearched_hypothesis
from matcher.mapglue.model import MapGlue
from matcher.mapglue.refinement import Refined, refine
from matcher.mapglue.single_pass import match_once_batch
from matcher.mapglue.weights import load_feature_map, load_model
from matcher.types import Matcher, Matches
from raster.homography import Matrix, apply_homography

HYPOTHESES, SHORTLIST = 3, 10
"""Hypotheses that the network refines, and from how many the dense matcher chooses them."""

MIN_MATCHES = 20
MIN_SCORE = 0.09
"""A homography with a lower score is taken for chance. Chosen on 32 negative pairs of maps and images (SRIF,
development part), the best of which reached 0.082 from three hypotheses; of all 56 such pairs two reached more, 0.11
and 0.14. Ten hypotheses give chance more to choose from: then four of the 56 are declared matched."""

FINAL_TOLERANCE_PX = 12.0
"""The dense matcher's homography is taken if half the matches lie as near to it, in pixels of image 0."""


class MapGlueMatcher(Matcher):
    """`mapglue` or `fast-mapglue`. At most `num_keypoints` matches come back, highest scores first.

    In mode "full" the network finds the homography; the dense matcher, on its learned feature map, chooses the
    hypotheses that the network refines, refines the network's homography, and finds it alone where the network finds
    none. Mode "network" leaves the dense matcher out. Mode "single-pass" is the bare network: the fastest, for images
    that are rotated and scaled little. Images of which too few cells and too few windows agree on a homography have no
    matches.
    """

    def __init__(
        self,
        name: str,
        device: torch.device,
        num_keypoints: int = 2048,
        *,
        mode: Mode = "full",
        search: bool = True,
        compiled: bool = False,
        network: MapGlue | None = None,
        features: FeatureMapNetwork | None = None,
    ) -> None:
        """Make a matcher.

        Args:
            name: "mapglue" or "fast-mapglue", perhaps with a mode; its shipped weights are loaded without `network`.
            device: Device of the computation.
            num_keypoints: Most matches to return, and most keypoints an image of a single pass.
            mode: How much is done.
            search: Whether rotations and scales are searched; if not, images are taken as nearly aligned in any mode.
            compiled: Run the extractor through torch.compile. That takes minutes at the first image, again at the first
                that is not square where that one was, and on a CPU once more at the first smaller than about 300 x 300
                pixels, but not at each size. It is meant for CUDA, where it is not measured yet; on a CPU it gained
                little and needs a C++ compiler.
            network: The network to use.
            features: The feature map network to use; default: the shipped one.

        Raises:
            WeightsError: Weights are missing or damaged.
        """
        self.name, self.device, self.num_keypoints = name, device, num_keypoints
        self.mode, self.search = mode, search
        self.dense = _dense(features or load_feature_map(), device) if mode == "full" else None
        network = network or load_model(name.partition(":")[0])
        self.network = network.eval().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if compiled:  # the extractor alone: the graphs prune by what they find, and their shapes change between layers
            self.network.extractor.compile(dynamic=True)
        self.encode = Encoder(self.network.extractor, device)

    def correspond(self, image0: RGBImage, image1: RGBImage) -> Matches:
        """Match one pair."""
        return self.correspond_batch([image0], [image1])[0]

    def correspond_batch(self, images0: Sequence[RGBImage], images1: Sequence[RGBImage]) -> list[Matches]:
        """Match pairs; in a single pass the graphs run on all pairs at once, padded."""
        small0, small1 = [reduced(image) for image in images0], [reduced(image) for image in images1]
        if self.mode != "single-pass":
            found = [self._match_one(first[0], second[0]) for first, second in zip(small0, small1, strict=True)]
        else:
            views = [(self.encode(a[0]), self.encode(b[0])) for a, b in zip(small0, small1, strict=True)]
            found = match_once_batch(self.network, views, self.num_keypoints)
        return [
            _best(_enlarged(matches, first[1], second[1]), self.num_keypoints)
            for matches, first, second in zip(found, small0, small1, strict=True)
        ]

    def _hypotheses(self, view0: MaskedImage, view1: MaskedImage) -> list[Matrix]:
        count = SHORTLIST if self.dense else HYPOTHESES
        found = [each.matrix for each in initial_hypotheses(view0, view1, max(count, CANDIDATES))[:count]]
        return self.dense.rank(view0, view1, found, HYPOTHESES) if self.dense else found

    def _match_one(self, image0: RGBImage, image1: RGBImage) -> Matches:
        """Refine the best hypotheses, take the one that most cells agree with, and refine it once more."""
        encoded0 = self.encode(image0)
        views = MaskedImage(image0, data_mask(image0), self.device), MaskedImage(image1, data_mask(image1), self.device)
        found = self._hypotheses(*views) if self.search else unsearched_hypothesis(encoded0, self.encode(image1))
        size0 = image0.shape[1], image0.shape[0]
        refined = [refine(self.encode, encoded0, size0, image1, matrix) for matrix in found]
        best = max(refined, key=lambda each: each.score, default=None)
        if best is None or len(best.matches) < MIN_MATCHES or best.score < MIN_SCORE:
            return self.dense.reliable_matches(*views, found) if self.dense and found else Matches.empty()
        return _finally_refined(best, self.dense, *views) if self.dense else best.matches


def _dense(features: FeatureMapNetwork, device: torch.device) -> DenseMatcher:
    features = features.eval().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return DenseMatcher(device, features, ENERGY_FLOOR)


def _finally_refined(found: Refined, dense: DenseMatcher, view0: MaskedImage, view1: MaskedImage) -> Matches:
    """Move the matches onto the dense matcher's homography, if that is close to the network's."""
    matrix, _ = dense.refine(view0, view1, found.matrix, FINAL_STEPS)
    points1 = apply_homography(matrix, found.matches.points0).astype(np.float32)
    moves = np.linalg.norm(points1 - found.matches.points1, axis=1)
    close = float(np.median(moves)) <= FINAL_TOLERANCE_PX * float(np.sqrt(abs(np.linalg.det(found.matrix[:2, :2]))))
    return replace(found.matches, points1=points1) if close else found.matches


def _enlarged(matches: Matches, matrix0: Matrix, matrix1: Matrix) -> Matches:
    """Take matches of reduced images to the originals' pixels."""
    points0 = apply_homography(matrix0, matches.points0).astype(np.float32)
    return Matches(points0, apply_homography(matrix1, matches.points1).astype(np.float32), matches.scores)


def _best(matches: Matches, count: int) -> Matches:
    order = np.argsort(-matches.scores, kind="stable")[:count]
    return matches[order]
