"""The circumstances of an exposure: sun, view, season, atmosphere, sensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from cartography.hashing import generator

Season = Literal["spring", "summer", "autumn", "winter"]


@dataclass(frozen=True)
class Conditions:
    """How an image was taken. Azimuths are degrees clockwise from north (up); `seed` decides everything random."""

    seed: int = 0
    sun_azimuth: float = 150.0
    sun_elevation: float = 45.0
    relief_displacement: tuple[float, float] = (0.0, 0.0)
    """Metres (east, north) by which a roof is displaced for each metre of height."""
    season: Season = "summer"
    haze: float = 0.05
    """Share of every colour that is replaced by the light of the air."""
    contrast: float = 1.0
    cast: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Gain of red, green and blue."""
    saturation: float = 1.0
    blur_px: float = 0.5
    """Standard deviation of the sensor's point spread, pixels."""
    noise: float = 3.0
    """Standard deviation, grey levels."""
    jpeg_quality: int = 0
    """0 leaves the image uncompressed."""
    absent: float = 0.03
    """Share of mapped buildings and trees that are not there."""
    traffic: float = 1.0
    """Density of cars."""
    clutter: float = 1.0
    """Density of unmapped things: sheds, containers, garden furniture, roof installations."""
    materials_seed: int | None = None
    """Decides colours of roofs, walls and pavements; None: `seed`. Images of one place share it over the years."""

    @property
    def materials(self) -> int:
        """The seed of materials."""
        return self.seed if self.materials_seed is None else self.materials_seed

    @property
    def shadow(self) -> tuple[float, float]:
        """Metres (east, north) a shadow reaches for each metre of height."""
        azimuth, length = np.radians(self.sun_azimuth + 180), 1 / np.tan(np.radians(max(self.sun_elevation, 8.0)))
        return (float(np.sin(azimuth) * length), float(np.cos(azimuth) * length))

    @property
    def to_sun(self) -> tuple[float, float]:
        """Unit vector (east, north) towards the sun."""
        azimuth = np.radians(self.sun_azimuth)
        return (float(np.sin(azimuth)), float(np.cos(azimuth)))


def random_conditions(seed: int) -> Conditions:
    """Return random circumstances of one image.

    Args:
        seed: Seed of the image.

    Returns:
        The circumstances; the same for the same seed.
    """
    random = generator(seed, 0xC0ED)
    view, tilt = random.uniform(0, 2 * np.pi), float(random.choice([0.03, 0.15, 0.35], p=[0.35, 0.4, 0.25]))
    tilt *= random.uniform(0.2, 1.2)
    seasons: tuple[Season, ...] = ("spring", "summer", "autumn", "winter")
    return Conditions(
        seed=seed,
        sun_azimuth=float(random.uniform(80, 280) if random.random() < 0.8 else random.uniform(0, 360)),
        sun_elevation=float(random.uniform(22, 70)),
        relief_displacement=(float(np.cos(view) * tilt), float(np.sin(view) * tilt)),
        season=seasons[random.choice(4, p=[0.25, 0.45, 0.2, 0.1])],
        haze=float(random.beta(1.5, 9)),
        contrast=float(random.uniform(0.8, 1.25)),
        cast=tuple(float(g) for g in random.normal(1, 0.04, 3)),  # type: ignore[arg-type]
        saturation=float(random.uniform(0.45, 1.25)),
        blur_px=float(random.uniform(0.3, 1.1)),
        noise=float(random.uniform(0.5, 6)),
        jpeg_quality=int(random.choice([0, int(random.integers(40, 95))])),
        absent=float(random.uniform(0, 0.12)),
        traffic=float(random.uniform(0.2, 2)),
        clutter=float(random.uniform(0.3, 1.6)),
    )
