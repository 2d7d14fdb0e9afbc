"""The dense matcher: hypotheses by correlation of whole images, refined by correlation of windows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from matcher.dense.correlation import find_peak
from matcher.dense.harmonics import orientation_harmonics
from matcher.dense.masked_image import MaskedImage, data_mask
from matcher.dense.pooling import COMPLEXITY_PENALTY, pool_surfaces
from matcher.dense.resident import Deferred, Homography, fetched, on_host
from matcher.dense.search import search
from matcher.dense.tilting import tilted
from matcher.dense.windows import correlation_surfaces, window_grid
from matcher.images import RGBImage
from matcher.types import Matcher, Matches
from raster.box import window_means
from raster.fit import Model
from raster.homography import FloatArray, Matrix, apply_homography, inverse
from raster.pixels import resizing

MAX_SIDE = 1024
"""Longer side, in pixels, at which images are compared at most."""

REFINED = 3
"""Initial hypotheses that are refined."""

MIN_DATA = 0.5
"""Share of a window that must hold data in both images."""

WINDOW_STEP = 0.45
"""Distance between windows, as a share of their size."""

RELIABLE_SCORE, RELIABLE_SHARE = 0.35, 0.5
"""A homography of at least this score, near which at least this share of the windows peaks, is taken for right where
nothing else confirms it. On the learned feature map, none of 34 negative pairs of maps and images reached both after
three steps."""

CLEARLY = 1.03
"""A homography whose score is higher by this factor is clearly better than another one nearby."""

PEAK_TOLERANCE_PX = 4.0
"""Largest distance, in pixels of the compared images, of a window's own peak from the pooled transformation."""

Describe = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Image (1 x 3 x H x W in [0, 1]) and mask (1 x 1 x H x W) -> feature map, 1 x C x h x w, one for every H // h
pixels."""


@dataclass(frozen=True)
class RefinementStep:
    """One step of the refinement of a homography.

    Attributes:
        scale: Resolution, relative to that at which the images are compared.
        size: Size of the windows, as a share of the longer side.
        radius: Radius of the search, as a share of the longer side.
        models: Transformation models that may explain the windows' shifts, in the order of their degrees of freedom.
        full_penalty_px: In images of more pixels the complexity penalty shrinks in proportion: there is more evidence.
    """

    scale: float
    size: float
    radius: float
    models: tuple[Model, ...]
    full_penalty_px: float = math.inf

    def penalty(self, view1: MaskedImage) -> float:
        """Return the complexity penalty (see `pool_surfaces`) where image 1 is `view1`.

        Args:
            view1: Image 1 at the resolution at which the images are compared.
        """
        return COMPLEXITY_PENALTY * min(1.0, self.full_penalty_px / math.prod(view1.image.shape[:2]))

    def pixels(self, frame: Frame) -> tuple[int, int]:
        """Return the size of the windows and the radius of the search in pixels of a frame's feature map.

        Args:
            frame: Image 1 at the resolution of this step.
        """
        longest, stride = max(frame.features.shape[1:]), frame.stride
        return max(24 // stride, round(longest * self.size)), max(6 // stride, round(longest * self.radius))


STEPS = (
    RefinementStep(0.6, 0.3, 0.1, ("similarity", "homography")),
    RefinementStep(1.0, 0.25, 0.05, ("similarity", "homography")),
    RefinementStep(1.0, 0.25, 0.04, ("similarity", "homography")),
    # The penalty starts from zero at every step, so the last one follows perspective a little further.
    RefinementStep(1.0, 0.25, 0.04, ("similarity", "homography")),
)

FOLLOWING_STEPS = (STEPS[0],) * 3
"""The steps by which an initial hypothesis is followed, before it is judged."""

FINAL_STEPS = (STEPS[1], *(replace(step, scale=1.4, full_penalty_px=300.0**2) for step in STEPS[2:]))
"""The steps of the final refinement. The learned feature map has half the resolution of the images, so enlarged images
give better sub-pixel shifts. The limits of reliable homographies were chosen with `STEPS`."""


class DenseMatcher(Matcher):
    """Dense matching by normalised cross-correlation in the frequency domain.

    The features are orientation harmonics, in the manner of CFOG (Ye et al., 2019), or those of `describe`. Any
    rotation and scales from 1/2 to 2 are searched on small versions of the images; the best hypotheses are refined by
    windows whose correlation surfaces are pooled into one transformation. The correspondences are the centres of the
    windows that peak near it, moved onto it: a window of a generalised map is off by a few pixels, and an unconstrained
    fit would follow such errors to the corners. So how well the windows agree is told by their number and scores, not
    by their residuals. Negative pairs give correspondences too, fewer and with lower scores.
    """

    name = "cfog"
    maximum_side: ClassVar[int | None] = MAX_SIDE

    def __init__(
        self,
        device: str | torch.device = "cpu",
        describe: Describe = orientation_harmonics,
        energy_floor: float = 0.0,
    ) -> None:
        """Make a matcher.

        Args:
            device: Device of the computation.
            describe: What computes the feature maps that are correlated in the refinement.
            energy_floor: Energy floor (see `correlate`) that the features were trained with.
        """
        self.device = torch.device(device)
        self.describe, self.energy_floor = describe, energy_floor

    @torch.no_grad()
    def correspond(self, image0: RGBImage, image1: RGBImage) -> Matches:
        """Match one pair; scores are the correlations of the windows, in (0, 1]."""
        view0, view1 = (MaskedImage(image, data_mask(image), self.device) for image in (image0, image1))
        found, _ = initial_hypotheses(view0, view1, REFINED)
        return self._best(view0, view1, found).matches

    def refine(
        self, view0: MaskedImage, view1: MaskedImage, matrix: Matrix, steps: Sequence[RefinementStep] = STEPS
    ) -> tuple[Matrix, float]:
        """Refine one hypothesis.

        Args:
            view0: Image 0.
            view1: Image 1.
            matrix: The hypothesis, 3 x 3, image 0 -> image 1.
            steps: What is done one after another.

        Returns:
            The refined matrix, and the mean correlation of the windows under it; minus infinity without overlap.
        """
        refined = self.follow(view0, self.reference(view1), matrix, steps)
        return refined.matrix, refined.correlation

    def reference(self, view1: MaskedImage) -> Reference:
        """Return image 1 with a memory of its feature maps, to follow several hypotheses or in several calls."""
        return Reference(view1, self.describe)

    def _best(self, view0: MaskedImage, view1: MaskedImage, matrices: Sequence[Matrix]) -> Followed:
        reference = self.reference(view1)
        return max((self.follow(view0, reference, matrix, STEPS) for matrix in matrices), key=lambda each: each.score)

    @torch.no_grad()
    def follow(
        self, view0: MaskedImage, reference: Reference, matrix: Matrix, steps: Sequence[RefinementStep]
    ) -> Followed:
        """Refine one hypothesis, as `refine` does, and return all that the judgement of it needs.

        Args:
            view0: Image 0.
            reference: Image 1 with the feature maps that earlier calls computed, so that several hypotheses share them.
            matrix: The hypothesis, 3 x 3, image 0 -> image 1, pixels of both as they are given.
            steps: What is done one after another; each starts from the result of the one before.

        Returns:
            As measured in the last step; where a step finds no window with enough data in both images, the matrix so
            far with correlation minus infinity and no windows.
        """
        at = Homography.at(matrix, self.device)
        return fetched(self.deferred(view0, reference, at, steps).found)[0]

    @torch.no_grad()
    def tilted(
        self, view0: MaskedImage, reference: Reference, at: Homography, steps: Sequence[RefinementStep]
    ) -> Homography:
        """Refine one hypothesis and one near it with more tilt and shear, and return the latter where it is clearly
        better.

        Args:
            view0: Image 0.
            reference: Image 1 with its feature maps.
            at: The hypothesis, image 0 -> image 1.
            steps: What is done with both.
        """
        starts = at, tilted(view0, reference.view, at)
        plain, other = (self.deferred(view0, reference, start, steps) for start in starts)
        least = torch.where(plain.score.isfinite(), plain.score + (CLEARLY - 1) * plain.score.abs(), plain.score)
        return plain.at.unless(other.score > least, other.at)

    @torch.no_grad()
    def deferred(
        self, view0: MaskedImage, reference: Reference, at: Homography, steps: Sequence[RefinementStep]
    ) -> Pending:
        """Refine one hypothesis, as `follow` does, without a copy to the host.

        Args:
            view0: Image 0.
            reference: Image 1 with its feature maps.
            at: The hypothesis, image 0 -> image 1.
            steps: What is done one after another.

        Returns:
            What `follow` returns, still on the device.
        """
        found = torch.ones((), dtype=torch.bool, device=self.device)
        for step in steps:
            frame = reference.at(step.scale * reference.common_scale(at.known))
            features0, data = _align(view0, frame, at, self.describe)
            size, radius = step.pixels(frame)
            corners, valid = _windows(data, size, max(8 // frame.stride, round(size * WINDOW_STEP)))
            if not len(corners):
                nothing = torch.full((), -math.inf, dtype=torch.float64, device=self.device)
                return Pending(Deferred.of(Followed.nothing(at.known)), at, nothing)
            found = found & valid.any()
            surfaces = correlation_surfaces(features0, frame.features, corners, size, radius, self.energy_floor)
            centres = torch.from_numpy(corners).to(self.device).double() + (size - 1) / 2
            change, correlation = _pooled(surfaces, centres, valid, step, reference.view)
            before, at = at, at.after(change, frame.to_features)
            at = replace(at, values=torch.where(found, at.values, before.values))
        peak = find_peak(surfaces)
        matrices = torch.stack([at.values, before.values, change])
        facts = torch.stack([correlation.double(), data.double().mean(), found.double()])
        windows = torch.cat([centres, peak.place.double(), peak.value[:, None].double(), valid[:, None].double()], 1)

        def finish(values: FloatArray) -> Followed:
            matrix, start, change = values[:27].reshape(3, 3, 3)
            if not values[29]:
                return Followed.nothing(matrix)
            windows = values[30:].reshape(-1, 6)
            windows = windows[windows[:, 5] > 0]
            matches = _matches_near(windows, radius, change, frame, frame.to_features @ start)
            return Followed(matrix, float(values[27]), float(values[28]), len(windows), matches)

        score = torch.where(found, facts[0] * facts[1].sqrt(), -math.inf)
        return Pending(Deferred(torch.cat([matrices.flatten(), facts, windows.flatten()]), finish), at, score)


def initial_hypotheses(view0: MaskedImage, view1: MaskedImage, count: int) -> tuple[list[Matrix], list[float]]:
    """Return the best similarities between two images, 3 x 3, image 0 -> image 1, best first, and their scores (see
    `search`).

    Args:
        view0: Image 0.
        view1: Image 1.
        count: How many distinct similarities to return at most.
    """
    (image0, mask0, _), (image1, mask1, _) = view0.resized(1.0), view1.resized(1.0)
    found = search(image0, mask0, image1, mask1, count)
    rows = torch.cat([found.matrices.flatten(1), found.scores[:, None]], 1).cpu().numpy()
    return list(rows[:, :9].reshape(-1, 3, 3)), rows[:, 9].tolist()


class Followed(NamedTuple):
    """A refined hypothesis: its matrix, the windows' mean correlation, the share of image 1 that both images cover, the
    number of windows, and the correspondences, which are the windows that peak near the transformation."""

    matrix: Matrix
    correlation: float
    overlap: float
    windows: int
    matches: Matches

    @classmethod
    def nothing(cls, matrix: Matrix) -> Followed:
        """Return what no window speaks for.

        Args:
            matrix: The hypothesis, as far as it was followed.
        """
        return cls(matrix, -math.inf, 0.0, 0, Matches.empty())

    @property
    def score(self) -> float:
        """The hypothesis score. Small overlaps agree by chance more often than large ones, so they count less."""
        return self.correlation * math.sqrt(self.overlap) if self.windows else -math.inf

    @property
    def reliable(self) -> bool:
        """Whether it is taken for right where nothing else confirms it."""
        return self.score >= RELIABLE_SCORE and len(self.matches) >= RELIABLE_SHARE * self.windows


class Pending(NamedTuple):
    """A refined hypothesis that is not fetched yet: all of it, its homography, and its score (see `Followed`)."""

    found: Deferred[Followed]
    at: Homography
    score: torch.Tensor


@dataclass(frozen=True, eq=False)
class Frame:
    """Image 1 at one resolution: resized, its feature map (C x h x w, one pixel for every `stride`), where that holds
    data, and the matrices from the image's own pixels to the resized ones and to those of the feature map."""

    size: tuple[int, int]
    features: torch.Tensor
    stride: int
    data: torch.Tensor
    to_small: Matrix
    to_features: Matrix


class Reference:
    """Image 1 and its feature maps, each computed once."""

    def __init__(self, view: MaskedImage, describe: Describe) -> None:
        """Make a reference of `view` whose feature maps are those of `describe`."""
        self.view, self.describe = view, describe
        self._frames: dict[tuple[int, int], Frame] = {}

    def common_scale(self, matrix: Matrix) -> float:
        """Return the scale of image 1 at which the images are compared: image 0 is not enlarged there, to the next
        quarter of an octave, or it is one half."""
        enlargement = math.sqrt(abs(np.linalg.det(matrix[:2, :2])))
        fitting = 2.0 ** (round(-4 * math.log2(max(enlargement, 1e-6))) / 4)
        return min(1.0, MAX_SIDE / max(self.view.image.shape[:2]), max(0.5, fitting))

    def at(self, scale: float) -> Frame:
        """Return image 1 resized by `scale`."""
        image, mask, to_small = self.view.resized(scale)
        height, width = image.shape[-2:]
        if (width, height) not in self._frames:
            features = self.describe(image, mask)[0]
            stride = width // features.shape[2]
            rows, columns = (slice(stride // 2, length * stride, stride) for length in features.shape[1:])
            data = mask[0, 0, rows, columns] & (features.abs().sum(0) > 0)
            to_features = resizing(1 / stride, 1 / stride) @ to_small
            self._frames[width, height] = Frame((width, height), features, stride, data, to_small, to_features)
        return self._frames[width, height]


def _align(view0: MaskedImage, frame: Frame, at: Homography, describe: Describe) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the feature map of image 0 in a frame of image 1, and where both hold data, H x W bool."""
    image0, mask0 = view0.warped(at, frame.to_small, frame.size)
    features0 = describe(image0, mask0)[0]
    rows, columns = (slice(frame.stride // 2, length * frame.stride, frame.stride) for length in features0.shape[1:])
    return features0, mask0[0, 0, rows, columns] & frame.data


def _windows(data: torch.Tensor, size: int, step: int) -> tuple[npt.NDArray[np.intp], torch.Tensor]:
    """Return windows, N x 2 (x, y), and which of them hold enough data, N bool; on the host no others."""
    height, width = data.shape
    corners = window_grid(height, width, size, step)
    valid = window_means(data, corners, size) >= MIN_DATA
    return (corners[valid.numpy()], valid[valid]) if on_host(data.device) else (corners, valid)


def _pooled(
    surfaces: torch.Tensor, centres: torch.Tensor, valid: torch.Tensor, step: RefinementStep, view1: MaskedImage
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the transformation under which the surfaces of the valid windows are highest, and their mean there.

    Other windows have flat surfaces and lie amid the valid ones, where they change nothing but the mean.
    """
    count = valid.sum().clamp(min=1)
    middle = torch.where(valid[:, None], centres, 0.0).sum(0) / count
    surfaces, centres = surfaces * valid[:, None, None], torch.where(valid[:, None], centres, middle)
    changes, means = pool_surfaces(surfaces[None], centres, step.models, step.penalty(view1))
    return changes[0], means[0] * (len(valid) / count)


def _matches_near(windows: FloatArray, radius: int, change: Matrix, frame: Frame, to_features0: Matrix) -> Matches:
    """Return the correspondences by `change`, in the images' pixels, of the windows that peak near it.

    Args:
        windows: N rows of centre (x, y), peak (x, y) and its height, and more.
        radius: Radius of the search, pixels of the feature map.
        change: 3 x 3, between pixels of both feature maps.
        frame: Image 1.
        to_features0: 3 x 3, pixels of image 0 -> pixels of its feature map.
    """
    centres, shifts, scores = windows[:, :2], windows[:, 2:4] - radius, windows[:, 4]
    moved = apply_homography(change, centres)
    distance = np.linalg.norm(centres + shifts - moved, axis=1)
    kept = (distance <= PEAK_TOLERANCE_PX / frame.stride) & (scores > 0)
    points0 = apply_homography(inverse(to_features0), centres[kept])
    points1 = apply_homography(inverse(frame.to_features), moved[kept])
    order = np.argsort(-scores[kept], kind="stable")
    return Matches(points0[order], points1[order], scores[kept][order])  # type: ignore[arg-type]
