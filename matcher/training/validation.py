"""Validation on real, warped pairs: the development part of a set in SRIF's layout. Aligned pairs would be too easy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from matcher.benchmark.levels import at_level
from matcher.benchmark.metrics import auc, score_pair, share_within
from matcher.benchmark.pairs import ImagePair, srif_pairs
from matcher.training.stages import TrainingStage
from matcher.types import Matches

LEVEL = "easy"
SEEDS = 3
"""Random homographies a pair: with one, chance would choose the checkpoint."""

SUCCESS_PX = 10.0
AUC_PX = 20.0
"""The area under the curve up to this error chooses checkpoints: the success rate of few pairs is too coarse."""

SHOWN = 3
"""Pairs whose matches are drawn at every validation."""


def warped_pairs(folder: Path, seeds: int) -> list[ImagePair]:
    """Return every development pair of a folder in SRIF's layout, warped by `seeds` random homographies.

    Args:
        folder: One kind of a set in SRIF's layout.
        seeds: Random homographies a pair, of the level `LEVEL`; the same number always gives the same ones.

    Raises:
        InputError: The folder has no pairs in that layout, or an image cannot be read.
    """
    pairs = [files.load() for files in srif_pairs(folder, "development")]
    return [at_level(replace(pair, name=f"{pair.name}#{seed}"), LEVEL) for seed in range(seeds) for pair in pairs]


@dataclass(frozen=True)
class Validation:
    """Measures a training stage's network; pictures of matches go to `output`/validation."""

    pairs: list[ImagePair]
    output: Path

    @classmethod
    def read(cls, folder: Path, output: Path) -> Validation:
        """Read the development pairs of a folder in SRIF's layout.

        Args:
            folder: One kind of a set in SRIF's layout.
            output: Folder of the training; pictures go to its `validation`.

        Raises:
            InputError: The folder has no pairs in that layout, or an image cannot be read.
        """
        return cls(warped_pairs(folder, SEEDS), output)

    def __call__(self, stage: TrainingStage, step: int) -> dict[str, float]:
        """Measure a training stage's network and draw the first pairs.

        Args:
            stage: With the weights that are to be measured.
            step: Names the pictures.

        Returns:
            "validation", the area under the curve of corner errors up to AUC_PX, 0 to 1; "success_10px", the share of
            pairs within SUCCESS_PX; and "median_px", the median corner error, where a failure counts as 1,000 px.
        """
        device = next(stage.parameters()).device
        matcher = stage.matcher(device)
        errors = []
        for number, pair in enumerate(self.pairs):
            matches = matcher.match(pair.image0, pair.image1)
            errors.append(score_pair(matches, pair).corner_error_px)
            if number < SHOWN:
                self._draw(matches, pair, self.output / "validation" / f"{step:06d}-{number}.png")
        success, median = share_within(errors, SUCCESS_PX), float(np.median(np.minimum(errors, 1000)))
        return {"validation": auc(errors, AUC_PX), "success_10px": success, "median_px": median}

    @staticmethod
    def _draw(matches: Matches, pair: ImagePair, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        height = max(pair.image0.shape[0], pair.image1.shape[0])
        sides = [
            cv2.copyMakeBorder(image, 0, height - image.shape[0], 0, 0, cv2.BORDER_CONSTANT)
            for image in (pair.image0, pair.image1)
        ]
        canvas = np.ascontiguousarray(np.hstack(sides)[..., ::-1])
        for point0, point1 in zip(matches.points0[:100], matches.points1[:100], strict=True):
            ends = [(int(x), int(y)) for x, y in (point0, point1 + np.array([pair.image0.shape[1], 0]))]
            cv2.line(canvas, ends[0], ends[1], (0, 200, 0), 1, cv2.LINE_AA)
        cv2.imwrite(str(path), canvas)
