"""Photographs of a landmark from the ground: where people would stand, with several cameras, in any weather."""

from __future__ import annotations

import numpy as np
import shapely

from cartography.hashing import generator, mix
from cartography.landmarks.place import Country, Landmark
from cartography.scene import Scene
from cartography.street import StreetCamera, Weather, random_weather

_EYE = 1.7
_NEAREST, _FARTHEST = 14.0, 95.0
_PLACES = 40
SIZES = ((480, 360), (360, 480), (480, 320))
"""Width and height of photographs, pixels."""


def photograph(world: Country, landmark: Landmark, scene: Scene, number: int) -> tuple[StreetCamera, Weather]:
    """Return the camera and weather of a photograph.

    Args:
        world: Where the landmark stands.
        landmark: What is photographed.
        scene: The scene within 100 m of its outline, or more.
        number: Number of the photograph, which decides all.

    Returns:
        A camera outside of buildings that looks at the landmark; nothing else stands between, where such a place is
        among those tried.
    """
    random = generator(world.seed, landmark.number, number, 0xCA3)
    others = [b.geometry for b in scene.buildings if b not in landmark.parts]
    tree = shapely.STRtree(others)
    outline = landmark.outline
    centre = np.array(landmark.centre)
    best: tuple[float, np.ndarray] | None = None
    for _ in range(_PLACES):
        angle, distance = random.uniform(0, 2 * np.pi), random.uniform(_NEAREST, _FARTHEST)
        along = np.array([np.cos(angle), np.sin(angle)])
        reach = float(np.sqrt(outline.area / np.pi))
        place = centre + along * (reach + distance)
        here = shapely.Point(place)
        if shapely.distance(outline, here) < _NEAREST * 0.7 or len(tree.query(here.buffer(1.5), "intersects")):
            continue
        sight = shapely.LineString([place, centre + along * reach * 0.5])
        hidden = float(len(tree.query(sight, "intersects")))
        if best is None or hidden < best[0]:
            best = (hidden, place)
        if hidden == 0:
            break
    place = best[1] if best is not None else centre + np.array([0.0, -200.0])
    east, north = centre - place
    distance = float(np.hypot(east, north))
    highest = max(part.height for part in landmark.parts)
    width, height = SIZES[int(random.integers(len(SIZES)))]
    fits = 0.5 * width * distance / max(float(np.sqrt(outline.area)), highest * 0.9)
    focal = float(np.clip(fits * random.uniform(0.9, 1.7), 0.55 * width, 2.2 * width))
    up = float(np.degrees(np.arctan2(min(highest, 40.0) * 0.4, distance)))
    camera = StreetCamera(
        (float(place[0]), float(place[1]), _EYE),
        float(np.degrees(np.arctan2(east, north)) + random.uniform(-5, 5)),
        up * float(random.uniform(0.7, 1.2)),
        focal,
        width,
        height,
    )
    return camera, random_weather(mix(world.seed, landmark.number, number))


def away(camera: StreetCamera) -> StreetCamera:
    """Return the camera turned round: a view from a landmark's surroundings that does not show it."""
    return StreetCamera(
        camera.position, camera.heading + 180, camera.pitch, camera.focal_px, camera.width, camera.height
    )
