"""A tiny release of landmarks in the project's layout: what each landmark is shows in all of its sides."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

COLOURS = {"red": (200, 60, 50), "green": (60, 170, 70), "blue": (60, 80, 200), "yellow": (220, 200, 60)}
SHAPES = ("church", "tower", "stadium")
REGIONS = {"North": (-100.0, 45.0), "South": (-98.0, 30.0)}


def write_release(root: Path, train: int = 24, query: int = 12, index: int = 6, seed: int = 0) -> Path:
    """Write manifest, landmarks, texts and images; return the folder."""
    rng = np.random.default_rng(seed)
    images: list[dict[str, object]] = []
    landmarks: list[dict[str, object]] = []
    texts: list[dict[str, object]] = []
    for number in range(train + query):
        split = "train" if number < train else "query"
        colour, shape = list(COLOURS)[number % len(COLOURS)], SHAPES[number // len(COLOURS) % len(SHAPES)]
        state = list(REGIONS)[number % 2]
        name = f"{seed:08x}{number:08x}"
        lon, lat = np.array(REGIONS[state]) + rng.uniform(-1, 1, 2)
        landmarks.append(
            {"landmark_id": name, "split": split, "lon": lon, "lat": lat, "name": f"Old {shape} {number}",
             "category": shape, "state": state}
        )  # fmt: skip
        sections = {"": f"Old {shape} {number} is a {shape} in {state}. It is painted {colour}."}
        texts.append(
            {"landmark_id": name, "split": split, "main": True, "sentence": f"It is a {colour} {shape}.",
             "sections": json.dumps(sections)}
        )  # fmt: skip
        for copy in range(3):
            images.append(_image(root, rng, f"a{name[1:]}{copy}", name, "ground", split, None, colour, shape, state))
        for year in (2012, 2020):
            images.append(_image(root, rng, f"b{name[1:]}{year}", name, "satellite", split, year, colour, shape, state))
        for row in images[-2:]:
            row["geometry"] = shapely.to_wkb(shapely.box(lon - 0.001, lat - 0.001, lon + 0.001, lat + 0.001))
    for number in range(index):
        row = _image(root, rng, f"d{number:015x}", f"d{number:015x}", "satellite", "index", 2020, "", "", "North")
        lon, lat = np.array(REGIONS["North"]) + rng.uniform(-1, 1, 2)
        images.append(row | {"geometry": shapely.to_wkb(shapely.box(lon, lat, lon + 0.001, lat + 0.001))})
    pq.write_table(pa.Table.from_pylist(landmarks), root / "landmarks.parquet")
    pq.write_table(pa.Table.from_pylist(texts), root / "texts.parquet")
    pq.write_table(pa.Table.from_pylist(images), root / "manifest.parquet")
    return root


def _image(
    root: Path, rng: np.random.Generator, name: str, landmark: str, modality: str, split: str, year: int | None,
    colour: str, shape: str, state: str,
) -> dict[str, object]:  # fmt: skip
    ground = (120, 150, 90) if state == "North" else (190, 170, 120)
    picture = np.clip(np.array(ground) + rng.normal(0, 12, (80, 96, 3)), 0, 255).astype(np.uint8)
    if colour:
        x, y = 48 + int(rng.integers(-6, 7)), 40 + int(rng.integers(-5, 6))
        size = {"church": (20, 20), "tower": (8, 26), "stadium": (30, 14)}[shape]
        cv2.ellipse(picture, (x, y), size, 0, 0, 360, COLOURS[colour], -1)
    path = root / "images" / modality / f"{name}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture[..., ::-1])
    return {
        "image_id": name, "landmark_id": landmark, "modality": modality, "distractor": not colour, "split": split,
        "year": year, "image_path": path.relative_to(root).as_posix(), "verdict": "accepted", "geometry": b"",
    }  # fmt: skip
