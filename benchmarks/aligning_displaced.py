"""What displaces a map's features in an image: building lean, shadows, or neither, by what the map shows.

    python benchmarks/aligning_displaced.py --json [--side 1024] [--seeds 1]

Towns and cities of known truth are seen from above in flat light, and with a building lean of 0.25 m a metre of height
to the east and the sun in the south, so that building lean displaces features along x alone and shadows along -y alone.
Maps of the same scene show the ground only (areas, roads, rails, water), the buildings only, or both; the last also
without its buildings, symbols and letters, as the ground is compared. Each is correlated with the image as the fine
step does, by harmonics of gradients at full resolution and by the learned feature map at half of it. The truth is no
shift; figures are the (x, y) pixels of 0.5 m by which the windows' common shift lies off (`shift`), how many windows
are reliable, and the share of these that agree within 3 px.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch
from _machine import report
from numpy.typing import NDArray

from cartography import styles
from cartography.frame import Frame
from cartography.imagery import Textures, render_image
from cartography.imagery.conditions import Conditions
from cartography.mapnik_renderer import MapnikRenderer
from cartography.procedural import SyntheticScene
from cartography.procedural.landscape import LandscapeName
from cartography.scene import Bounds, Scene, SceneSource
from matcher.dense.windows import match_windows, window_grid
from raster.image import Image
from stages.align.buildings import find_buildings
from stages.align.features import Features, harmonics, learned_features
from stages.align.limits import DEFAULTS
from stages.align.model import fit_lowest_order
from stages.align.threads import one_thread

GSD, WINDOW, RADIUS = 0.5, 384, 24
FEATURES = {"harmonics": (harmonics(0.0), 1), "learned": (learned_features(0.0), 2)}
"""What is compared, and by how much both sides are reduced first."""
LANDSCAPES: tuple[LandscapeName, ...] = ("town", "city")
UPRIGHT = Conditions(sun_azimuth=180.0, sun_elevation=89.9)
EXPOSURES = {
    "from above, flat light": UPRIGHT,
    "building lean, shadows": replace(UPRIGHT, relief_displacement=(0.25, 0.0), sun_elevation=40.0),
}
NOT_GROUND = ("buildings", "trees", "contours", "barriers", "places", "pois")
NOT_BUILDINGS = ("areas", "roads", "rails", "waterways", "trees", "contours", "barriers", "places", "pois")


@dataclass(frozen=True)
class Without:
    """A scene without some of its layers."""

    source: SceneSource
    layers: tuple[str, ...]

    def window(self, bounds: Bounds) -> Scene:
        """Return the features of the other layers that touch the bounds."""
        return replace(self.source.window(bounds), **dict.fromkeys(self.layers, ()))


def maps(scene: SyntheticScene, frame: Frame, style: str) -> dict[str, tuple[Image, NDArray[np.bool_]]]:
    """Draw a scene's maps and return each with the mask of what is compared, by what it shows."""
    shown = {"ground": NOT_GROUND, "buildings": NOT_BUILDINGS, "whole map": ()}
    drawn = {
        name: np.asarray(MapnikRenderer(Without(scene, layers), frame, styles.named(style)).render())
        for name, layers in shown.items()
    }
    found = {name: (image, np.ones(image.shape[:2], bool)) for name, image in drawn.items()}
    built = find_buildings(drawn["whole map"], DEFAULTS.windows.max_building_m2 / GSD**2)
    return found | {"without buildings": (drawn["whole map"], ~built)}


@torch.no_grad()
def shift(chart: tuple[Image, NDArray[np.bool_]], image: Image, features: Features, reduce: int) -> dict[str, Any]:
    """Return the shift from a map to the image that windows have in common, by some features."""
    seen = (image, np.ones(image.shape[:2], bool))
    first, second = features.describe(*(reduced(*side, reduce) for side in (chart, seen)))
    step = reduce * features.stride
    size, radius = WINDOW // step, RADIUS // step
    inner = first.shape[-1] - 2 * radius
    corners = window_grid(inner, inner, size, size // 3) + radius
    found = match_windows(first, second, corners, size, radius, DEFAULTS.windows.min_peak_margin, features.exclusion)
    reliable = found.forward_backward * features.stride <= DEFAULTS.windows.max_forward_backward_px
    ends = found.centres[reliable] * step, (found.centres + found.shifts)[reliable] * step
    fitted = fit_lowest_order(*ends, np.ones(len(ends[0])), DEFAULTS.tolerance_px, "shift", "shift")
    figures: dict[str, Any] = {"windows": len(corners), "reliable": int(reliable.sum())}
    if fitted is None:
        return figures
    agreement = round(float(fitted.inliers.mean()), 2)
    return figures | {"shift": fitted.matrix[:2, 2].round(2).tolist(), "agreement": agreement}


def reduced(image: Image, mask: NDArray[np.bool_], reduce: int) -> tuple[Image, NDArray[np.bool_]]:
    """Average an image over squares of `reduce` pixels a side; its mask is true where all of a square has data."""
    side = len(image) // reduce
    smaller = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(smaller, np.uint8), mask.reshape(side, reduce, side, reduce).all((1, 3))


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--side", type=int, default=1024, help="of the rasters, px")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--style", default=styles.NAMES[0], choices=styles.NAMES)
    options = parser.parse_args()
    frame = Frame(500_000.0, 5_200_000.0, GSD, options.side, options.side)
    figures: dict[str, Any] = {}
    with one_thread():
        for landscape in LANDSCAPES:
            for seed in options.seeds:
                scene = SyntheticScene(seed, landscape)
                charts = maps(scene, frame, options.style)
                for name, conditions in EXPOSURES.items():
                    image = render_image(scene, frame, replace(conditions, seed=seed), Textures.procedural(GSD, seed))
                    found = {
                        shown: {by: shift(chart, image, *features) for by, features in FEATURES.items()}
                        for shown, chart in charts.items()
                    }
                    figures[f"{landscape} {seed}, {name}"] = found
                    print(landscape, seed, name, found, file=sys.stderr, flush=True)
    workload = {"side_px": options.side, "gsd_m": GSD, "seeds": options.seeds, "style": options.style}
    report("aligning_displaced", workload, figures, as_json=options.json)


if __name__ == "__main__":
    main()
