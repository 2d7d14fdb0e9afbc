"""What a release holds, in few numbers, to be compared with what was recorded earlier.

A change of structure must not change results. Rounding differs between processors (fused multiply-add, vector widths),
so places and pixel statistics are compared within a tolerance everywhere, and digests of the images only on processors
of a maker and with instructions that one was recorded on.

To record anew after a change that is meant to change results: `SNAPSHOTS=record pytest tests/end_to_end`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

FOLDER = Path(__file__).resolve().parents[1] / "end_to_end" / "snapshots"
PLACE_TOLERANCE = 0.05
"""Pixels of the visible raster that a corner of the map raster's first 1,000 px may move."""
LEVEL_TOLERANCE = 0.25
"""Grey levels of 255 that the mean or the standard deviation of an image may change by."""


def assert_as_recorded(workspace: Path, name: str) -> None:
    """Compare the release of a workspace with the snapshot `name`; record it if the environment asks for that."""
    found = _describe(workspace)
    path = FOLDER / f"{name}.json"
    if os.environ.get("SNAPSHOTS") == "record":
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        pytest.skip(f"recorded {path.name}")
    recorded = json.loads(path.read_text(encoding="utf-8"))
    assert found["pairs"].keys() == recorded["pairs"].keys()
    for pair, now in found["pairs"].items():
        before = recorded["pairs"][pair]
        for field in ("verdict", "split", "reasons"):
            assert now[field] == before[field], f"{pair}: {field}"
        assert np.abs(np.subtract(now["corners"], before["corners"])).max() <= PLACE_TOLERANCE, f"{pair}: homography"
        assert np.abs(np.subtract(now["levels"], before["levels"])).max(initial=0) <= LEVEL_TOLERANCE, f"{pair}: pixels"
    for processor, digest in found["images"].items():
        assert digest == recorded["images"].get(processor, digest), "the images differ in their bytes"


def _describe(workspace: Path) -> dict[str, Any]:
    release = workspace / "release"
    pairs, images = {}, hashlib.blake2b(digest_size=16)
    for row in pq.read_table(release / "manifest.parquet").to_pylist():
        levels = []
        if row["map_path"]:
            for side in ("map_path", "visible_path"):
                content = (release / row[side]).read_bytes()
                images.update(content)
                pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
                levels += [round(float(pixels.mean()), 3), round(float(pixels.std()), 3)]
        square = np.array([[0, 0, 1], [1000, 0, 1], [1000, 1000, 1], [0, 1000, 1]], float)
        moved = square @ np.reshape(row["homography"], (3, 3)).T
        corners = np.round(moved[:, :2] / moved[:, 2:], 4).tolist()
        pairs[row["pair_id"]] = {
            "verdict": row["verdict"],
            "split": row["split"],
            "reasons": [reason.split(":")[0] for reason in row["reasons"]],
            "corners": corners,
            "levels": levels,
        }
    return {"images": {_processor(): images.hexdigest()}, "pairs": pairs}


def _processor() -> str:
    """Return maker and instructions: libraries choose their code by both."""
    maker = re.search(r"vendor_id\s*:\s*(\w+)", Path("/proc/cpuinfo").read_text())
    return f"{maker[1] if maker else ''} {cv2.getCPUFeaturesLine()}"
