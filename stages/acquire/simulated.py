"""Sources `simulated-map` and `simulated-image`: a pair drawn from a synthetic scene, with known misregistration.

Nothing is fetched. A site's ground follows from the world's seed, its sampling point and its stratum; both sources of
a run must name the same `world`. The map is displaced against its georeference by a transform drawn for each site
and saved beside the raster as `truth.json`; the image is where its georeference says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from cartography import styles
from cartography.fonts import fonts_digest
from cartography.frame import Frame
from cartography.hashing import generator, mix
from cartography.imagery import Textures, render_image
from cartography.imagery.conditions import random_conditions
from cartography.mapnik_renderer import MapnikRenderer
from cartography.misregistration import MisregisteredSource, Misregistration, misregistration_seed, random_homography
from cartography.procedural import SyntheticScene
from cartography.procedural.landscape import LandscapeName
from pipeline.files import read_json, write_json
from raster.grid import Grid
from raster.image import Image
from stages.acquire.local_grid import local_grid
from stages.acquire.source import Site, Source, Strips

ROWS = 1024
"""Rows drawn at a time: the margin round a strip is drawn too, so thin ones cost more."""
TRUTH_FILE = "truth.json"

_LANDSCAPES: dict[str, LandscapeName] = {
    "city": "city", "suburb": "town", "village": "village", "farmland": "farmland", "forest": "forest",
    "mountain": "mountain", "coast": "coast",
}  # fmt: skip


class _Simulated(Source):
    source: str = Field("simulated world", description="What the raster is, for the manifest.")
    licence: str = Field("Apache-2.0", description="Licence of what is drawn.")
    attribution: str = Field("MapData simulated world", description="Line of credit.")
    world: int = Field(0, ge=0, description="Seed of the synthetic scene; the same for map and image.")

    def ground(self, site: Site) -> SyntheticScene:
        """Return the world of the site's sampling point."""
        landscape = _LANDSCAPES.get(site.stratum, "mixed")
        return SyntheticScene(mix(self.world, *site.point_id.encode()) >> 23, landscape)


class SimulatedImageSource(_Simulated):
    """The visible image of the synthetic scene: sun, season, view and sensor are drawn for each site."""

    SECONDS_A_PIXEL = 7e-7
    kind: Literal["simulated-image"] = "simulated-image"

    @contextmanager
    def open(self, site: Site, workspace: Path) -> Iterator[Strips]:
        """Simulate the image strip by strip; see `Source.open`."""
        grid = local_grid(site)
        frame, world = _frame(grid), self.ground(site)
        conditions = random_conditions(_site_seed(self.world, site, 1))
        textures = Textures.procedural(site.gsd, _site_seed(self.world, site, 2))

        def strips() -> Iterator[Image]:
            for row in range(0, grid.height, ROWS):
                block = (0, row, grid.width, min(ROWS, grid.height - row))
                yield _opaque(render_image(world, frame, conditions, textures, block))

        yield Strips(grid, strips(), {})


class MisregistrationRange(BaseModel):
    """Greatest displacement of a map against the image; each site draws its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shift_px: float = Field(default=6.0, ge=0, description="Shift along each axis, pixels.")
    rotation_deg: float = Field(default=0.2, ge=0, le=45, description="Rotation about the centre, degrees.")
    scale: float = Field(default=1.003, ge=1, le=2, description="Scale factor; drawn between its inverse and itself.")
    perspective_px: float = Field(default=1.0, ge=0, description="Displacement of a corner by perspective, pixels.")
    warp_px: float = Field(default=0.5, ge=0, le=10, description="Standard deviation of a smooth local warp, pixels.")
    feature_px: float = Field(default=0.5, ge=0, description="Shift of single buildings by generalisation, pixels.")

    def sample(self, seed: int, width: int, height: int) -> Misregistration:
        """Return a random transform of a map.

        Args:
            seed: Seed of the site.
            width: Width of the map in pixels.
            height: Height of the map in pixels.

        Returns:
            The transform.
        """
        size = max(width, height)
        # A term g moves a corner, half the size from the centre along both axes, by about g * size^2 / sqrt(2).
        perspective = self.perspective_px * np.sqrt(2) / size**2
        random = generator(seed)
        homography = random_homography(
            random, size, self.rotation_deg, self.scale, self.shift_px / size, float(perspective)
        )
        return Misregistration(
            _about((width - size) / 2, (height - size) / 2, homography), self.warp_px, 400.0, self.feature_px, seed
        )


class SimulatedMapSource(_Simulated):
    """The electronic map of the synthetic scene, in one of several styles, displaced by a known transform."""

    SECONDS_A_PIXEL = 3e-7
    kind: Literal["simulated-map"] = "simulated-map"
    styles: tuple[str, ...] = Field(styles.NAMES, min_length=1, description="Map styles; each site gets one of them.")
    misregistration: MisregistrationRange = Field(
        default=MisregistrationRange(), description="How far the map may lie off the image."
    )

    @field_validator("styles")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            styles.named(name)
        return names

    def identity(self, site: Site) -> str:
        """Return the digest of the installed fonts, with which the map is lettered."""
        return fonts_digest()

    @contextmanager
    def open(self, site: Site, workspace: Path) -> Iterator[Strips]:
        """Draw the map strip by strip and save the truth; see `Source.open`.

        The margin lies round the very pixels that there would be without one, and nothing else depends on it.
        """
        inner = local_grid(site)
        seed = misregistration_seed(_site_seed(self.world, site, 3))
        misregistration = self.misregistration.sample(seed, inner.width, inner.height)
        style = self.styles[_site_seed(self.world, site, 4) % len(self.styles)]
        margin = math.ceil(self.margin_m / inner.gsd)
        grid = inner.window(-margin, -margin, inner.width + 2 * margin, inner.height + 2 * margin)
        frame = _frame(grid)
        shown = MisregisteredSource(self.ground(site), frame, misregistration.moved(margin, margin))
        renderer = MapnikRenderer(shown, frame, styles.named(style))

        def strips() -> Iterator[Image]:
            for row in range(0, grid.height, ROWS):
                yield _opaque(renderer.render((0, row, grid.width, min(ROWS, grid.height - row))))

        truth = workspace / "rasters" / site.name / TRUTH_FILE
        to_visible = misregistration.homography @ np.array([[1, 0, -margin], [0, 1, -margin], [0, 0, 1]], np.float64)
        write_json(truth, _to_json(replace(misregistration, homography=to_visible), style))
        yield Strips(grid, strips(), {}, (truth,))

    def grown(self, site: Site) -> Site:
        """Return the site as it is: this source draws the margin round the site's own pixels."""
        return site


def read_truth(path: Path) -> Misregistration:
    """Read the transform that a simulated map was drawn with.

    Args:
        path: The `truth.json` beside a map.

    Returns:
        The transform.

    Raises:
        PermanentError: The file is missing or damaged.
    """
    return read_json(path, _misregistration)


def _misregistration(truth: Mapping[str, Any]) -> Misregistration:
    return Misregistration(
        np.array(truth["homography"], np.float64),
        truth["warp_px"],
        truth["warp_wavelength_px"],
        truth["feature_px"],
        truth["seed"],
    )


def _to_json(misregistration: Misregistration, style: str) -> dict[str, object]:
    return {
        "homography": misregistration.homography.tolist(),
        "warp_px": misregistration.warp_px,
        "warp_wavelength_px": misregistration.warp_wavelength_px,
        "feature_px": misregistration.feature_px,
        "seed": misregistration.seed,
        "style": style,
    }


def _about(x: float, y: float, homography: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move the centre of a homography by (x, y)."""
    there, back = np.eye(3), np.eye(3)
    there[:2, 2], back[:2, 2] = (x, y), (-x, -y)
    moved: NDArray[np.float64] = there @ homography @ back
    return moved / moved[2, 2]


def _site_seed(world: int, site: Site, salt: int) -> int:
    return mix(world, salt, *site.name.encode())


def _frame(grid: Grid) -> Frame:
    return Frame(grid.transform.c, grid.transform.f, grid.transform.a, grid.width, grid.height)


def _opaque(image: Image) -> Image:
    return np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
