"""Sources of a synthetic country: photographs, articles and aerial images that need no network.

They are as untidy as real ones, so that cleaning has work: some photographs look away from the landmark, are nearly the
same as another, show an interior or a map, or may not be published; some landmarks lack a side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from pydantic import Field

from cartography.frame import Frame
from cartography.hashing import generator, mix
from cartography.imagery import Textures, render_image
from cartography.imagery.conditions import random_conditions
from cartography.landmarks import Country, Landmark, describe
from cartography.landmarks.place import YEARS
from cartography.landmarks.text import NEAR
from cartography.landmarks.views import away, photograph
from cartography.scene import Bounds, Scene
from cartography.street import render_street
from cartography.street.render import Ground
from stages.landmarks.sources import AerialSource, Article, Chip, GroundSource, Photograph, Row, TextSource
from stages.landmarks.tables import short_id

LICENCE = "Apache-2.0"
ATTRIBUTION = "MapData synthetic scene"
_WITHOUT_GROUND, _WITHOUT_TEXT = 0.04, 0.05
_QUALITY = 88


@lru_cache(maxsize=4)
def country(seed: int) -> Country:
    """Return the synthetic country of a seed; a process keeps the last few."""
    return Country(seed)


@lru_cache(maxsize=4)
def _textures(gsd: float, seed: int) -> Textures:
    return Textures.procedural(gsd, seed)


@lru_cache(maxsize=8)
def _landmark(seed: int, number: int) -> Landmark:
    return country(seed).landmark(number)


def candidate_row(seed: int, number: int) -> dict[str, Any]:
    """Return a landmark as a row of `stages.landmarks.tables.LANDMARKS`.

    Args:
        seed: Seed of the synthetic country.
        number: Which of its landmarks, from 0; each can be computed without the others.

    Returns:
        The box is that of the outline, in WGS84 degrees by a local scale; `edge_m` its longer side.
    """
    landmark = _landmark(seed, number)
    west, south, east, north = landmark.outline.bounds
    (lon, lat), (x, y) = landmark.lonlat, landmark.centre
    across, up = 1 / (111_195.0 * np.cos(np.radians(lat))), 1 / 111_195.0
    box = (lon + (west - x) * across, lat + (south - y) * up, lon + (east - x) * across, lat + (north - y) * up)
    return {
        "landmark_id": short_id("simulated", seed, number),
        "name": landmark.name,
        "qid": f"Q{900_000_000 + number}",
        "osm_type": "synthetic",
        "osm_id": number,
        "wikipedia": f"en:{landmark.name}",
        "commons_category": landmark.name,
        "category": landmark.kind.label,
        "state": landmark.region,
        "hierarchical_category": landmark.kind.category,
        "lon": (box[0] + box[2]) / 2,
        "lat": (box[1] + box[3]) / 2,
        "min_lon": box[0],
        "min_lat": box[1],
        "max_lon": box[2],
        "max_lat": box[3],
        "edge_m": max(east - west, north - south),
        "licence": LICENCE,
        "attribution": ATTRIBUTION,
        "places": [landmark.town, landmark.region],
    }


class SimulatedGround(GroundSource):
    """Street-level views."""

    kind: Literal["simulated"] = "simulated"
    world: int = Field(0, ge=0, description="Seed of the country; the same in all stages.")
    photographs_per_landmark: tuple[int, int] = Field((3, 5), description="Fewest and most.")

    def photographs(self, landmark: Row, workspace: Path) -> Iterator[Photograph]:
        """Render the views; see `GroundSource`."""
        number = int(landmark["osm_id"])
        random = generator(self.world, number, 0x6E0)
        if random.random() < _WITHOUT_GROUND:
            return
        world, place = country(self.world), _landmark(self.world, number)
        # Cameras stand within 170 m and look at the landmark.
        scene = world.scene(place, _around(place, 180), YEARS[1])
        ground = Ground.of(scene, place.centre, world.conditions(place, YEARS[1]))
        count = int(random.integers(self.photographs_per_landmark[0], self.photographs_per_landmark[1] + 1))
        last: np.ndarray | None = None
        for view in range(count):
            draw = random.random()
            conditions = replace(random_conditions(mix(self.world, number, view)), materials_seed=place.materials_seed)
            camera, weather = photograph(world, place, scene, view)
            title, categories = f"{place.name} {view + 1}", (place.kind.label,)
            if draw < 0.06:
                title, categories, camera = f"View from {place.name}", ("views from buildings",), away(camera)
            image = render_street(scene, camera, conditions, weather, ground)
            if 0.06 <= draw < 0.12 and last is not None:
                image, title = _nearly(last), f"{place.name} (cropped)"
            elif 0.12 <= draw < 0.15:
                image, title = _drawing(mix(number, view)), f"Map of {place.name}"
            last = image
            yield self._given(place, view, image, title, categories, random.random())

    def _given(
        self, place: Landmark, view: int, image: np.ndarray, title: str, categories: tuple[str, ...], draw: float
    ) -> Photograph:
        licence = "CC BY-NC-ND 2.0" if draw < 0.05 else "CC BY-SA 4.0" if draw < 0.6 else "CC0"
        author = "" if draw > 0.9 else f"Photographer {mix(place.number, view) % 97}"
        address = f"https://synthetic.invalid/{place.number}/{view}"
        return Photograph(
            f"{place.number}/{view}.jpg", _jpeg(image), title, author, licence,
            attribution=f"{author or 'unknown author'}, {licence}", source_url=f"{address}.jpg", page_url=address,
            date=str(YEARS[0] + mix(place.number, view, 3) % (YEARS[1] - YEARS[0])), categories=categories,
        )  # fmt: skip


class SimulatedText(TextSource):
    """Articles made from the facts of the scene."""

    kind: Literal["simulated"] = "simulated"
    world: int = Field(0, ge=0, description="Seed of the country; the same in all stages.")

    def articles(self, landmarks: Sequence[Row], workspace: Path) -> Mapping[str, Sequence[Article]]:
        """Write the articles; see `TextSource`."""
        found = {}
        for row in landmarks:
            number = int(row["osm_id"])
            if generator(self.world, number, 0x7E7).random() < _WITHOUT_TEXT:
                continue
            world, place = country(self.world), _landmark(self.world, number)
            scene = world.scene(place, _around(place, NEAR), YEARS[1])
            article = Article(
                place.name, describe(world, place, scene), licence=LICENCE, attribution=ATTRIBUTION,
                source_url=f"https://synthetic.invalid/{number}", places=(place.town, place.region),
            )  # fmt: skip
            found[str(row["landmark_id"])] = [article]
        return found


class SimulatedAerial(AerialSource):
    """Aerial images of some years: sun, season and view differ, and so do a few buildings."""

    kind: Literal["simulated"] = "simulated"
    world: int = Field(0, ge=0, description="Seed of the country; the same in all stages.")

    def chips(self, place: Row, size: int, gsd: float, workspace: Path) -> Iterator[Chip]:
        """Render the images; see `AerialSource`."""
        world = country(self.world)
        if place.get("landmark_id") is None:
            yield self._distractor(int(place["osm_id"]), size, gsd)
            return
        landmark = _landmark(self.world, int(place["osm_id"]))
        for year in world.years(landmark):
            scenes = _Year(world, landmark, year)
            conditions = world.conditions(landmark, year)
            yield self._chip(scenes, landmark.centre, conditions, year, size, gsd)

    def _distractor(self, number: int, size: int, gsd: float) -> Chip:
        scenes, centre, _, materials = country(self.world).distractor(number)
        conditions = replace(random_conditions(mix(self.world, 0xD15, number)), materials_seed=materials)
        return self._chip(scenes, centre, conditions, YEARS[0] + number % (YEARS[1] - YEARS[0]), size, gsd)

    def _chip(
        self, scenes: Any, centre: tuple[float, float], conditions: Any, year: int, size: int, gsd: float
    ) -> Chip:
        frame = Frame(centre[0] - size * gsd / 2, centre[1] + size * gsd / 2, gsd, size, size)
        image = render_image(scenes, frame, conditions, _textures(gsd, self.world))
        pixels = np.dstack([image, np.full((size, size), 255, np.uint8)])
        return Chip(year, pixels, (f"synthetic-{year}",), str(year), LICENCE, ATTRIBUTION)


def _around(place: Landmark, metres: float) -> Bounds:
    x, y = place.centre
    return x - metres, y - metres, x + metres, y + metres


class _Year:
    """The scene of a landmark in a year, as a source of windows."""

    def __init__(self, world: Country, landmark: Landmark, year: int) -> None:
        self._world, self._landmark, self._year = world, landmark, year

    def window(self, bounds: Bounds) -> Scene:
        return self._world.scene(self._landmark, bounds, self._year)


def _nearly(image: np.ndarray) -> np.ndarray:
    """Return an image that differs a little: cropped by a few pixels and as large as before."""
    height, width = image.shape[:2]
    return np.asarray(cv2.resize(image[3:-2, 2:-3], (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _drawing(seed: int) -> np.ndarray:
    """Return something like a sketched map."""
    random = generator(seed, 0x3A9)
    sheet = np.full((360, 480, 3), 244, np.uint8)
    for _ in range(14):
        a, b = random.integers(0, 480, 2), random.integers(0, 360, 2)
        cv2.line(sheet, (int(a[0]), int(b[0])), (int(a[1]), int(b[1])), (90, 90, 90), 2, cv2.LINE_AA)
    return sheet


def _jpeg(image: np.ndarray) -> bytes:
    done, code = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert done
    return code.tobytes()
