"""What the commands `match` and `align` do, as functions."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mapdata.image_files import read_image_file
from matcher.registry import load_matcher
from matcher.types import Matcher, Matches
from raster.fit import Fit, fit

if TYPE_CHECKING:
    from stages.align.result import Alignment

Image = str | PathLike[str] | NDArray[np.generic]
"""A file that GDAL reads, or an array: H x W or H x W x 3, RGB."""


@dataclass(frozen=True, eq=False)
class Matched:
    """Correspondences of two images, and the homography fitted to them.

    Attributes:
        matches: `points0` and `points1` (N, 2) float32, pixels (x, y) with (0, 0) the centre of the top-left pixel, and
            `scores` (N,) float32.
        fit: Its `matrix` (3 x 3 float64, image 0 -> image 1) is None where no homography can be trusted; `reason` then
            says why. `inliers` is (N,) bool.
    """

    matches: Matches
    fit: Fit


def match(
    image0: Image,
    image1: Image,
    matcher: str | Matcher = "fast-mapglue",
    *,
    device: str = "auto",
    threshold_px: float = 3.0,
) -> Matched:
    """Match two images and fit a homography.

    Args:
        image0: First image: a file or an array.
        image1: Second image.
        matcher: Name of a matcher, as for `load_matcher`, or a matcher that is loaded already: name it once, load it
            once, to match many pairs.
        device: "auto" (CUDA where there is one), "cpu" or "cuda", for a matcher given by name.
        threshold_px: Greatest transfer error of an inlier, pixels of the second image.

    Returns:
        The correspondences and the fit.

    Raises:
        InputError: An image cannot be read or used.
        MatcherUnavailable: There is no such matcher, or a package that it needs is not installed.
    """
    images = [image if isinstance(image, np.ndarray) else read_image_file(Path(image)) for image in (image0, image1)]
    loaded = load_matcher(matcher, device) if isinstance(matcher, str) else matcher
    matches = loaded.match(*images)
    return Matched(matches, fit(matches.points0, matches.points1, threshold_px=threshold_px))


def align(
    map_raster: str | PathLike[str],
    visible: str | PathLike[str],
    *,
    points: str | PathLike[str] | None = None,
    matcher: str = "cfog",
    out: str | PathLike[str] | None = None,
) -> Alignment:
    """Align a map with a visible image of the same ground.

    Args:
        map_raster: File of the map; whatever GDAL reads. Georeferences, where both files have one, start the search.
        visible: File of the visible image.
        points: File of manual tie points: .points (QGIS), .geojson or .csv.
        matcher: Name of the matcher of the coarse step.
        out: Folder for the evidence (alignment.json and .parquet, regions.parquet, alignment.jpg); None writes nothing.

    Returns:
        The alignment: `transform.homography` (3 x 3 float64, map -> visible, full-resolution pixels), `verdict`
        ("accepted" or "needs-manual") and `reason`. Use the homography only of an accepted alignment.

    Raises:
        PermanentError: A file cannot be read, or both rasters do not overlap.
    """
    from stages.align.evidence import write_evidence
    from stages.align.pair import align_pair
    from stages.rasters import open_pair
    from stages.tiepoints import read_tiepoints

    with open_pair(Path(map_raster), Path(visible), siblings=True) as pair:
        grids = pair.visible.located, pair.map.located
        marked = read_tiepoints(Path(points), *grids) if points is not None else []
        evidence = align_pair(pair, marked, matcher)
        if out is not None:
            write_evidence(Path(out), evidence, pair)
    return evidence.alignment
