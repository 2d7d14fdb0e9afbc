"""A world map of the sampling points, to be looked at: land in grey, points coloured by stratum."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.sample.strata import Stratum

COLOURS = {
    Stratum.CITY: (200, 30, 40),
    Stratum.SUBURB: (240, 130, 40),
    Stratum.VILLAGE: (235, 200, 40),
    Stratum.FARMLAND: (130, 180, 50),
    Stratum.FOREST: (20, 110, 50),
    Stratum.DESERT: (190, 140, 90),
    Stratum.MOUNTAIN: (110, 80, 160),
    Stratum.COAST: (30, 120, 200),
}
_SEA, _LAND = np.array([236.0, 242.0, 247.0]), np.array([196.0, 200.0, 200.0])
_WIDTH = 2160


def draw_overview(land_share: NDArray[np.float32], points: Sequence[tuple[float, float, str]]) -> NDArray[np.uint8]:
    """Draw a world map of sampling points in plate carree, with a legend.

    `land_share` is that of `stages.sample.earth_data`.

    Args:
        land_share: Share of land, as of `stages.sample.earth_data.load_land_share`.
        points: Longitude, latitude and stratum of each point.

    Returns:
        uint8 (1080 + legend, 2160, 3) RGB.
    """
    share = cv2.resize(land_share, (_WIDTH, _WIDTH // 2), interpolation=cv2.INTER_AREA)[..., None]
    image = np.ascontiguousarray(np.round(_SEA + share * (_LAND - _SEA)).astype(np.uint8))
    for lon, lat, stratum in points:
        centre = round((lon + 180) * _WIDTH / 360), round((90 - lat) * _WIDTH / 360)
        cv2.circle(image, centre, 8, (255, 255, 255), -1, cv2.LINE_AA)
        cv2.circle(image, centre, 6, COLOURS.get(stratum, (60, 60, 60)), -1, cv2.LINE_AA)  # type: ignore[call-overload]
    legend = np.full((60, _WIDTH, 3), 255, np.uint8)
    count = {stratum: sum(point[2] == stratum for point in points) for stratum in Stratum}
    for i, (stratum, colour) in enumerate(COLOURS.items()):
        x = 20 + i * (_WIDTH - 40) // len(COLOURS)
        cv2.circle(legend, (x + 10, 30), 9, colour, -1, cv2.LINE_AA)
        text = f"{stratum.value} {count[stratum]}"
        cv2.putText(legend, text, (x + 28, 38), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (40, 40, 40), 2, cv2.LINE_AA)
    return np.vstack([image, legend])
