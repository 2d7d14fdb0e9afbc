"""Dividing landmarks: what is one item twice, what has lost a side; and how what was left out is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from blake3 import blake3
from pyproj import Geod

from pipeline.stage import Unit
from stages.landmarks.left_out import grouped
from stages.landmarks.split import SplitParams, SplitStage
from stages.landmarks.tables import IMAGES, LANDMARKS, TEXTS
from stages.tables import write_table

pytestmark = pytest.mark.unit

SAME = 0x0123456789ABCDEF


def far(number: int) -> int:
    """Return a hash far from those of other numbers."""
    return int(blake3(str(number).encode()).hexdigest()[:16], 16)


def landmark(number: int, qid: str, kind: str = "way", edge: float = 100.0) -> dict[str, Any]:
    lon = number * 1.0
    return {
        "landmark_id": f"{number:016x}", "name": f"Hall {number}", "qid": qid, "osm_type": kind, "osm_id": number,
        "lon": lon, "lat": 40.0, "min_lon": lon, "min_lat": 40.0, "max_lon": lon + 1e-3, "max_lat": 40.001,
        "edge_m": edge,
    }  # fmt: skip


def image(name: str, of: int | None, modality: str, code: int) -> dict[str, Any]:
    return {
        "image_id": name, "landmark_id": None if of is None else f"{of:016x}", "modality": modality, "hash": code,
        "flags": [],
    }  # fmt: skip


def divided(
    folder: Path, landmarks: list[dict[str, Any]], ground: list[dict[str, Any]], index: list[dict[str, Any]]
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Run the stage where every landmark has a text and an aerial image of its own; return landmarks and images."""
    own = [row["landmark_id"] for row in landmarks]
    tables = {
        "landmarks": (LANDMARKS, landmarks),
        "texts": (TEXTS, [{"landmark_id": each, "language": "en"} for each in own]),
        "ground": (IMAGES, ground),
        "aerial": (IMAGES, [image(f"a{n}", row["osm_id"], "aerial", far(n)) for n, row in enumerate(landmarks)]),
        "index": (IMAGES, index),
    }
    for name, (schema, rows) in tables.items():
        write_table(folder / f"{name}.parquet", rows, schema)
    payload = {"seed": 1, "tables": {name: [f"{name}.parquet"] for name in tables}}
    SplitStage(SplitParams(query_share=0.5)).run(Unit("split", "landmarks", "k", payload), folder)
    made = folder / "landmarks" / "split"
    places = {row["landmark_id"]: row for row in pq.read_table(made / "landmarks.parquet").to_pylist()}
    return places, {row["image_id"]: row for row in pq.read_table(made / "images.parquet").to_pylist()}


def test_of_objects_that_are_one_item_the_largest_takes_part(tmp_path: Path) -> None:
    landmarks = [landmark(1, "Q5", edge=90), landmark(2, "Q5", "relation"), landmark(3, "Q5"), landmark(4, "Q6")]
    landmarks += [landmark(5, ""), landmark(6, "")]
    ground = [image(f"g{n}", n, "ground", far(100 + n)) for n in range(1, 7)]
    places, images = divided(tmp_path, landmarks, ground, [])
    left_out = {int(key, 16): row["reason"] for key, row in places.items() if row["split"] is None}
    assert left_out == dict.fromkeys((1, 3), "relation 2 is Q5, too, and larger")
    assert {name for name, row in images.items() if row["verdict"] == "rejected"} == {"g1", "g3", "a0", "a2"}


def test_a_landmark_that_loses_its_only_photograph_is_left_out(tmp_path: Path) -> None:
    """Its twin asks questions, so it is the one that goes: with all of its images, and the reason."""
    landmarks = [landmark(n, f"Q{n}") for n in range(1, 5)]
    ground = [image(f"g{n}", n, "ground", SAME) for n in range(1, 5)]
    places, images = divided(tmp_path, landmarks, ground, [image("far", None, "ground", SAME ^ 1)])
    splits = {int(key, 16): row["split"] for key, row in places.items()}
    asking = {n for n, split in splits.items() if split == "query"}
    assert len(asking) == 2
    assert {split for n, split in splits.items() if n not in asking} == {None}
    kept = {name for name, row in images.items() if row["verdict"] == "accepted"}
    assert kept == {f"g{n}" for n in asking} | {f"a{n - 1}" for n in asking}
    lost = next(row for key, row in places.items() if row["split"] is None)
    assert lost["reason"] == "no photograph that is not nearly the same as one of another split"
    aerial = next(row for name, row in images.items() if name[0] == "a" and row["verdict"] == "rejected")
    assert aerial["reasons"] == [f"its landmark is left out: {lost['reason']}"]
    assert images["far"]["reasons"][0].startswith("it is nearly the same as g")


def test_no_place_within_the_distance_crosses(tmp_path: Path) -> None:
    """By the geodesic between centres; boxes are some 100 m across, so centres of two splits lie over 1 km apart."""
    draw = np.random.default_rng(3)
    landmarks = [landmark(n, f"Q{n}") for n in range(1, 161)]
    for row in landmarks:
        lon, lat = draw.uniform(-100, -99.7), draw.uniform(40, 40.3)
        row |= {"lon": lon, "lat": lat, "min_lon": lon - 5e-4, "max_lon": lon + 5e-4}
        row |= {"min_lat": lat - 5e-4, "max_lat": lat + 5e-4}
    ground = [image(f"g{n}", n, "ground", far(1000 + n)) for n in range(1, 161)]
    places, _ = divided(tmp_path, landmarks, ground, [])
    sides = {
        split: np.array([[row["lon"], row["lat"]] for row in landmarks if places[row["landmark_id"]]["split"] == split])
        for split in ("train", "query")
    }
    assert min(len(side) for side in sides.values()) > 20

    def nearest(one: np.ndarray, other: np.ndarray) -> float:
        pairs = np.repeat(one, len(other), axis=0), np.tile(other, (len(one), 1))
        _, _, metres = Geod(ellps="WGS84").inv(*pairs[0].T, *pairs[1].T)
        return float(np.min(metres[metres > 0]))

    assert nearest(sides["train"], sides["query"]) > 1000
    assert nearest(sides["train"], sides["train"]) < 1000  # and such places there were


def test_reasons_of_one_kind_are_told_together() -> None:
    things = [
        ("A", "Wikidata places it 812 m away, at most 500 m are allowed"),
        ("B", "Wikidata places it 1,204 m away, at most 500 m are allowed"),
        ("C", "its Wikidata id 'Q7;Q8' is not valid"),
        ("D", "CC-BY-NC-2.0 allows no commercial use"),
        ("E", "it is nearly the same as 0123456789abcdef of split query"),
        *((f"F{n}", f"way {n} has the same item and is larger") for n in range(40)),
    ]
    found = {group.reason: (group.count, len(group.examples)) for group in grouped("candidate", things)}
    assert found == {
        "way … has the same item and is larger": (40, 30),
        "Wikidata places it … m away, at most … m are allowed": (2, 2),
        "its Wikidata id 'Q7;Q8' is not valid": (1, 1),
        "CC-BY-NC-2.0 allows no commercial use": (1, 1),
        "it is nearly the same as 0123456789abcdef of split query": (1, 1),
    }
