"""MapGlue as a matcher: images in, correspondences out.

A single pass is the network as it is published in name: extractor, graphs, assignment. What surrounds it is ours: image
1 is warped by each of the best initial hypotheses and compared with image 0 cell by cell, which finds the homography
and makes matches precise; correlation of windows of a learned feature map (`matcher.dense.feature_map`) then refines it
to sub-pixel accuracy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from matcher.dense.feature_map import ENERGY_FLOOR, FeatureMapNetwork
from matcher.dense.masked_image import MaskedImage, data_mask
from matcher.dense.matcher import (
    FINAL_STEPS,
    FOLLOWING_STEPS,
    DenseMatcher,
    Describe,
    Followed,
    RefinementStep,
    initial_hypotheses,
)
from matcher.dense.resident import Deferred, Homography, fetched, on_host
from matcher.errors import WeightsError
from matcher.folding import placed
from matcher.images import RGBImage
from matcher.mapglue.config import Mode
from matcher.mapglue.encoding import Encoder, reduced
from matcher.mapglue.initial import unsearched_hypothesis
from matcher.mapglue.judgement import MIN_CONFIDENCE, Evidence, confidence
from matcher.mapglue.model import MapGlue
from matcher.mapglue.refinement import Refined, refine, verify
from matcher.mapglue.single_pass import match_once_batch
from matcher.mapglue.weights import load_feature_map, load_model
from matcher.precision import mixed_precision
from matcher.types import Matcher, Matches
from raster.homography import Matrix, apply_homography

HYPOTHESES = 3
"""Initial hypotheses that are followed and judged, at most."""

SUFFICIENT_SCORE, CLEAR_RATIO = 0.2, 0.85
"""A homography of this score is taken without looking at the hypotheses after it; so is one that is not taken for
chance where the search gave those after it less than this share of the best one's score."""

MIN_MATCHES = 20
MIN_SCORE = 0.09
"""Of a homography that the cells alone found, and a score below which the next hypothesis is tried in any case. Chosen
on 32 negative pairs of maps and images (SRIF, development part), whose best reached 0.082 from three hypotheses."""


class MapGlueMatcher(Matcher):
    """`mapglue` or `fast-mapglue`. At most `num_keypoints` matches come back, highest scores first.

    In mode "full" the network finds the homography; the dense matcher, on its learned feature map, chooses the
    hypotheses that the network refines, refines the network's homography, and finds it alone where the network finds
    none. What both say together gives the confidence of the answer; images without an answer that is more likely right
    than wrong have no matches. Mode "network" leaves the dense matcher out. Mode "single-pass" is the bare network: the
    fastest, for images that are rotated and scaled little. These two know no confidence.
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
        self.dense: DenseMatcher | None = None
        if mode == "full":
            described = in_mixed_precision(placed(features or load_feature_map(), device))
            self.dense = DenseMatcher(device, described, ENERGY_FLOOR)
        self.network = placed(network or load_model(name.partition(":")[0]), device)
        if mode == "single-pass" and self.network.config.cross_positions:
            raise WeightsError("these graphs are for images that are aligned already; a single pass takes any")
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

    def _match_one(self, image0: RGBImage, image1: RGBImage) -> Matches:
        """Follow the best hypotheses, take the one that most cells agree with, and refine it once more.

        A first hypothesis that the search finds far likelier than the others is refined to the end at once: it is
        compared with the others only if it turns out wrong.
        """
        encoded0 = self.encode(image0)
        views = MaskedImage(image0, data_mask(image0), self.device), MaskedImage(image1, data_mask(image1), self.device)
        if self.search:
            found, likely = initial_hypotheses(*views, HYPOTHESES)
        else:
            found = unsearched_hypothesis(encoded0, self.encode(image1))
            likely = [1.0] * len(found)
        size0 = image0.shape[1], image0.shape[0]
        if self.dense is None:
            refined = (refine(self.encode, encoded0, size0, views[1], matrix) for matrix in found)
            best = _best_of(refined, likely)
            return best.matches if best and _agreed(best) else Matches.empty()
        dense, reference = self.dense, self.dense.reference(views[1])

        def followed(at: Homography, steps: Sequence[RefinementStep]) -> tuple[Deferred[Followed], Deferred[Refined]]:
            found, at, _ = dense.deferred(views[0], reference, at, steps)
            return found, verify(self.encode, encoded0, size0, views[1], at)

        def finished(at: Homography) -> tuple[Followed, Refined]:
            at = dense.tilted(views[0], reference, at, FOLLOWING_STEPS[-1:])
            final, verified = fetched(*followed(at, FINAL_STEPS))
            return final, verified

        starts = [Homography.at(matrix, self.device) for matrix in found]
        if clear(likely):
            final, verified = finished(dense.deferred(views[0], reference, starts[0], FOLLOWING_STEPS[:-1]).at)
            matches = judged(verified, final)
            if len(matches) or verified.score >= MIN_SCORE:
                return matches
        verifying = (followed(start, FOLLOWING_STEPS)[1] for start in starts)
        best = _best_of(_each(verifying, self.device), likely)
        if best is None:
            return Matches.empty()
        final, verified = finished(Homography.at(best.matrix, self.device))
        return judged(verified, final)


def in_mixed_precision(network: FeatureMapNetwork) -> Describe:
    """Return what describes images by a feature map network, in mixed precision where the device has it.

    Args:
        network: On its device.
    """

    def described(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        with mixed_precision(image.device):
            return network(image, mask)

    return described


def _each(results: Iterable[Deferred[Refined]], device: torch.device) -> Iterator[Refined]:
    """Yield results: one by one on the host, where those that are not looked at cost nothing; else all by one copy."""
    if on_host(device):
        return (fetched(result)[0] for result in results)
    return iter(fetched(*results))


def clear(likely: Sequence[float]) -> bool:
    """Whether the search found the first hypothesis far likelier than all others.

    Args:
        likely: Scores of the search, the best first.
    """
    return bool(likely) and all(score < CLEAR_RATIO * likely[0] for score in likely[1:])


def _best_of(refined: Iterator[Refined], likely: Sequence[float]) -> Refined | None:
    """Return the refined hypothesis that most cells agree with; `likely` are the scores that the search gave them."""
    best = None
    for score in likely:
        if best and (best.score >= SUFFICIENT_SCORE or (best.score >= MIN_SCORE and score < CLEAR_RATIO * likely[0])):
            break
        each = next(refined)
        if best is None or each.score > best.score:
            best = each
    return best


def judged(verified: Refined, final: Followed) -> Matches:
    """Return the matches of an answer with its confidence; none where it is more likely wrong than right.

    Args:
        verified: What the cells say to it.
        final: What the windows say to it.
    """
    evidence, matches = weighed(verified, final)
    return replace(matches, confidence=found) if (found := confidence(evidence)) >= MIN_CONFIDENCE else Matches.empty()


def weighed(verified: Refined, final: Followed) -> tuple[Evidence, Matches]:
    """Return what speaks for an answer, and its matches: those of the cells, or of the windows where cells are few.

    Args:
        verified: What the cells say to it.
        final: What the windows say to it.
    """
    evidence = Evidence(
        cells=verified.score,
        margin=float(verified.matches.scores.mean()) if len(verified.matches) else 0.0,
        windows=final.score,
        near=len(final.matches) / max(final.windows, 1),
    )
    return evidence, verified.matches if len(verified.matches) >= MIN_MATCHES else final.matches


def _agreed(found: Refined) -> bool:
    """Whether enough cells agree that it is not taken for chance, where there is no other evidence."""
    return len(found.matches) >= MIN_MATCHES and found.score >= MIN_SCORE


def _enlarged(matches: Matches, matrix0: Matrix, matrix1: Matrix) -> Matches:
    """Take matches of reduced images to the originals' pixels."""
    points0 = apply_homography(matrix0, matches.points0).astype(np.float32)
    return replace(matches, points0=points0, points1=apply_homography(matrix1, matches.points1).astype(np.float32))


def _best(matches: Matches, count: int) -> Matches:
    order = np.argsort(-matches.scores, kind="stable")[:count]
    return matches[order]
