"""Render the simulated visible image of a scene."""

from __future__ import annotations

import cv2
import numpy as np

from cartography.canvas import Canvas
from cartography.chunks import assemble, chunk_frame
from cartography.frame import Frame
from cartography.hashing import generator, mix
from cartography.imagery.camera import MARGIN, expose
from cartography.imagery.conditions import Conditions
from cartography.imagery.ground import paint_ground
from cartography.imagery.palette import Palette
from cartography.imagery.structures import Structures
from cartography.imagery.textures import Textures
from cartography.scene import Area, Building, Feature, Scene, SceneSource

SCALE = 4
"""Subpixels along the side of a pixel."""

REACH = 130.0
"""Metres beyond a chunk from which a shadow or the displaced roof of a tower may reach into it."""

_SHADE = np.array([0.36, 0.40, 0.48], np.float32)
"""Light left in a shadow: the blue of the sky."""


def render_image(
    source: SceneSource,
    frame: Frame,
    conditions: Conditions,
    textures: Textures,
    block: tuple[int, int, int, int] | None = None,
) -> np.ndarray:
    """Simulate the image: uint8 (height, width, 3) RGB of the frame, or of its `block` (column, row, width, height).

    A block is equal to that part of the whole, pixel for pixel. `textures` should be made for the frame's gsd.

    Args:
        source: What is on the ground.
        frame: Grid of the whole image.
        conditions: Circumstances of the image.
        textures: Textures made for the frame's ground sample distance.
        block: Column, row, width and height of a part; the whole image by default.

    Returns:
        uint8 (height, width, 3) RGB.

    Raises:
        ValueError: The block does not lie in the frame.
    """
    palette = Palette(conditions, generator(conditions.materials, 0xA1E77E))

    def chunk(column: int, row: int) -> np.ndarray:
        part = chunk_frame(frame, column, row).grown(MARGIN)
        scene = _seen(source.window(part.grown(int(REACH / frame.gsd)).bounds), part, conditions)
        canvas = Canvas(part, SCALE, palette.area(scene.ground, 0.5))
        paint_ground(canvas, scene, conditions, palette)
        structures = Structures(canvas, conditions, palette)
        structures.paint(scene)
        light = _light(canvas, structures.shadow, conditions, textures, column - MARGIN, row - MARGIN)
        return expose(light, conditions, column, row)

    return assemble(frame, block or (0, 0, frame.width, frame.height), chunk)


def _seen(scene: Scene, frame: Frame, conditions: Conditions) -> Scene:
    """Leave out what neither lies in the frame nor reaches into it by its shadow or its relief displacement."""
    across, up = np.array([conditions.shadow, conditions.relief_displacement]).T
    a_metre = np.maximum([-across.min(), -up.min(), across.max(), up.max()], 0)

    def reach(features: tuple[Feature, ...]) -> np.ndarray:
        if isinstance(features[0], Building):
            return np.array([f.height for f in features if isinstance(f, Building)])[:, None] * a_metre + 1
        return np.full((1, 4), 1.0 if isinstance(features[0], Area) else 25.0)

    return scene.reaching(frame.bounds, reach)


def _light(
    canvas: Canvas, shadow: np.ndarray, conditions: Conditions, textures: Textures, column: int, row: int
) -> np.ndarray:
    """Colour x texture x shadow: float32 (H, W, 3)."""
    classes = canvas.surfaces
    assert classes is not None
    colour = canvas.image().astype(np.float32)
    # Images of different seeds look at different parts of the texture.
    shift = mix(conditions.seed, 0x5417) % 9973
    relative = textures.relative(classes, conditions.to_sun, column + shift, row + 3 * shift)
    dark = canvas.averaged(shadow).astype(np.float32) / 255
    lit = cv2.transform(dark, np.stack([_SHADE - 1, np.ones(3, np.float32)], axis=1))
    relative += 1
    colour *= relative
    colour *= lit
    return colour
