"""The planes of pitched roofs, of many buildings at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cartography.imagery.conditions import Conditions
from cartography.imagery.palette import Paint, shades
from cartography.outlines import Outlines
from cartography.scene import RoofShape


class Face(NamedTuple):
    """A plane of a roof: a convex polygon (4, 2), the lines drawn along its edge (2, L, 2), its colour as lit."""

    area: np.ndarray
    edges: np.ndarray
    paint: Paint


def facing(conditions: Conditions, foot: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return how far faces look to the sun, from 0 (turned away) to 1.

    Feet run counter-clockwise on the ground, in pixel coordinates.

    Args:
        conditions: Position of the sun.
        foot: First ends (N, 2) of the faces' lower edges, pixel coordinates.
        after: Second ends (N, 2); edges run counter-clockwise on the ground.

    Returns:
        float (N,).
    """
    east, north = conditions.to_sun
    x, y = (after - foot).T.astype(float)
    return np.asarray(0.5 - 0.5 * (x * north + y * east) / np.maximum(np.hypot(x, y), 1e-6))


def roof_faces(
    roofs: Outlines, forms: Sequence[RoofShape], paints: np.ndarray, conditions: Conditions
) -> dict[int, list[Face]]:
    """The faces of every pitched roof, slivers aside, by the position of the roof; `paints` (N, 4).

    A roof of four corners has its ridge along the longer sides; one of any other outline has bands along its eaves.

    Args:
        roofs: Outlines of all roofs.
        forms: Form of each roof.
        paints: Paint of each roof (N, 4).
        conditions: Position of the sun.

    Returns:
        Lit faces by the position of their roof.
    """
    gabled, hipped = (roofs.broad & (np.array(forms) == form) for form in ("gabled", "hipped"))
    square = roofs.shells()[1] == 4
    spread = 0.34 * np.cos(np.radians(conditions.sun_elevation)) + 0.06
    faces: dict[int, list[Face]] = {}
    for (owners, planes), edge in (
        # A gable's face has half of each gable for an edge, too.
        (_pitches(roofs, np.flatnonzero(square & gabled), 2), [3, 0, 1, 2]),
        (_pitches(roofs, np.flatnonzero(square & hipped), 4), [0, 1]),
        (_bands(roofs, (gabled | hipped) & ~square), [0, 1]),
    ):
        rings, lines, areas = planes
        light = 1 - 1.3 * spread + 2.3 * spread * facing(conditions, areas[:, 0], areas[:, 1])
        edges = np.ascontiguousarray(np.stack([rings[:, edge], lines[:, edge]], axis=1))
        tones = shades(paints[owners], light).tolist()
        for n, face in zip(owners.tolist(), map(Face, areas, edges, tones), strict=True):
            faces.setdefault(n, []).append(face)
    return faces


def _pitches(roofs: Outlines, chosen: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The 2 faces of gabled roofs or the 4 of hipped ones, of four corners: the roofs (F,), the faces (3, F, 4, 2)."""
    corners = roofs.vertices[:, roofs.shells()[0][chosen, None] + np.arange(4)].astype(float)
    lengths = np.linalg.norm(corners[0][:, [1, 2, 3, 0]] - corners[0], axis=-1)
    across = lengths[:, 0] + lengths[:, 2] < lengths[:, 1] + lengths[:, 3]
    corners[:, across] = corners[:, across][:, :, [1, 2, 3, 0]]
    a, b, c, d = np.moveaxis(corners, 2, 0)
    start, end = (a + d) / 2, (b + c) / 2
    if count == 4:
        width, length = (np.linalg.norm(side, axis=-1, keepdims=True) for side in (a - d, a - b))
        inwards = (end - start) * np.minimum(0.5, 0.5 * width / np.maximum(length, 1e-6))
        start, end = start + inwards, end - inwards
    planes = [(a, b, end, start), (c, d, start, end), (b, c, end, end), (d, a, start, start)][:count]
    faces = np.stack([np.stack(plane, axis=2) for plane in planes], axis=2)
    return np.repeat(chosen, count), np.rint(faces).astype(np.int32).reshape(len(roofs.vertices), -1, 4, 2)


def _bands(roofs: Outlines, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A band along every side of the chosen roofs, (N,) bool: the roofs (F,), the bands (3, F, 4, 2)."""
    vertex, owners = roofs.sides()
    vertex, owners = vertex[chosen[owners]], owners[chosen[owners]]
    foot, after = roofs.vertices[:, vertex], roofs.vertices[:, vertex + 1]
    counts = np.maximum(np.bincount(owners, minlength=1), 1)
    middle = np.stack([np.bincount(owners, foot[2][:, k], minlength=1) / counts for k in (0, 1)], axis=1)[owners] * 0.3
    bands = np.stack([foot, after, after * 0.7 + middle, foot * 0.7 + middle], axis=2)
    return owners, np.ascontiguousarray(np.rint(bands), np.int32)
