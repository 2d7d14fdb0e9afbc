"""A contact sheet: a synthetic scene in each row, its simulated image and every map style in the columns."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cartography.fonts import font_files
from cartography.frame import Frame
from cartography.imagery import Textures, render_image
from cartography.imagery.conditions import Conditions
from cartography.mapnik_renderer import render_map
from cartography.procedural import SyntheticScene
from cartography.procedural.landscape import LandscapeName
from cartography.styles import NAMES, named

CELL_PX = 300
_GAP_PX = 6
_TITLE_PX = 26
_FACE = "DejaVu Sans Bold"


@dataclass(frozen=True)
class Spot:
    """A frame in a synthetic scene: its top-left corner in metres and its ground sample distance in metres a pixel."""

    landscape: LandscapeName
    seed: int
    left: float
    top: float
    gsd: float


SPOTS = (
    Spot("city", 1, 0.0, 600.0, 0.6),
    Spot("town", 8, 1200.0, 1800.0, 0.9),
    Spot("coast", 1, 0.0, 1200.0, 1.4),
    Spot("farmland", 8, 1800.0, 1800.0, 1.8),
    Spot("mountain", 8, 0.0, 1200.0, 1.8),
)


def contact_sheet(spots: tuple[Spot, ...] = SPOTS) -> np.ndarray:
    """Draw the sheet: uint8 (height, width, 3) RGB.

    Args:
        spots: The frames, one a row.

    Returns:
        The sheet, uint8 (height, width, 3) RGB.
    """
    titles = ["simulated image", *NAMES]
    rows = [[_image(spot), *(_map(spot, name) for name in NAMES)] for spot in spots]
    step = CELL_PX + _GAP_PX
    sheet = np.full((_TITLE_PX + step * len(rows), step * len(titles) - _GAP_PX, 3), 255, np.uint8)
    for r, row in enumerate(rows):
        for c, cell in enumerate(row):
            top, left = _TITLE_PX + r * step, c * step
            sheet[top : top + CELL_PX, left : left + CELL_PX] = cell
    picture = Image.fromarray(sheet)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.truetype(str(font_files()[_FACE]), 15)
    for c, title in enumerate(titles):
        draw.text((c * step + 2, 4), title, (40, 40, 40), font)
    return np.asarray(picture)


def encode(sheet: np.ndarray, quality: int = 58) -> bytes:
    """Return the sheet as JPEG.

    Args:
        sheet: uint8 (height, width, 3) RGB.
        quality: Quality of JPEG, 1 to 100.

    Returns:
        The file's bytes.
    """
    _, data = cv2.imencode(".jpg", sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes()


def _frame(spot: Spot) -> Frame:
    return Frame(spot.left, spot.top, spot.gsd, CELL_PX, CELL_PX)


def _image(spot: Spot) -> np.ndarray:
    conditions = Conditions(seed=spot.seed, relief_displacement=(0.1, 0.15), noise=2.0)
    textures = Textures.procedural(spot.gsd, spot.seed)
    return render_image(SyntheticScene(spot.seed, spot.landscape), _frame(spot), conditions, textures)


def _map(spot: Spot, style: str) -> np.ndarray:
    return render_map(SyntheticScene(spot.seed, spot.landscape), _frame(spot), named(style))
