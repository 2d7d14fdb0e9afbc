"""Light and air of a street-level photograph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from cartography.hashing import generator

Sky = Literal["clear", "cloudy", "overcast", "night"]

_ZENITH: dict[Sky, tuple[int, int, int]] = {
    "clear": (70, 120, 200), "cloudy": (96, 136, 196), "overcast": (168, 174, 182), "night": (12, 14, 28),
}  # fmt: skip
_HORIZON: dict[Sky, tuple[int, int, int]] = {
    "clear": (188, 208, 228), "cloudy": (196, 208, 222), "overcast": (202, 204, 206), "night": (46, 42, 52),
}  # fmt: skip
_CLOUDS: dict[Sky, float] = {"clear": 0.1, "cloudy": 0.8, "overcast": 0.35, "night": 0.1}
_LIGHT: dict[Sky, float] = {"clear": 1.08, "cloudy": 0.96, "overcast": 0.8, "night": 0.16}


@dataclass(frozen=True)
class Weather:
    """How a photograph was taken.

    Attributes:
        seed: Decides the clouds and the noise.
        sky: Kind of sky.
        visibility: Metres over which contrast falls to a third.
        exposure: Factor on all light.
        warmth: Gain of red over blue.
        noise: Standard deviation, grey levels.
        jpeg_quality: 1 to 100.
    """

    seed: int
    sky: Sky = "clear"
    visibility: float = 600.0
    exposure: float = 1.0
    warmth: float = 1.0
    noise: float = 3.0
    jpeg_quality: int = 90

    @property
    def night(self) -> bool:
        """Whether windows are lit and the rest is dark."""
        return self.sky == "night"

    @property
    def light(self) -> float:
        """Factor on the colours of things."""
        return _LIGHT[self.sky]

    @property
    def direct(self) -> float:
        """Share of the light that comes from the sun itself, 0 to 1: how much walls differ by their direction."""
        return {"clear": 1.0, "cloudy": 0.6, "overcast": 0.15, "night": 0.0}[self.sky]

    @property
    def air(self) -> np.ndarray:
        """Colour (3,) that distance fades to."""
        return np.array(_HORIZON[self.sky], np.float32)


def random_weather(seed: int) -> Weather:
    """Draw the light and air of one photograph."""
    random = generator(seed, 0x5EA)
    skies: tuple[Sky, ...] = ("clear", "cloudy", "overcast", "night")
    return Weather(
        seed=seed,
        sky=skies[random.choice(4, p=[0.4, 0.3, 0.22, 0.08])],
        visibility=float(random.choice([150.0, 500.0, 1200.0], p=[0.1, 0.5, 0.4])),
        exposure=float(random.uniform(0.8, 1.2)),
        warmth=float(random.uniform(0.92, 1.1)),
        noise=float(random.uniform(1, 5)),
        jpeg_quality=int(random.integers(55, 95)),
    )


def paint_sky(weather: Weather, elevation: np.ndarray) -> np.ndarray:
    """Return the sky (H, W, 3) float32.

    Args:
        weather: Light and air.
        elevation: (H, W) sine of each pixel's angle above the horizon.
    """
    up = np.clip(elevation, 0, 1)[..., None] ** 0.6
    sky = np.array(_HORIZON[weather.sky], np.float32) * (1 - up) + np.array(_ZENITH[weather.sky], np.float32) * up
    random = generator(weather.seed, 0xC10D)
    rows, columns = elevation.shape
    clouds = np.zeros((rows, columns), np.float32)
    for size, strength in ((4, 0.6), (9, 0.3), (20, 0.15)):
        coarse = random.standard_normal((max(size * rows // columns, 2), size)).astype(np.float32)
        clouds += strength * cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC)
    cover = np.clip(clouds, 0, 1)[..., None] * _CLOUDS[weather.sky] * np.clip(up * 2.5, 0, 1)
    white = np.array([236, 238, 240], np.float32) * (0.25 if weather.night else 1.0)
    return np.asarray(sky * (1 - cover) + white * cover, np.float32)


def exposed(light: np.ndarray, weather: Weather) -> np.ndarray:
    """Turn light (H, W, 3) float32, 0-255, into a photograph (H, W, 3) uint8: tone, noise, compression.

    Args:
        light: (H, W, 3) float32 RGB, 0 to 255 before the exposure; brighter values are cut off.
        weather: Exposure, warmth, noise with its seed, and the quality of the JPEG that is written and read again.

    Returns:
        (H, W, 3) uint8 RGB; the same light and weather give the same bytes.
    """
    gain = np.array([weather.warmth, 1.0, 1 / weather.warmth], np.float32) * weather.exposure
    noise = generator(weather.seed, 0x4015E).standard_normal(light.shape, np.float32) * weather.noise
    image = np.clip(light * gain + noise, 0, 255).astype(np.uint8)
    done, code = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, weather.jpeg_quality])
    assert done
    decoded = cv2.imdecode(code, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.ascontiguousarray(decoded[..., ::-1])
