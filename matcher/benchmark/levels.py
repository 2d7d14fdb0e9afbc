"""Pairs of the benchmark at levels of difficulty: image 1 of a pair is warped, image 0 is not (see `raster.levels`).

The random numbers depend on the names of the level and of the pair only.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from matcher.benchmark.pairs import ImagePair
from matcher.errors import InputError
from raster.levels import LEVELS, CornerPerturbation, HomographyRange, Level, seeded, warped_at


def read_levels(path: Path) -> dict[str, Level]:
    """Read levels by name from YAML.

    Args:
        path: A file in the form of configs/benchmark-levels.yaml.

    Raises:
        InputError: It cannot be read, or a level is none; the message names what is wrong.
    """
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))["levels"]
        return {str(name): _level(fields) for name, fields in given.items()}
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{path}: not a file of levels ({error}); see configs/benchmark-levels.yaml") from error


def _level(fields: dict[str, float] | None) -> Level:
    if fields is None:
        return None
    return CornerPerturbation(**fields) if "patch" in fields else HomographyRange(**fields)


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
