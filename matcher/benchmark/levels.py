"""Pairs of the benchmark at levels of difficulty: image 1 of a pair is warped, image 0 is not (see `raster.levels`).

The random numbers depend on the names of the level and of the pair only.
"""

from __future__ import annotations

from collections.abc import Mapping

from matcher.benchmark.pairs import ImagePair
from raster.levels import LEVELS, Level, seeded, warped_at


def at_level(pair: ImagePair, level: str, levels: Mapping[str, Level] = LEVELS) -> ImagePair:
    """Return a pair at a level: image 1 warped, and the ground truth with it.

    Args:
        pair: The pair; its name seeds the random homography.
        level: Name of the level, which seeds it too.
        levels: Levels by name.

    Raises:
        KeyError: There is no such level.
    """
    warp = levels[level]
    if warp is None:
        return pair
    warped, matrix = warped_at(pair.image1, warp, seeded(level, pair.name))
    return ImagePair(pair.name, pair.image0, warped, matrix @ pair.homography)
