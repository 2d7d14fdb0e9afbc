"""Pseudo-modalities: a real image changed as if by another sensor, at another time of day, or as a drawing."""

from __future__ import annotations

import cv2
import numpy as np

from matcher.images import RGBImage


def pseudo_modality(image: RGBImage, rng: np.random.Generator) -> RGBImage:
    """Return one of: a random tone curve, an inversion, edges, a segmentation-like flattening, speckle, or night.

    Args:
        image: H x W x 3 uint8 RGB.
        rng: Chooses the change and its parameters.

    Returns:
        H x W x 3 uint8 RGB; geometry is unchanged, so that both images lie on each other.
    """
    make = [_tone_curve, _inverted, _edges, _segments, _speckle, _night][rng.integers(6)]
    return make(np.ascontiguousarray(image), rng)


def _tone_curve(image: RGBImage, rng: np.random.Generator) -> RGBImage:
    """Infrared-like: grey through a random, not monotonic curve."""
    knots = rng.uniform(0, 255, 5)
    curve = np.interp(np.arange(256), np.linspace(0, 255, 5), knots).astype(np.uint8)
    return _grey(curve[cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)])


def _inverted(image: RGBImage, rng: np.random.Generator) -> RGBImage:
    return _grey(255 - cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)) if rng.random() < 0.5 else 255 - image


def _edges(image: RGBImage, rng: np.random.Generator) -> RGBImage:
    """A drawing: dark lines on a pale ground where the smoothed image has edges."""
    smooth = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (0, 0), rng.uniform(1.0, 2.5))
    gradient = cv2.magnitude(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))
    level = np.percentile(gradient[::4, ::4], rng.uniform(70, 90))
    return _grey(np.where(gradient > level, rng.integers(0, 150), rng.integers(200, 256)).astype(np.uint8))


def _segments(image: RGBImage, rng: np.random.Generator) -> RGBImage:
    """Map-like: strongly smoothed, few tones, each with a random pale colour."""
    smooth = cv2.medianBlur(image, int(rng.choice([7, 11, 15])))
    tones = int(rng.integers(3, 7))
    index = cv2.cvtColor(smooth, cv2.COLOR_RGB2GRAY).astype(int) * tones // 256
    darkest = rng.integers(60, 235)
    return rng.integers(darkest, 256, (tones, 3)).astype(np.uint8)[index]


def _speckle(image: RGBImage, rng: np.random.Generator) -> RGBImage:
    """Radar-like: random tone curve and multiplicative noise of a few looks."""
    toned = _tone_curve(image, rng)[..., 0]
    looks = rng.uniform(3, 12)
    noise = rng.gamma(looks, 1 / looks, toned.shape)
    return _grey(np.clip(toned * noise, 0, 255).astype(np.uint8))


def _night(image: RGBImage, rng: np.random.Generator) -> RGBImage:
    """Dark, with the bright parts alight."""
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (0, 0), 1.2).astype(np.float32) / 255
    lit = np.clip((grey - rng.uniform(0.5, 0.7)) * 4, 0, 1) * 200 + grey * rng.uniform(20, 60)
    return np.clip(lit[..., None] * rng.uniform(0.7, 1.1, 3), 0, 255).astype(np.uint8)


def _grey(values: np.ndarray) -> RGBImage:
    return np.repeat(values[..., None], 3, axis=2)
