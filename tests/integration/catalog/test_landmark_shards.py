"""Landmarks as shards: a landmark with all its images is a sample, and so is a distractor."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from blake3 import blake3

from catalog.build import build_release
from catalog.errors import CatalogError
from catalog.landmarks import SCHEMA
from catalog.landmarks.model import Landmark, Text
from catalog.model import About, Contents, Format
from catalog.shards import ShardFormat, write_shards
from catalog.verify import verify_release

pytestmark = pytest.mark.integration

BOX = shapely.to_wkb(shapely.box(7, 46, 7.01, 46.01))
TOWER = "a" * 16
KINDS = [(TOWER, "ground", None), (TOWER, "satellite", 2020), (TOWER, "satellite", 2012), (None, "satellite", 2020)]


def _record(root: Path, number: int, landmark: str | None, modality: str, year: int | None) -> dict[str, object]:
    content = cv2.imencode(".jpg", np.full((24, 32, 3), 40 * number, np.uint8))[1].tobytes()
    (root / f"{number}.jpg").write_bytes(content)
    name = f"{number:016x}"
    return {
        "image_id": name, "landmark_id": landmark or name, "modality": modality, "distractor": landmark is None,
        "split": "train" if landmark else "index", "verdict": "accepted", "reasons": [], "format": "jpeg", "width": 32,
        "height": 24, "image_digest": blake3(content).hexdigest(), "image_bytes": len(content),
        "image_source": "urn:camera:1",
        "image_licence": "CC0-1.0", "image_attribution": "someone", "image_date": str(year or ""), "author": "someone",
        "licence_url": "", "page_url": "", "title": f"picture {number}", "year": year, "items": [], "flags": [],
        "outdoor": 0.9, "geometry": BOX,
    }  # fmt: skip


@pytest.fixture
def release(tmp_path: Path) -> Path:
    records = [_record(tmp_path, number, *kind) for number, kind in enumerate(KINDS)]
    sources = [{"image_id": row["image_id"], "image_file": f"{n}.jpg", "index": 0} for n, row in enumerate(records)]
    landmark = Landmark(
        TOWER, "train", {"name": "Old tower", "category": "tower", "state": "North"}, (7.0, 46.0), BOX,
        (
            Text("en", "It is a tower.", {"": "It is a tower in the north."}, "CC0-1.0", "someone", "https://en.invalid"),
            Text("de", "Ein Turm.", {"": "Ein Turm im Norden."}, "CC0-1.0", "jemand", "https://de.invalid"),
        ),
    )  # fmt: skip
    about = About("Landmarks", "Of a test.", "1.0", "CC0-1.0", "Someone", "", {"camera": "1"}, seed=0)
    tables = pa.Table.from_pylist(records, SCHEMA.columns), pa.Table.from_pylist(sources, SCHEMA.sources)
    contents = Contents(about, *tables, [landmark])
    build_release(SCHEMA, contents, tmp_path, tmp_path / "release", [Format.FOLDERS, Format.STAC])
    return tmp_path / "release"


def test_a_landmark_is_a_sample_and_so_is_a_distractor(release: Path, tmp_path: Path) -> None:
    assert verify_release(release) == []
    assert write_shards(release, tmp_path / "tars", ShardFormat.WEBDATASET) == ["train-000000.tar", "index-000000.tar"]
    with tarfile.open(tmp_path / "tars/train-000000.tar") as archive:
        names = [member.name.partition(".")[2] for member in archive.getmembers()]
        file = archive.extractfile(f"{TOWER}.json")
        assert file is not None
        facts = json.load(file)
    assert names == ["json", "ground.0.jpg", "satellite.0.jpg", "satellite.1.jpg"]
    assert facts["text"]["sections"][""] == "It is a tower in the north."
    assert facts["text.de"]["sections"][""] == "Ein Turm im Norden."
    assert [facts["images"][name]["year"] for name in names[1:]] == [None, 2012, 2020]
    with tarfile.open(tmp_path / "tars/index-000000.tar") as archive:
        file = archive.extractfile(f"{3:016x}.json")
        assert file is not None
        assert json.load(file)["images"]["satellite.0.jpg"]["lon"] == pytest.approx(7.005)
    write_shards(release, tmp_path / "tables", ShardFormat.PARQUET, ["train"])
    table = pq.read_table(tmp_path / "tables/train-000000.parquet")
    assert table.num_rows == 3
    assert blake3(table["image"][0].as_py()["bytes"]).hexdigest() == table["image_digest"][0].as_py()


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "3", "null", '{"a": ' * 500 + "1" + "}" * 500])
def test_sections_that_are_no_json_are_named(release: Path, tmp_path: Path, text: str) -> None:
    table = pq.read_table(release / "texts.parquet")
    spoilt = pa.array([text] * table.num_rows, table.schema.field("sections").type)
    table = table.set_column(table.schema.get_field_index("sections"), table.schema.field("sections"), spoilt)
    pq.write_table(table, release / "texts.parquet")
    with pytest.raises(CatalogError, match=f"the sections of {TOWER} are no texts by title"):
        write_shards(release, tmp_path / "tars", ShardFormat.WEBDATASET)
    assert not (tmp_path / "tars").exists()
