"""MapGlue as a matcher: images in, correspondences out.

One pass is the network as it is published in name: extractor, graphs, assignment. What surrounds it is ours: image 1
is seen through the likeliest motions and compared with image 0 cell by cell, which finds the motion and makes matches
precise; correlation of windows of a learned field (`matcher.dense.learned`) gives the last pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from matcher.dense.learned import ENERGY_FLOOR, LearnedField
from matcher.dense.matcher import LAST_STEPS, DenseMatcher, data_mask
from matcher.dense.poses import View as Picture
from matcher.images import RGBImage
from matcher.mapglue.config import Mode
from matcher.mapglue.model import MapGlue
from matcher.mapglue.pose import searched_poses, straight_pose
from matcher.mapglue.refinement import Refined, refine
from matcher.mapglue.single_pass import match_once_batch
from matcher.mapglue.views import Encoder, Matrix, reduced
from matcher.mapglue.weights import load_field, load_model
from matcher.types import Matcher, Matches
from raster.homography import apply_homography

POSES, LONG_LIST = 3, 10
"""Poses that the network judges, and from how many the dense matcher chooses them."""

LEAST_MATCHES = 20
LEAST_MERIT = 0.09
"""A motion of less merit is chance. Chosen on 32 pairs of maps and images that do not belong together (SRIF,
development part), the best of which reached 0.082 from three poses; of all 56 such pairs two reached more, 0.11 and
0.14. Ten poses give chance more to choose from: then four of the 56 are declared matched."""

TOUCH_PX = 12.0
"""The dense matcher's motion is taken when half the matches lie as near to it, in pixels of image 0."""


class MapGlueMatcher(Matcher):
    """`mapglue` or `fast-mapglue` with shipped weights (or with `network` and `field`).

    At most `num_keypoints` matches come back, surest first. `mode` "full" finds the motion by the network and lets the
    dense matcher, on its learned field, choose the poses that the network judges, have the last word on the motion, and
    the only one where the network finds none; "network" leaves that out; "single-pass" is the bare network, the
    quickest, for images that are turned and scaled little. `search` off takes the images as they stand in any mode.
    `compiled` runs the extractor through torch.compile, which takes minutes at the first image, and again at the first
    that is not square where that one was, but not at each size (on a CPU once more at the first smaller than about
    300 x 300 pixels). It is meant for CUDA, where it is not measured yet; on a CPU it gained little and needs a C++
    compiler. Images of which too few cells agree on a motion, and too few windows, have no matches.
    Raises WeightsError when the weights are missing or damaged.
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
        field: LearnedField | None = None,
    ) -> None:
        self.name, self.device, self.num_keypoints = name, device, num_keypoints
        self.mode, self.search = mode, search
        self.dense = _dense(field or load_field(), device) if mode == "full" else None
        network = network or load_model(name.partition(":")[0])
        self.network = network.eval().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if compiled:  # the extractor alone: the graphs prune by what they find, and their shapes change between layers
            self.network.extractor.compile(dynamic=True)
        self.encode = Encoder(self.network.extractor, device)

    def correspond(self, image0: RGBImage, image1: RGBImage) -> Matches:
        """Match one pair."""
        return self.correspond_batch([image0], [image1])[0]

    def correspond_batch(self, images0: Sequence[RGBImage], images1: Sequence[RGBImage]) -> list[Matches]:
        """Match pairs; in one pass the graphs run on all pairs at once, padded."""
        small0, small1 = [reduced(image) for image in images0], [reduced(image) for image in images1]
        if self.mode != "single-pass":
            found = [self._settle(first[0], second[0]) for first, second in zip(small0, small1, strict=True)]
        else:
            views = [(self.encode(a[0]), self.encode(b[0])) for a, b in zip(small0, small1, strict=True)]
            found = match_once_batch(self.network, views, self.num_keypoints)
        return [
            _best(_enlarged(matches, first[1], second[1]), self.num_keypoints)
            for matches, first, second in zip(found, small0, small1, strict=True)
        ]

    def _poses(self, picture0: Picture, picture1: Picture) -> list[Matrix]:
        if not self.dense:
            return searched_poses(picture0, picture1, POSES)
        return self.dense.likeliest(picture0, picture1, searched_poses(picture0, picture1, LONG_LIST), POSES)

    def _settle(self, image0: RGBImage, image1: RGBImage) -> Matches:
        """Refine the likeliest poses, take the one that most cells agree with, and give it its last touch."""
        view0 = self.encode(image0)
        pictures = Picture(image0, data_mask(image0), self.device), Picture(image1, data_mask(image1), self.device)
        poses = self._poses(*pictures) if self.search else straight_pose(view0, self.encode(image1))
        size0 = image0.shape[1], image0.shape[0]
        refined = [refine(self.encode, view0, size0, image1, pose) for pose in poses]
        best = max(refined, key=lambda found: found.merit, default=None)
        if best is None or len(best.matches) < LEAST_MATCHES or best.merit < LEAST_MERIT:
            return self.dense.sure_matches(*pictures, poses) if self.dense and poses else Matches.empty()
        return _touched(best, self.dense, *pictures) if self.dense else best.matches


def _dense(field: LearnedField, device: torch.device) -> DenseMatcher:
    field = field.eval().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return DenseMatcher(device, field, ENERGY_FLOOR)


def _touched(found: Refined, dense: DenseMatcher, picture0: Picture, picture1: Picture) -> Matches:
    """Move the matches onto the dense matcher's motion, where that is close to the network's."""
    matrix, _ = dense.follow(picture0, picture1, found.matrix, LAST_STEPS)
    points1 = apply_homography(matrix, found.matches.points0).astype(np.float32)
    apart = np.linalg.norm(points1 - found.matches.points1, axis=1)
    close = float(np.median(apart)) <= TOUCH_PX * float(np.sqrt(abs(np.linalg.det(found.matrix[:2, :2]))))
    return replace(found.matches, points1=points1) if close else found.matches


def _enlarged(matches: Matches, matrix0: Matrix, matrix1: Matrix) -> Matches:
    """Take matches of reduced images to the originals' pixels."""
    points0 = apply_homography(matrix0, matches.points0).astype(np.float32)
    return Matches(points0, apply_homography(matrix1, matches.points1).astype(np.float32), matches.scores)


def _best(matches: Matches, count: int) -> Matches:
    order = np.argsort(-matches.scores, kind="stable")[:count]
    return matches[order]
