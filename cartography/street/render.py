"""Rendering a street-level view with a depth buffer.

Every face is a plane, so the depth and the place on it follow from the pixel's ray; faces are painted in any order and
the nearest stays. Ground comes from the aerial renderer without what stands on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TypeAlias, TypeVar

import cv2
import numpy as np
import shapely

from cartography.frame import Frame
from cartography.hashing import generator, unit
from cartography.imagery import Textures, render_image
from cartography.imagery.conditions import Conditions
from cartography.imagery.palette import Palette
from cartography.scene import Building, Scene, Tree, geometries
from cartography.street.camera import NEAR, StreetCamera
from cartography.street.facades import MATERIALS, facade_of
from cartography.street.planes import Face, faces_of
from cartography.street.weather import Weather, exposed, paint_sky

REACH = 130.0
"""Metres from the camera within which things are drawn."""
GROUND_GSD = 0.8
_TREES = 60
"""The nearest trees that are drawn."""
_CAR = ((4.3, 1.8, 1.45), ((150, 24, 24), (30, 40, 92), (200, 200, 204), (40, 40, 44), (120, 124, 128)))


F = TypeVar("F", Building, Tree)
Paint: TypeAlias = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Colours (N, 3) of places on a face: metres along its first side and metres up."""


@dataclass(frozen=True, eq=False)
class Ground:
    """The ground of a place as seen from above, without what stands on it.

    Attributes:
        image: (H, W, 3) float32.
        frame: Its grid.
    """

    image: np.ndarray
    frame: Frame

    @classmethod
    def of(cls, scene: Scene, centre: tuple[float, float], conditions: Conditions) -> Ground:
        """Paint the ground within `REACH` of a place; one serves all cameras near it.

        Args:
            scene: Features within `REACH` of the place, or more; buildings, trees and barriers are left out, for they
                stand up.
            centre: (x, y), metres, of the square that is painted.
            conditions: Season and materials of the aerial image; its relief displacement, haze and noise are not taken
                over.
        """
        side = int(2 * REACH / GROUND_GSD)
        frame = Frame(centre[0] - REACH, centre[1] + REACH, GROUND_GSD, side, side)
        bare = replace(scene, buildings=(), trees=(), barriers=())
        plain = replace(conditions, relief_displacement=(0.0, 0.0), haze=0.0, noise=0.0, jpeg_quality=0, blur_px=0.4)
        image = render_image(bare, frame, plain, _textures(conditions.materials % 8))
        return cls(image.astype(np.float32), frame)


@lru_cache(maxsize=8)
def _textures(seed: int) -> Textures:
    return Textures.procedural(GROUND_GSD, seed)


class _Canvas:
    """Colours and depths of the pixels of a view."""

    def __init__(self, camera: StreetCamera, weather: Weather) -> None:
        self.camera, self.weather = camera, weather
        norm = np.linalg.norm(camera.rays, axis=2)
        self.colours = paint_sky(weather, camera.rays[..., 2] / norm)
        self.depths: np.ndarray = np.full(camera.rays.shape[:2], np.inf, np.float32)

    def put(self, box: tuple[slice, slice], nearer: np.ndarray, colours: np.ndarray, depths: np.ndarray) -> None:
        """Write colours (N, 3) and depths (N,) to the pixels of a box that `nearer` marks, faded by the air."""
        clear = np.exp(-depths / self.weather.visibility)[:, None]
        self.colours[box][nearer] = colours * self.weather.light * clear + self.weather.air * (1 - clear)
        self.depths[box][nearer] = depths


def render_street(
    scene: Scene, camera: StreetCamera, conditions: Conditions, weather: Weather, ground: Ground
) -> np.ndarray:
    """Render what a camera sees.

    Args:
        scene: Features within `REACH` of the camera, or more.
        camera: Where it stands; its position must be outside of buildings.
        conditions: Sun, season and materials, which must be those of the aerial image for roofs and walls to belong.
        weather: Light and air of the photograph.
        ground: The ground of the place.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    canvas = _Canvas(camera, weather)
    _paint_ground(canvas, ground)
    _paint_buildings(canvas, _near(scene.buildings, camera), conditions)
    _paint_cars(canvas, scene, conditions)
    _paint_trees(canvas, _near(scene.trees, camera), conditions)
    return exposed(canvas.colours, weather)


def _near(features: Sequence[F], camera: StreetCamera) -> list[F]:
    """Return the features within reach and not behind the camera, the nearest first."""
    if not features:
        return []
    shapes = geometries(tuple(features))
    distances = shapely.distance(shapes, shapely.Point(camera.position[:2]))
    boxes = shapely.bounds(shapes)
    forward = camera.axes[2][:2]
    # The corner of the box that lies farthest along the view decides.
    ahead = np.where(forward > 0, boxes[:, 2:], boxes[:, :2]) - np.array(camera.position[:2])
    kept = np.flatnonzero((distances < REACH) & (ahead @ forward > 0))
    return [features[n] for n in kept[np.argsort(distances[kept], kind="stable")].tolist()]


def _paint_ground(canvas: _Canvas, ground: Ground) -> None:
    # Without roll a row of pixels lies wholly above or below the horizon.
    first = int(np.argmax(canvas.camera.rays[:, 0, 2] < -1e-4))
    if canvas.camera.rays[first, 0, 2] >= -1e-4:
        return
    box = (slice(first, None), slice(None))
    rays = canvas.camera.rays[box]
    depths = -canvas.camera.position[2] / rays[..., 2]
    places = np.array(canvas.camera.position[:2]) + rays[..., :2] * depths[..., None]
    x, y = np.moveaxis(ground.frame.to_pixels(places), -1, 0).astype(np.float32)
    colours = cv2.remap(ground.image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    everywhere = np.ones(depths.shape, bool)
    canvas.put(box, everywhere, colours.reshape(-1, 3), depths.reshape(-1).astype(np.float32))


def _paint_face(canvas: _Canvas, face: Face, paint: Paint) -> None:
    """Paint a face where it is nearest; `paint(along, up)` gives colours for metres on the face."""
    camera, corners = canvas.camera, face.corners
    normal = face.normal
    offset = float((corners[0] - np.array(camera.position)) @ normal)
    if offset >= -1e-6:  # seen from behind, or edge on
        return
    box = camera.box(corners)
    if box is None:
        return
    rays = camera.rays[box]
    facing = rays @ normal.astype(np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        depths = np.where(facing < -1e-6, np.float32(offset) / facing, np.inf)
    inside = (depths > NEAR) & (depths < canvas.depths[box])
    if not inside.any():
        return
    across = _across(corners, face.wall)
    up = np.cross(normal, across)
    start = np.array(camera.position) - corners[0]
    hit, depth = rays[inside], depths[inside]
    along = float(start @ across) + depth * (hit @ across.astype(np.float32))
    upward = float(start @ up) + depth * (hit @ up.astype(np.float32))
    outline = np.stack([(corners - corners[0]) @ across, (corners - corners[0]) @ up], axis=1)
    covered = np.ones(len(depth), bool)
    for n in range(len(outline)):
        (x, y), (dx, dy) = outline[n], outline[(n + 1) % len(outline)] - outline[n]
        covered &= dx * (upward - y) - dy * (along - x) >= -1e-4
    if not covered.any():
        return
    chosen = np.zeros_like(inside)
    chosen[inside] = covered
    height = upward[covered] + float(corners[0][2]) if face.wall else upward[covered]
    canvas.put(box, chosen, paint(along[covered], height), depth[covered])


def _across(corners: np.ndarray, wall: bool) -> np.ndarray:
    """Return the unit vector of a face's first side, level for walls."""
    side = corners[1] - corners[0]
    if wall:
        side = side * (1, 1, 0)
    return np.asarray(side / max(float(np.linalg.norm(side)), 1e-9))


def _paint_buildings(canvas: _Canvas, buildings: list[Building], conditions: Conditions) -> None:
    palette = Palette(conditions, generator(conditions.materials, 0xA1E77E))
    keys = np.array([b.key for b in buildings], np.uint64)
    draws = unit(conditions.materials, "roof", keys).tolist() if buildings else []
    sun = np.array([*conditions.to_sun, np.tan(np.radians(conditions.sun_elevation))])
    sun /= np.linalg.norm(sun)
    for building, draw in zip(buildings, draws, strict=True):
        facade = facade_of(building.kind, building.key, int(draw * 97) % len(MATERIALS))
        roof = np.array(palette.roof(building.kind, building.roof != "flat", draw)[:3], np.float32)
        for face in faces_of(building):
            lit = 0.62 + 0.5 * canvas.weather.direct * max(float(face.normal @ sun), 0.0)
            if face.wall:
                _paint_face(canvas, face, partial(facade.paint, light=lit, night=canvas.weather.night))
            else:
                _paint_face(canvas, face, partial(_tiles, colour=roof, light=lit))


def _tiles(along: np.ndarray, up: np.ndarray, colour: np.ndarray, light: float) -> np.ndarray:
    """Return the colours (N, 3) of a roof with rows of tiles."""
    return np.asarray(colour * (light * (1 + 0.06 * np.sin(up * (2 * np.pi / 0.5))))[:, None], np.float32)


def _paint_cars(canvas: _Canvas, scene: Scene, conditions: Conditions) -> None:
    """Park cars along the nearest streets."""
    (length, width, height), colours = _CAR
    position = np.array(canvas.camera.position[:2])
    for road in scene.roads:
        if road.kind in ("path", "track", "motorway") or road.width < 5 or road.tunnel:
            continue
        if shapely.distance(road.geometry, shapely.Point(position)) > 60:
            continue
        random = generator(conditions.seed, road.key, 0xCA2)
        for metres in np.arange(4.0, road.geometry.length, 6.5):
            draw = random.random(2)
            if draw[0] > 0.3 * min(conditions.traffic, 2.0):
                continue
            here, ahead = (shapely.get_coordinates(road.geometry.interpolate(metres + step))[0] for step in (0.0, 0.5))
            along = (ahead - here) / max(float(np.linalg.norm(ahead - here)), 1e-6)
            aside = np.array([-along[1], along[0]])
            centre = here + aside * (road.width / 2 - 1.1)
            if np.linalg.norm(centre - position) > 60:
                continue
            ring = [centre + along * x * length / 2 + aside * y * width / 2 for x, y in _SQUARE]
            box = Building(shapely.Polygon(ring), "shed", height, "flat", road.key)
            colour = np.array(colours[int(draw[1] * len(colours))], np.float32)
            for face in faces_of(box):
                _paint_face(canvas, face, partial(_car, colour=colour, height=height))


_SQUARE = ((-1, -1), (1, -1), (1, 1), (-1, 1))


def _car(along: np.ndarray, up: np.ndarray, colour: np.ndarray, height: float) -> np.ndarray:
    """Return the colours (N, 3) of a car's side: wheels, body, windows."""
    share = up / height
    shade = np.where(share < 0.2, 0.25, np.where((share > 0.58) & (share < 0.92), 0.35, 0.9))
    return np.asarray(colour * shade[:, None] + np.where(share > 0.58, 22, 8)[:, None], np.float32)


def _paint_trees(canvas: _Canvas, trees: list[Tree], conditions: Conditions) -> None:
    """Paint crowns and trunks as discs that face the camera."""
    palette = Palette(conditions, generator(conditions.materials, 0xA1E77E))
    camera, chosen = canvas.camera, trees[:_TREES]
    if not chosen:
        return
    leaves = palette.leaves(unit(conditions.seed, "leaf", np.array([t.key for t in chosen], np.uint64)))[:, :3]
    for tree, leaf in zip(chosen, leaves, strict=True):
        x, y = shapely.get_coordinates(tree.geometry)[0]
        crown = tree.radius * 1.15
        trunk = 1.2 + tree.radius * 0.8
        foot, centre = camera.to_camera(np.array([[x, y, 0.0], [x, y, trunk + crown]]))
        depth = float(foot[2])
        if depth < 2.0:
            continue
        (u, v), (_, floor) = camera.to_pixels(np.stack([centre, foot])).tolist()
        radius = camera.focal_px * crown / depth
        _disc(canvas, (u, v, radius), depth, leaf.astype(np.float32), conditions.season == "winter", tree.key)
        half = max(camera.focal_px * 0.16 / depth, 0.5)
        rows, columns = _window(canvas, v + radius * 0.6, floor, u - half, u + half)
        nearer = canvas.depths[rows, columns] > depth
        count = int(nearer.sum())
        bark = np.broadcast_to(np.array([74, 62, 50], np.float32), (count, 3))
        canvas.put((rows, columns), nearer, bark, np.full(count, depth, np.float32))


def _disc(
    canvas: _Canvas, disc: tuple[float, float, float], depth: float, colour: np.ndarray, bare: bool, key: int
) -> None:
    """Paint a ragged, shaded disc (x, y, radius) in pixels."""
    u, v, radius = disc
    rows, columns = _window(canvas, v - 1.2 * radius, v + 1.2 * radius, u - 1.2 * radius, u + 1.2 * radius)
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    y = (np.arange(rows.start, rows.stop) - v)[:, None] / radius
    x = (np.arange(columns.start, columns.stop) - u)[None, :] / radius
    angle, phase = np.arctan2(y, x), key % 97
    ragged = 1 + 0.08 * np.sin(7 * angle + phase) + 0.05 * np.sin(17 * angle + 2 * phase)
    grain = np.sin(23 * x + phase) * np.sin(19 * y + 3 * phase) + 0.6 * np.sin(41 * x + 37 * y)
    covered = np.hypot(x, y) < ragged * 0.92
    if bare:
        covered &= grain > 0.35
    nearer = covered & (canvas.depths[rows, columns] > depth)
    shade = (0.78 - 0.32 * y + 0.16 * grain)[nearer]
    colours = colour * shade[:, None].astype(np.float32)
    canvas.put((rows, columns), nearer, colours, np.full(len(colours), depth, np.float32))


def _window(canvas: _Canvas, top: float, bottom: float, left: float, right: float) -> tuple[slice, slice]:
    rows, columns = canvas.depths.shape
    low = (max(int(np.floor(top)), 0), max(int(np.floor(left)), 0))
    high = (min(int(np.ceil(bottom)) + 1, rows), min(int(np.ceil(right)) + 1, columns))
    return slice(low[0], max(high[0], low[0])), slice(low[1], max(high[1], low[1]))
