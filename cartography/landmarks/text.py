"""An article about a landmark, from the facts of its scene."""

from __future__ import annotations

import numpy as np
import shapely

from cartography.hashing import generator, mix, unit_of
from cartography.imagery.palette import Palette
from cartography.landmarks.place import Country, Landmark
from cartography.procedural.names import name_of
from cartography.scene import Scene, geometries
from cartography.street.facades import MATERIALS

_COLOURS = {
    "red": (150, 80, 62), "brown": (120, 100, 84), "grey": (132, 132, 132), "dark grey": (84, 84, 88),
    "white": (218, 218, 216), "blue-grey": (110, 126, 150), "light grey": (178, 176, 172),
}  # fmt: skip
NEAR = 150.0
"""Metres within which an article tells of the surroundings."""


def describe(world: Country, landmark: Landmark, scene: Scene) -> dict[str, str]:
    """Write an article: section title -> text, the lead first under "".

    Args:
        world: Where the landmark stands.
        landmark: What the article is about.
        scene: The scene within `NEAR` of it, or more.
    """
    random = generator(landmark.number, 0x7E47)
    main = max(landmark.parts, key=lambda part: part.height * part.geometry.area)
    material = MATERIALS[int(unit_of(landmark.materials_seed, "roof", main.key) * 97) % len(MATERIALS)][0]
    form = "flat" if main.roof == "flat" else f"{main.roof} {_roof_colour(world, landmark)}"
    towers = sum(part.height > 1.5 * min(p.height for p in landmark.parts) for part in landmark.parts)
    highest = max(part.height for part in landmark.parts)
    lead = (
        f"{landmark.name} is a {landmark.kind.label} in {landmark.town}, {landmark.region}. "
        f"It is built of {material} and has a {form} roof."
    )
    body = [f"The {landmark.kind.label} is {highest:.0f} m high."]
    if towers > 1:
        body.append(f"It has {towers} towers.")
    body.append(f"It stands {'on a paved square' if landmark.yard.kind == 'square' else 'on a lawn'}.")
    if landmark.built:
        body.append(f"A part was added in {landmark.built}.")
    architect = name_of(mix(landmark.number, 0xA2C), "latin")
    sections = {
        "": lead,
        "Architecture": " ".join(body),
        "Surroundings": _surroundings(landmark, scene),
        "History": f"It was designed by {architect} St. {name_of(mix(landmark.number, 0xA2D), 'latin')} "
        f"and opened in {int(random.integers(1780, 1990))}.",
        "See also": f"List of {landmark.kind.label}s in {landmark.region}",
        "References": "1. Register of synthetic buildings.",
    }
    return sections


def _roof_colour(world: Country, landmark: Landmark) -> str:
    conditions = world.conditions(landmark, 2020)
    palette = Palette(conditions, generator(conditions.materials, 0xA1E77E))
    main = max(landmark.parts, key=lambda part: part.height * part.geometry.area)
    paint = palette.roof(main.kind, main.roof != "flat", unit_of(conditions.materials, "roof", main.key))
    return min(_COLOURS, key=lambda name: float(np.linalg.norm(np.subtract(_COLOURS[name], paint[:3]))))


def _surroundings(landmark: Landmark, scene: Scene) -> str:
    here = shapely.Point(landmark.centre)

    def near(features: tuple[object, ...]) -> np.ndarray:
        shapes = geometries(features)  # type: ignore[arg-type]
        return np.asarray(shapely.distance(shapes, here)) < NEAR if len(features) else np.zeros(0, bool)

    found = []
    kinds = {
        area.kind
        for area, close in zip(scene.areas, near(scene.areas), strict=True)
        if close and area is not landmark.yard
    }
    for kind, words in (
        ("water", "water"), ("forest", "a forest"), ("park", "a park"), ("farmland", "fields"),
        ("pitch", "playing fields"), ("parking", "a car park"), ("industrial", "industry"),
    ):  # fmt: skip
        if kind in kinds:
            found.append(words)
    if near(scene.rails).any():
        found.append("a railway")
    if near(scene.waterways).any():
        found.append("a river")
    heights = [b.height for b, close in zip(scene.buildings, near(scene.buildings), strict=True) if close]
    if len(heights) > 60:
        found.append("dense houses")
    elif len(heights) < 12:
        found.append("open land")
    if heights and float(np.median(heights)) > 18:
        found.append("tall buildings")
    return f"Near it are {', '.join(found)}." if found else "It stands by itself."
