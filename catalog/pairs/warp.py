"""Training pairs for matchers: one image of a pair is moved by a known homography."""

from __future__ import annotations

import numpy as np
import torch

from catalog.pairs.sample import Pair
from raster.levels import LEVELS, Level, seeded, warped_at


class RandomWarp:
    """Warps the visible image of a pair at a level of the benchmark; `homography` then is the true one.

    A transform for `open_dataset`. Warped images are of several sizes: give `DataLoader` the function `collate`.
    """

    def __init__(self, level: str | Level = "normal", seed: int | None = None) -> None:
        """Choose the homographies.

        Args:
            level: Name of a level, such as easy, normal or hard, or its limits.
            seed: Of homographies that are the same in every epoch, one a pair and seed, as validation wants them. By
                default they follow PyTorch's random numbers: others in every epoch and worker, the same after
                `torch.manual_seed`.

        Raises:
            ValueError: There is no level of that name.
        """
        if isinstance(level, str) and level not in LEVELS:
            raise ValueError(f"level {level!r}: choose {', '.join(LEVELS)}, or give its limits")
        self.level = LEVELS[level] if isinstance(level, str) else level
        self.seed = seed

    def __call__(self, pair: Pair) -> Pair:
        """Return the pair with its visible image warped, and the homography from the map to it.

        Args:
            pair: As the dataset makes it.
        """
        if self.level is None:
            return pair
        image = pair["visible"]
        whole = image if image.dtype == torch.uint8 else (image * 255).round().to(torch.uint8)
        warped, matrix = warped_at(np.ascontiguousarray(whole.permute(1, 2, 0)), self.level, self._generator(pair))
        tensor = torch.from_numpy(np.ascontiguousarray(warped.transpose(2, 0, 1)))
        visible = tensor if image.dtype == torch.uint8 else tensor.to(image.dtype) / 255
        return {**pair, "visible": visible, "homography": torch.from_numpy(matrix) @ pair["homography"]}

    def _generator(self, pair: Pair) -> np.random.Generator:
        if self.seed is not None:
            return seeded(str(self.seed), pair["pair_id"])
        return np.random.default_rng(int(torch.randint(2**63 - 1, ())))
