"""Smooth random fields over the unlimited plane: sums of plane waves, so that any point can be asked for on its own."""

from __future__ import annotations

import numpy as np
import shapely
from shapely.geometry import LineString, Polygon

from cartography.hashing import generator
from cartography.scene import Bounds

_SAMPLES = 17
"""Samples along the side of a cell when an isoline is traced."""


class WaveField:
    """A field of zero mean and unit variance whose wavelengths lie in [`shortest`, `longest`] metres."""

    def __init__(self, seed: int, shortest: float, longest: float, waves: int = 9) -> None:
        """Choose the waves of a field.

        Args:
            seed: Decides phases and directions.
            shortest: Shortest wavelength, metres.
            longest: Longest wavelength, metres; longer waves have the larger amplitudes.
            waves: How many there are, evenly spaced in the logarithm of their length.
        """
        random = generator(seed)
        lengths = np.exp(np.linspace(np.log(shortest), np.log(longest), waves))
        angles = (np.arange(waves) * 2.399963 + random.uniform(0, 2 * np.pi)) % (2 * np.pi)
        frequencies = 2 * np.pi / lengths
        self._k = np.stack([np.cos(angles), np.sin(angles)]) * frequencies
        self._phase = random.uniform(0, 2 * np.pi, waves)
        weights = lengths / np.sqrt((lengths**2).sum())
        self._amplitude = weights * np.sqrt(2)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Return the values of the field.

        Args:
            points: (N, 2), metres.

        Returns:
            (N,) float64.
        """
        return np.sin(points @ self._k + self._phase) @ self._amplitude

    def gradient(self, points: np.ndarray) -> np.ndarray:
        """Return the gradient of the field.

        Args:
            points: Positions (N, 2) in metres.

        Returns:
            Gradients (N, 2) per metre.
        """
        slope = np.cos(points @ self._k + self._phase) * self._amplitude
        return slope @ self._k.T

    def distance_to(self, points: np.ndarray, level: float = 0.0) -> np.ndarray:
        """Return the approximate distance to an isoline, of first order in the gradient.

        Args:
            points: Positions (N, 2) in metres.
            level: Value of the isoline.

        Returns:
            Metres (N,).
        """
        steepness = np.linalg.norm(self.gradient(points), axis=1)
        return np.abs(self(points) - level) / np.maximum(steepness, 1e-5)


def sample_grid(bounds: Bounds, more: int = 0) -> np.ndarray:
    """Return a regular grid of positions over a cell, its edges included.

    Args:
        bounds: Left, bottom, right and top of the cell in metres.
        more: Samples beyond every edge.

    Returns:
        Positions (S, S, 2).
    """
    steps = np.arange(-more, _SAMPLES + more) / (_SAMPLES - 1)
    x = bounds[0] + (bounds[2] - bounds[0]) * steps
    y = bounds[1] + (bounds[3] - bounds[1]) * steps
    return np.stack(np.meshgrid(x, y), axis=-1)


def isolines(values: np.ndarray, grid: np.ndarray, level: float) -> list[LineString]:
    """Trace an isoline through sampled values by marching triangles.

    Args:
        values: Samples (S, S).
        grid: Their positions (S, S, 2).
        level: Value of the isoline.

    Returns:
        Its pieces.
    """
    above = values - level
    above = np.where(above == 0, 1e-9, above)
    if above.min() > 0 or above.max() < 0:
        return []
    corners = np.stack([above[:-1, :-1], above[:-1, 1:], above[1:, 1:], above[1:, :-1]], axis=-1).reshape(-1, 4)
    places = np.stack([grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]], axis=-2).reshape(-1, 4, 2)
    mixed = (corners > 0).any(1) & (corners < 0).any(1)
    corners, places = corners[mixed], places[mixed]
    segments = [_triangle_segments(corners[:, t], places[:, t]) for t in ([0, 1, 2], [0, 2, 3])]
    lines = np.asarray(shapely.linestrings(np.concatenate(segments)))
    merged = shapely.line_merge(shapely.multilinestrings(lines))
    return [line for line in shapely.get_parts(merged) if line.length > 0]


def _triangle_segments(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Segments (M, 2, 2) where the zero line crosses triangles: `values` (N, 3), `places` (N, 3, 2)."""
    signs = values > 0
    odd = np.where(signs.sum(1) == 1, signs.argmax(1), (~signs).argmax(1))
    crossed = signs.any(1) & ~signs.all(1)
    rows, odd = np.flatnonzero(crossed), odd[crossed]
    ends = []
    for step in (1, 2):
        other = (odd + step) % 3
        # Interpolate from the lower vertex index to the higher, so that neighbours sharing an edge compute equal bits.
        first, second = np.minimum(odd, other), np.maximum(odd, other)
        a, b = values[rows, first], values[rows, second]
        share = (a / (a - b))[:, None]
        ends.append(places[rows, first] * (1 - share) + places[rows, second] * share)
    return np.stack(ends, axis=1).round(6)


def region(values: np.ndarray, grid: np.ndarray, bounds: Bounds) -> list[Polygon]:
    """Return the part of a cell where sampled values are positive.

    Args:
        values: Samples (S, S).
        grid: Their positions (S, S, 2).
        bounds: Left, bottom, right and top of the cell.

    Returns:
        Polygons of the part.
    """
    box = shapely.box(*bounds)
    if values.min() > 0:
        return [box]
    if values.max() <= 0:
        return []
    border = shapely.union_all([*isolines(values, grid, 0.0), box.exterior])
    faces = shapely.get_parts(shapely.polygonize(list(shapely.get_parts(border))))
    return [face for face in faces if face.area > 1 and _sampled(values, bounds, face) > 0]


def _sampled(values: np.ndarray, bounds: Bounds, face: Polygon) -> float:
    """Bilinear value at a point inside the face."""
    point = face.representative_point()
    column = (point.x - bounds[0]) / (bounds[2] - bounds[0]) * (_SAMPLES - 1)
    row = (point.y - bounds[1]) / (bounds[3] - bounds[1]) * (_SAMPLES - 1)
    c, r = min(int(column), _SAMPLES - 2), min(int(row), _SAMPLES - 2)
    u, v = column - c, row - r
    top = values[r, c] * (1 - u) + values[r, c + 1] * u
    bottom = values[r + 1, c] * (1 - u) + values[r + 1, c + 1] * u
    return float(top * (1 - v) + bottom * v)
