"""Handcrafted features: RootSIFT and AKAZE, detected and described by OpenCV."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from matcher.errors import MatcherUnavailable
from matcher.images import RGBImage
from matcher.types import Matcher, Matches

RATIO = 0.8
"""Lowe's ratio: a match is kept when the second nearest descriptor is at least 1 / RATIO times as far (Lowe, 2004)."""


class RootSIFT(Matcher):
    """SIFT descriptors under the Hellinger kernel (Arandjelovic and Zisserman, 2012), ratio test, mutual nearest."""

    name = "rootsift"
    maximum_side: ClassVar[int | None] = 2048

    def __init__(self, num_keypoints: int = 2048) -> None:
        self._detector = cv2.SIFT.create(nfeatures=num_keypoints)

    def correspond(self, image0: RGBImage, image1: RGBImage) -> Matches:
        points0, descriptors0 = self._describe(image0)
        points1, descriptors1 = self._describe(image1)
        return _mutual_ratio(points0, points1, descriptors0, descriptors1, cv2.NORM_L2)

    def _describe(self, image: RGBImage) -> tuple[npt.NDArray[np.float32], np.ndarray]:
        points, descriptors = _detect(self._detector, image)
        total = np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-12) if len(points) else 1
        return points, np.sqrt(descriptors / total).astype(np.float32)


class AKAZE(Matcher):
    """Accelerated KAZE with binary descriptors (Alcantarilla et al., 2013), ratio test, mutual nearest neighbours."""

    name = "akaze"
    maximum_side: ClassVar[int | None] = 2048

    def __init__(self, num_keypoints: int = 2048) -> None:
        if not hasattr(cv2, "AKAZE"):
            raise MatcherUnavailable(f"OpenCV {cv2.__version__} has no AKAZE: pip install 'opencv-python-headless<5'")
        self._detector = cv2.AKAZE.create(max_points=num_keypoints)

    def correspond(self, image0: RGBImage, image1: RGBImage) -> Matches:
        points0, descriptors0 = _detect(self._detector, image0)
        points1, descriptors1 = _detect(self._detector, image1)
        return _mutual_ratio(points0, points1, descriptors0, descriptors1, cv2.NORM_HAMMING)


def _detect(detector: cv2.Feature2D, image: RGBImage) -> tuple[npt.NDArray[np.float32], np.ndarray]:
    """Return the points (N, 2) and descriptors (N, D) of an RGB image."""
    keypoints, descriptors = detector.detectAndCompute(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), None)
    points = np.array([keypoint.pt for keypoint in keypoints], np.float32).reshape(-1, 2)
    return points, np.empty((0, 0), np.float32) if descriptors is None else descriptors


def _mutual_ratio(
    points0: np.ndarray, points1: np.ndarray, descriptors0: np.ndarray, descriptors1: np.ndarray, norm: int
) -> Matches:
    """Match descriptors: nearest both ways and clearly nearer than the second. The score is 1 - the ratio."""
    if min(len(descriptors0), len(descriptors1)) < 2:
        return Matches.empty()
    matcher = cv2.BFMatcher(norm)
    forward = matcher.knnMatch(descriptors0, descriptors1, k=2)
    backward = {match.queryIdx: match.trainIdx for match in matcher.match(descriptors1, descriptors0)}
    rows = [
        (best.queryIdx, best.trainIdx, 1 - best.distance / max(second.distance, 1e-12))
        for best, second in forward
        if best.distance < RATIO * second.distance and backward[best.trainIdx] == best.queryIdx
    ]
    if not rows:
        return Matches.empty()
    index0, index1, scores = zip(*rows, strict=True)
    return Matches(points0[list(index0)], points1[list(index1)], np.array(scores, np.float32))
