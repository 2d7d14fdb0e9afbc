"""The core of the catalog serves a dataset of another kind: photographs with a caption and a coordinate.

The schema lives in a package of its own that registers it by entry point, as a third party would.
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from types import ModuleType

import cv2
import geopandas
import mlcroissant
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pystac
import pytest
import shapely
import zarr
from blake3 import blake3
from stac_geoparquet.arrow import stac_table_to_items

from catalog.build import build_release
from catalog.dataset import open_dataset
from catalog.errors import CatalogError
from catalog.model import About, Contents, Format
from catalog.schema import find_schema
from catalog.verify import verify_release

pytestmark = pytest.mark.integration

PACKAGE = '''
"""Photographs of places."""

import pyarrow as pa

from catalog.schema import Role, Schema, column


class PhotoSchema(Schema):
    """One photograph a record; records are split by place."""

    name, noun, key, group, order = "photos", "photo", "photo_id", "place_id", ("place_id", "photo_id")
    roles = (Role("photo", "Photos/{place_id}/{photo_id}"),)
    splitting = "Photos are split by place."
    tags = ("photographs",)
    columns = pa.schema(
        [column(name, pa.string(), name) for name in ("photo_id", "place_id", "caption", "verdict", "format")]
        + [column("split", pa.string(), "train, val or test", nullable=True)]
        + [column("reasons", pa.list_(pa.string()), "why it was rejected")]
        + [column("size", pa.int32(), "width and height, pixels")]
        + [column("photo_digest", pa.string(), "BLAKE3"), column("photo_bytes", pa.int64(), "size of the file")]
        + [column(f"photo_{fact}", pa.string(), fact) for fact in ("source", "licence", "attribution", "date")]
        + [column("geometry", pa.binary(), "WKB point, WGS84")]
    )

    def record_fields(self, rows):
        return {"mapdata:caption": rows["caption"]}

    def provenance(self, contents):
        return f"{contents.records.num_rows} photographs were taken."

    def sample(self, row, images):
        return {"image": images["photo"], "caption": row["caption"], "photo_id": row["photo_id"]}


SCHEMA = PhotoSchema()
'''

SIZE = 32


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Install the package of the schema: a module and the metadata that an installer writes."""
    site = tmp_path / "site"
    (site / "photo_schema-1.0.dist-info").mkdir(parents=True)
    (site / "photo_schema.py").write_text(PACKAGE)
    (site / "photo_schema-1.0.dist-info/METADATA").write_text(
        "Metadata-Version: 2.1\nName: photo-schema\nVersion: 1.0\n"
    )
    (site / "photo_schema-1.0.dist-info/entry_points.txt").write_text(
        "[mapdata.schemas]\nphotos = photo_schema:SCHEMA\nbroken = photo_schema:SIZE\n"
    )
    monkeypatch.syspath_prepend(site)
    module = __import__("photo_schema")
    module.SIZE = SIZE
    yield module
    sys.modules.pop("photo_schema")


@pytest.fixture
def release(package: ModuleType, tmp_path: Path) -> Path:
    rng = np.random.default_rng(5)
    records, sources = [], []
    for place, split in (("a", "train"), ("b", "test")):
        for number in range(3):
            name = f"{place}{number}"
            image = cv2.resize(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8), (SIZE, SIZE))
            content = cv2.imencode(".png", image)[1].tobytes()
            (tmp_path / f"{name}.png").write_bytes(content)
            records.append(
                {
                    "photo_id": name, "place_id": place, "caption": f"house {number}", "format": "png", "size": SIZE,
                    "verdict": "rejected" if name == "a2" else "accepted", "split": split,
                    "reasons": ["blurred"] if name == "a2" else [],
                    "photo_digest": blake3(content).hexdigest(), "photo_bytes": len(content),
                    "photo_source": "a camera", "photo_licence": "CC0-1.0", "photo_attribution": "someone",
                    "photo_date": "2021-05", "geometry": shapely.to_wkb(shapely.Point(7.5 + number, 46.9)),
                }
            )  # fmt: skip
            sources.append({"photo_id": name, "photo_file": f"{name}.png", "index": 0})
    schema = package.SCHEMA
    about = About("Photographs", "Photographs of places.", "1.0", "CC0-1.0", "Someone", "", {"camera": "1"}, seed=0)
    contents = Contents(
        about,
        pa.Table.from_pylist(records[::-1], schema.columns),
        pa.Table.from_pylist(sources, schema.sources),
    )
    build_release(schema, contents, tmp_path, tmp_path / "release", [Format.FOLDERS, Format.ZARR, Format.STAC])
    return tmp_path / "release"


def test_it_is_valid_and_says_what_it_is(release: Path) -> None:
    assert verify_release(release) == []
    summary = json.loads((release / "release.json").read_text())
    assert summary["schema"] == "photos"
    assert summary["photos"] == {"train": 2, "val": 0, "test": 3, "rejected": 1, "all": 6}
    card = (release / "README.md").read_text()
    assert "| train | 1 | 2 |" in card
    assert "| photo | a camera | CC0-1.0 | someone | 2021-05 | 6 |" in card
    assert "| blurred | 1 |" in card
    assert not any(word in card for word in ("`map`", "visible", "homography", "pairs"))


def test_it_is_read_back(release: Path) -> None:
    for layout in ("folders", "zarr"):
        dataset = open_dataset(release, "test", layout=layout)
        assert [dataset[index]["caption"] for index in range(3)] == ["house 0", "house 1", "house 2"]
        expected = cv2.cvtColor(cv2.imread(str(release / "Photos/b/b1.png")), cv2.COLOR_BGR2RGB)
        image = (dataset[1]["image"].numpy() * 255).round().astype(np.uint8).transpose(1, 2, 0)
        np.testing.assert_array_equal(image, expected)


def test_other_readers_understand_it(release: Path) -> None:
    frame = geopandas.read_parquet(release / "manifest.parquet")
    assert list(frame.photo_id) == ["a0", "a1", "a2", "b0", "b1", "b2"]
    assert frame.geometry.iloc[1].equals(shapely.Point(8.5, 46.9))
    assert list(zarr.open_group(release / "mapdata.zarr", mode="r")["photo_id"][:]) == ["a0", "a1", "b0", "b1", "b2"]
    items = list(stac_table_to_items(pq.read_table(release / "stac/photos.parquet")))
    assert items[2]["properties"]["mapdata:caption"] == "house 0"
    assert items[2]["assets"]["photo"]["href"] == "../Photos/b/b0.png"
    (collection,) = pystac.Catalog.from_file(release / "stac/catalog.json").get_children()
    assert collection.extent.spatial.bboxes == [[7.5, 46.9, 9.5, 46.9]]
    dataset = mlcroissant.Dataset(jsonld=str(release / "croissant.json"))
    assert [record["photos/caption"] for record in dataset.records("photos")][4] == b"house 1"
    assert len(list(dataset.records("photo_images"))) == 5


def test_harm_is_named_in_its_own_words(release: Path) -> None:
    (release / "Photos/b/b1.png").unlink()
    found = {problem.what for problem in verify_release(release)}
    assert "the photo image of photo b1 is missing: the photo is not whole" in found


def test_a_release_can_name_only_a_schema_that_is_installed(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = release / "release.json"
    summary = json.loads(path.read_text())
    for name in ("os:system", "photo_schema:SCHEMA", ["photos"], None):
        path.write_text(json.dumps(summary | {"schema": name}))
        with pytest.raises(CatalogError, match="is not known here"):
            open_dataset(release)
        (problem,) = verify_release(release)
        assert "is not known here (pairs, images, broken, photos are)" in problem.what
    with pytest.raises(CatalogError, match=r"photo_schema:SIZE: is no catalog\.schema\.Schema"):
        find_schema("broken")


def test_the_core_knows_nothing_of_pairs_of_map_and_image() -> None:
    core = Path(build_release.__code__.co_filename).parent
    forbidden = {"map", "visible", "homography", "tile", "pair", "pair_id", "point_id", "site_id", "inliers"}
    for path in core.glob("*.py"):
        tree = ast.parse(path.read_text())
        docstrings = {
            ast.get_docstring(node, clean=False)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        }
        for node in ast.walk(tree):
            words: set[str] = set()
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in docstrings:
                words = set(node.value.replace("{", " ").replace("}", " ").replace("/", " ").split())
            elif isinstance(node, ast.arg | ast.keyword):
                words = {str(node.arg)}
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                words = set(node.name.split("_"))
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                words = {node.id}
            assert not words & forbidden, f"{path.name}:{getattr(node, 'lineno', 0)}: {words & forbidden}"
