"""Quadrilaterals, many at once: splitting, insetting, filling them with templates. All arrays are (N, 4, 2)."""

from __future__ import annotations

import numpy as np

_NEXT, _BEFORE = [1, 2, 3, 0], [3, 0, 1, 2]
"""Neighbours of the corners: indexing is several times faster than `np.roll`."""


def bilinear(quads: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Map positions of the unit square into quads.

    Args:
        quads: Corners (N, 4, 2), which are (0, 0), (1, 0), (1, 1) and (0, 1) of the square.
        uv: Positions (K, 2).

    Returns:
        Positions (N, K, 2).
    """
    u, v = uv[:, 0], uv[:, 1]
    weights = np.array([(1 - u) * (1 - v), u * (1 - v), u * v, (1 - u) * v])
    return np.einsum("ck,ncd->nkd", weights, quads)


def grid(quad: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Cut one quad along two sets of parameters.

    Args:
        quad: Corners (4, 2).
        u: Parameters (C + 1,) along side 0, from 0 to 1.
        v: Parameters (R + 1,) along side 1, from 0 to 1.

    Returns:
        Quads (R * C, 4, 2), row by row.
    """
    mesh = np.stack(np.meshgrid(u, v), axis=-1)
    points = bilinear(quad[None], mesh.reshape(-1, 2))[0].reshape(len(v), len(u), 2)
    return np.stack([points[:-1, :-1], points[:-1, 1:], points[1:, 1:], points[1:, :-1]], axis=2).reshape(-1, 4, 2)


def side_lengths(quads: np.ndarray) -> np.ndarray:
    """Return the lengths of sides; side i runs from corner i to corner i + 1.

    Args:
        quads: Corners (N, 4, 2).

    Returns:
        Lengths (N, 4).
    """
    return np.linalg.norm(quads[:, _NEXT] - quads, axis=2)


def areas(quads: np.ndarray) -> np.ndarray:
    """Return signed areas, positive where corners run counter-clockwise.

    Args:
        quads: Corners (N, 4, 2).

    Returns:
        Areas (N,).
    """
    x, y = quads[..., 0], quads[..., 1]
    return 0.5 * (x * y[:, _NEXT] - x[:, _NEXT] * y).sum(axis=1)


def inset(quads: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """Move the sides of quads inwards.

    Args:
        quads: Corners (N, 4, 2), counter-clockwise.
        distances: How far each side moves (N, 4).

    Returns:
        Quads (N, 4, 2); those that vanished have an area of 0 or less.
    """
    direction = quads[:, _NEXT] - quads
    length = np.maximum(np.linalg.norm(direction, axis=2, keepdims=True), 1e-9)
    direction = direction / length
    normal = np.stack([-direction[..., 1], direction[..., 0]], axis=-1)
    origin = quads + normal * distances[..., None]
    before, before_origin = direction[:, _BEFORE], origin[:, _BEFORE]
    cross = before[..., 0] * direction[..., 1] - before[..., 1] * direction[..., 0]
    gap = origin - before_origin
    along = (gap[..., 0] * direction[..., 1] - gap[..., 1] * direction[..., 0]) / np.where(
        np.abs(cross) < 1e-6, 1e-6, cross
    )
    result = before_origin + before * along[..., None]
    # A quad turned inside out keeps a positive area but reverses a side: make that visible to the caller.
    turned = ((result[:, _NEXT] - result) * direction).sum(axis=2).min(axis=1) <= 0
    result[turned] = result[turned][:, ::-1]
    return result
