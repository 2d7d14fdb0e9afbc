"""Map-visible remote sensing image pairs with ground truth: build, align, publish and benchmark them.

What a user needs from Python:

- `open_dataset(place, ...)`: the pairs of a release in a folder, on a server or in a bucket, for PyTorch;
- `RandomWarp(level)`, a transform for it that makes training pairs, and `collate`, which batches them;
- `load_matcher(name)`: a matcher by name, with `match` and `match_batch`;
- `match(image0, image1, matcher=...)`: correspondences and homography of two images;
- `align(map, visible)`: the homography of two rasters, with its verdict and the reason;
- `fit(points0, points1)`: the robust fit of a transformation to corresponding points.

The package is installed from its checkout (`./setup.sh`, or `pip install -e .` in it).
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from catalog.collate import collate
    from catalog.dataset import open_dataset
    from catalog.pairs.warp import RandomWarp
    from mapdata.api import align, match
    from matcher.registry import load_matcher
    from raster.fit import fit

__version__: str = version("mapdata")

__all__ = ["RandomWarp", "__version__", "align", "collate", "fit", "load_matcher", "match", "open_dataset"]

_HOMES = {
    "RandomWarp": "catalog.pairs.warp",
    "align": "mapdata.api",
    "collate": "catalog.collate",
    "fit": "raster.fit",
    "load_matcher": "matcher.registry",
    "match": "mapdata.api",
    "open_dataset": "catalog.dataset",
}


def __getattr__(name: str) -> Any:
    # Imported on first use: they bring PyTorch and GDAL along, which the command line mostly does without.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
