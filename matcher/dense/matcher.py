"""The dense classical matcher: a pose by correlation of whole images, then correspondences by that of windows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch

from matcher.dense.correlation import find_peak
from matcher.dense.harmonics import orientation_harmonics
from matcher.dense.pooling import PRICE, pool_surfaces
from matcher.dense.poses import Matrix, Pose, View, search_poses
from matcher.dense.windows import correlation_surfaces, window_grid
from matcher.images import RGBImage
from matcher.types import Matcher, Matches
from raster.fit import Model
from raster.homography import apply_homography, inverse, resizing
from raster.warp import warp

ROTATIONS = 72
SCALES = tuple(2.0 ** (step / 4) for step in range(-4, 5))
COARSE_SIDE = 96
REFINED_SIDE = 192
FINE_SIDE = 1024
CANDIDATES = 5
FINALISTS = 3

MIN_DATA = 0.5
"""Share of a window that must hold data on both sides."""

OVERLAP = 0.45
"""Windows follow each other after this share of their size."""

SURE_MERIT, SURE_SHARE = 0.35, 0.5
"""A motion of at least that merit (see `_Trace`), near which at least that share of the windows peaks, is no chance: on
the learned field, none of 34 pairs of maps and images of different ground reached both, in three steps."""

LEEWAY = 4.0
"""How far, in pixels of the images compared, a window's own peak may lie from the pooled transformation."""


Describe = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Image (1 x 3 x H x W in [0, 1]) and mask (1 x 1 x H x W) -> their field, 1 x C x h x w, every H // h-th pixel."""


@dataclass(frozen=True)
class Step:
    """A refinement: images resized by `scale` (of the fine size), windows of `size` and searches of `radius`, both as
    shares of the longer side, and the kinds of transformation that may explain them, from little freedom to much.
    In images of more than `full_price` pixels freedom costs less, in proportion: more speaks for what it follows."""

    scale: float
    size: float
    radius: float
    models: tuple[Model, ...]
    full_price: float = math.inf

    def price(self, view1: View) -> float:
        """Return what freedom costs (see `pool_surfaces`) where image 1 is `view1`."""
        return PRICE * min(1.0, self.full_price / math.prod(view1.image.shape[:2]))


STEPS = (
    Step(0.6, 0.3, 0.1, ("similarity", "homography")),
    Step(1.0, 0.25, 0.05, ("similarity", "homography")),
    Step(1.0, 0.25, 0.04, ("similarity", "homography")),
    Step(1.0, 0.25, 0.04, ("similarity", "homography")),  # freedom is paid for anew: it follows tilt a little further
)

LAST_STEPS = (*STEPS[:2], *(replace(step, scale=1.4, full_price=300.0**2) for step in STEPS[2:]))
"""The same for the last word on a motion. A learned field has every other pixel: from enlarged images it tells the last
of them better. The limits by which a motion is sure were chosen without."""


class DenseMatcher(Matcher):
    """Normalised correlation by FFT of orientation harmonics, in the manner of CFOG (Ye et al., 2019), or of the fields
    that `describe` makes of images instead, with the `energy_floor` (see `correlate`) that they were trained with.

    Any rotation and scales from 1/2 to 2 are searched on small versions of the images; the best poses are refined by
    windows whose surfaces are pooled into one transformation. The correspondences are the centres of the windows that
    peak near it, moved onto it: a window of a generalised map is off by a few pixels, and an unconstrained fit would
    follow such errors to the corners. How well the windows agree is therefore told by their number and scores, not by
    residuals. A pair that does not belong together gives correspondences too, fewer and of lower score: judge them.
    """

    name = "cfog"
    maximum_side: ClassVar[int | None] = FINE_SIDE

    def __init__(
        self,
        device: str | torch.device = "cpu",
        describe: Describe = orientation_harmonics,
        energy_floor: float = 0.0,
    ) -> None:
        self.device = torch.device(device)
        self.describe, self.energy_floor = describe, energy_floor

    @torch.no_grad()
    def correspond(self, image0: RGBImage, image1: RGBImage) -> Matches:
        """Match one pair; scores are the correlations of the windows, in (0, 1]."""
        view0, view1 = (View(image, data_mask(image), self.device) for image in (image0, image1))
        poses = likely_poses(view0, view1)
        return self._best(view0, view1, [pose.matrix for pose in poses[:FINALISTS]]).matches

    def likeliest(self, view0: View, view1: View, matrices: Sequence[Matrix], count: int) -> list[Matrix]:
        """Follow some poses, image 0 -> image 1, through the first step alone; return where the `count` best lead."""
        traces = [self._trace(view0, view1, matrix, STEPS[:1]) for matrix in matrices]
        return [trace.matrix for trace in sorted(traces, key=lambda trace: -trace.merit)[:count]]

    def sure_matches(self, view0: View, view1: View, matrices: Sequence[Matrix]) -> Matches:
        """Follow some poses, image 0 -> image 1, at least one; return the correspondences under the best if it is no
        chance, else none. Scores are the correlations of the windows."""
        best = self._best(view0, view1, matrices)
        sure = best.merit >= SURE_MERIT and len(best.matches) >= SURE_SHARE * best.windows
        return best.matches if sure else Matches.empty()

    def _best(self, view0: View, view1: View, matrices: Sequence[Matrix]) -> _Trace:
        return max((self._trace(view0, view1, matrix, STEPS) for matrix in matrices), key=lambda trace: trace.merit)

    def follow(self, view0: View, view1: View, matrix: Matrix, steps: Sequence[Step] = STEPS) -> tuple[Matrix, float]:
        """Follow one pose through `steps`: the matrix at the end, image 0 -> image 1, and the mean correlation of the
        windows under it (minus infinity where the images do not overlap)."""
        trace = self._trace(view0, view1, matrix, steps)
        return trace.matrix, trace.score

    @torch.no_grad()
    def _trace(self, view0: View, view1: View, matrix: Matrix, steps: Sequence[Step]) -> _Trace:
        trace = _Trace(matrix, -math.inf, 0.0, 0, Matches.empty())
        for step in steps:
            aligned = _align(view0, view1, trace.matrix, step.scale * _common_scale(trace.matrix, view1), self.describe)
            longest, stride = max(aligned.field1.shape[1:]), aligned.stride
            size, radius = max(24 // stride, round(longest * step.size)), max(6 // stride, round(longest * step.radius))
            corners = aligned.corners(size, max(8 // stride, round(size * OVERLAP)))
            if not len(corners):
                return _Trace(trace.matrix, -math.inf, 0.0, 0, Matches.empty())
            surfaces = correlation_surfaces(aligned.field0, aligned.field1, corners, size, radius, self.energy_floor)
            centres = corners.astype(np.float64) + (size - 1) / 2
            change, score = pool_surfaces(surfaces, centres, step.models, step.price(view1))
            matrix = inverse(aligned.to_field1) @ change @ aligned.to_field1 @ trace.matrix
            matches = aligned.near(surfaces, centres, change)
            trace = _Trace(matrix, score, float(aligned.data.mean()), len(centres), matches)
        return trace


class _Trace(NamedTuple):
    """Where a pose leads: the matrix, the windows' mean correlation, the share of image 1 that both images cover, the
    number of windows, and the correspondences: those windows that peak near the motion."""

    matrix: Matrix
    score: float
    overlap: float
    windows: int
    matches: Matches

    @property
    def merit(self) -> float:
        """What poses are compared by: slivers of images agree by chance more often than halves."""
        return self.score * math.sqrt(self.overlap) if self.windows else -math.inf


@dataclass(frozen=True, eq=False)
class _Aligned:
    """Both fields (C x H x W) on the grid of the resized image 1, or every `stride`-th pixel of it, image 0 warped.

    `to_field0` and `to_field1` lead from the images' pixels to those of the fields.
    """

    field0: torch.Tensor
    field1: torch.Tensor
    stride: int
    data: npt.NDArray[np.bool_]
    to_field0: Matrix
    to_field1: Matrix

    def corners(self, size: int, step: int) -> npt.NDArray[np.intp]:
        """Return the windows that hold enough data on both sides."""
        height, width = self.data.shape
        corners = window_grid(height, width, size, step)
        total = cv2.integral(self.data.astype(np.uint8))
        x0, y0 = corners.T
        x1, y1 = np.minimum(x0 + size, width), np.minimum(y0 + size, height)
        count = total[y1, x1] - total[y0, x1] - total[y1, x0] + total[y0, x0]
        return corners[count >= MIN_DATA * size**2]

    def near(self, surfaces: torch.Tensor, centres: npt.NDArray[np.float64], change: Matrix) -> Matches:
        """Return the correspondences by `change`, in full-size pixels, of the windows that peak near it."""
        peak = find_peak(surfaces)
        shifts = peak.place.double().cpu().numpy() - surfaces.shape[-1] // 2
        scores = peak.value.double().cpu().numpy()
        moved = apply_homography(change, centres)
        away = np.linalg.norm(centres + shifts - moved, axis=1)
        kept = (away <= LEEWAY / self.stride) & (scores > 0)
        points0 = apply_homography(inverse(self.to_field0), centres[kept])
        points1 = apply_homography(inverse(self.to_field1), moved[kept])
        order = np.argsort(-scores[kept], kind="stable")
        return Matches(points0[order], points1[order], scores[kept][order])  # type: ignore[arg-type]


def _align(view0: View, view1: View, matrix: Matrix, scale: float, describe: Describe) -> _Aligned:
    image1, mask1, to_small1 = view1.resized(scale)
    height, width = image1.shape[-2:]
    warped, mask = warp(view0.image, view0.mask, to_small1 @ matrix, width, height)
    image0, mask0, _ = View(warped, mask, view0.device).resized(1.0)
    field0, field1 = describe(image0, mask0)[0], describe(image1, mask1)[0]
    stride = width // field1.shape[2]
    rows, columns = (slice(stride // 2, length * stride, stride) for length in field1.shape[1:])
    data = mask[rows, columns] & (field1.abs().sum(0) > 0).cpu().numpy()
    to_field = resizing(1 / stride, 1 / stride) @ to_small1
    return _Aligned(field0, field1, stride, data, to_field @ matrix, to_field)


def _common_scale(matrix: Matrix, view1: View) -> float:
    """Return the share of image 1's size at which both images are compared: neither is enlarged, by more than half."""
    enlargement = math.sqrt(abs(np.linalg.det(matrix[:2, :2])))
    return min(1.0, FINE_SIDE / max(view1.image.shape[:2]), max(0.5, 1 / enlargement))


@torch.no_grad()
def likely_poses(view0: View, view1: View, count: int = CANDIDATES) -> list[Pose]:
    """Return up to `count` poses, likeliest first, over any rotation and the scales of `SCALES`."""
    angles = np.arange(ROTATIONS, dtype=np.float64) * (2 * np.pi / ROTATIONS)
    poses = distinct_poses(search_poses(view0, view1, angles, SCALES, COARSE_SIDE), count)
    return sorted((refine_pose(view0, view1, pose) for pose in poses), key=lambda pose: -pose.score)


def distinct_poses(poses: Sequence[Pose], count: int) -> list[Pose]:
    """Return the best `count` poses that are no neighbours (within two steps of angle and one of scale)."""
    chosen: list[Pose] = []
    for pose in poses:
        if len(chosen) == count:
            break
        if all(_turn_between(pose, other) > 0.2 or abs(math.log(pose.scale / other.scale)) > 0.25 for other in chosen):
            chosen.append(pose)
    return chosen


def refine_pose(view0: View, view1: View, pose: Pose) -> Pose:
    """Search around a pose with half the step, then a quarter, on larger versions of the images."""
    for halving in (1, 2):
        angle, scale = np.pi / ROTATIONS / halving, 2.0 ** (0.125 / halving)
        angles = pose.angle + angle * np.array([-1.0, 0.0, 1.0])
        pose = search_poses(view0, view1, angles, (pose.scale / scale, pose.scale, pose.scale * scale), REFINED_SIDE)[0]
    return pose


def data_mask(image: RGBImage) -> npt.NDArray[np.bool_]:
    """Guess where an image without a mask holds data: all but black that is connected to the border."""
    black = (image == 0).all(axis=2)
    if not black.any():
        return ~black
    _, labels = cv2.connectedComponents(black.astype(np.uint8))
    border = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    return ~np.isin(labels, border[border > 0])


def _turn_between(pose: Pose, other: Pose) -> float:
    return abs((pose.angle - other.angle + math.pi) % (2 * math.pi) - math.pi)
