"""Scenes as single compact files, for machines that have none of the libraries that read vector formats.

The file is a numpy archive: for every layer the geometries as one block of WKB with its offsets, and the attributes as
JSON. Coordinates are rounded to a hundredth of a unit, 0.02 px at the finest pixels drawn.
"""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from cartography.scene import LAYERS, Scene, geometries
from raster.strict_json import parse_json

_FORMAT = 1


class SceneFileError(Exception):
    """A scene file cannot be read."""

    exit_status = 1


def save_scene(scene: Scene, path: Path) -> None:
    """Write a scene to `path` (.npz).

    Args:
        scene: The scene.
        path: File to write, .npz.
    """
    head = {"format": _FORMAT, "bounds": scene.bounds, "ground": scene.ground, "crs": scene.crs}
    arrays: dict[str, np.ndarray] = {"head": _text(head)}
    for name, features in scene.layers():
        rounded = shapely.transform(geometries(features), lambda points: points.round(2))
        blobs = shapely.to_wkb(rounded).tolist() if features else []
        arrays[f"{name}.wkb"] = np.frombuffer(b"".join(blobs), np.uint8)
        arrays[f"{name}.sizes"] = np.array([len(blob) for blob in blobs], np.uint32)
        columns = [f.name for f in fields(LAYERS[name])][1:]
        arrays[f"{name}.attributes"] = _text([[getattr(f, c) for f in features] for c in columns])
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def load_scene(path: Path) -> Scene:
    """Read a scene written by `save_scene`.

    Args:
        path: The file.

    Returns:
        The scene.

    Raises:
        SceneFileError: The file is no scene, or of another version.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            head = parse_json(archive["head"].tobytes())
            if head["format"] != _FORMAT:
                raise SceneFileError(
                    f"{path}: format {head['format']}, this version reads {_FORMAT}; write the file again"
                )
            layers = {name: _layer(archive, name) for name in LAYERS}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise SceneFileError(f"{path} is no scene file ({error}); write one with save_scene") from error
    return Scene(tuple(head["bounds"]), head["ground"], head["crs"], **layers)


def _layer(archive: Any, name: str) -> tuple[Any, ...]:
    blob, ends = archive[f"{name}.wkb"].tobytes(), np.cumsum(archive[f"{name}.sizes"]).tolist()
    shapes = shapely.from_wkb([blob[start:end] for start, end in zip([0, *ends], ends, strict=False)])
    columns = parse_json(archive[f"{name}.attributes"].tobytes())
    return tuple(LAYERS[name](shape, *row) for shape, row in zip(shapes, zip(*columns, strict=True), strict=True))


def _text(value: Any) -> np.ndarray:
    return np.frombuffer(json.dumps(value, ensure_ascii=False).encode(), np.uint8)
