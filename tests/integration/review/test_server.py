"""The server without a browser: tiles, pairs as they will be cut, saving beside runs, the gallery."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from generated_run import run_config, write_config, write_rasters
from review_scenarios import runs_beside_saves
from review_server import Client, Server, serving, tie_point

from catalog.checksums import digest

pytestmark = pytest.mark.integration


@pytest.fixture
def server(workspace: Path) -> Iterator[Server]:
    with serving(workspace) as started:
        yield started


@pytest.fixture
def client(server: Server) -> Client:
    return Client(server.address)


def picture(data: bytes) -> Any:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def grid_of_points(count: int, shift: float = 0.0, side: int = 900) -> list[Any]:
    """Return points all over the rasters, whose sides lie `shift` px apart."""
    steps = np.linspace(0.1 * side, 0.9 * side, count)
    return [
        tie_point(f"p{i}{j}", float(x), float(y), float(x) + shift, float(y) - shift)
        for i, x in enumerate(steps)
        for j, y in enumerate(steps)
    ]


def test_tiles_show_the_raster_and_nothing_under_rasters_changes(client: Client, workspace: Path) -> None:
    files = sorted((workspace / "rasters").rglob("*"))
    before = {path: digest(path) for path in files if path.is_file()}
    site = client.get("/api/sites/001/1")
    with rasterio.open(workspace / "rasters/001/1/visible.tif") as raster:
        pixels = raster.read().transpose(1, 2, 0)
    address = f"/tiles/001/1/visible/{site['sides']['visible']['digest']}"
    assert (picture(client.get(f"{address}/0/0/0")) == pixels[:512, :512]).all()
    assert (picture(client.get(f"{address}/0/1/1"))[:388, :388] == pixels[512:, 512:]).all()
    half = picture(client.get(f"{address}/1/0/0"))[:450, :450].astype(float)
    wanted = pixels.reshape(450, 2, 450, 2, 3).mean(axis=(1, 3))
    assert np.abs(half - wanted).mean() < 4
    assert np.abs(half.mean(axis=(0, 1)) - wanted.mean(axis=(0, 1))).max() < 1
    edges = cv2.imdecode(np.frombuffer(client.get(f"{address}/0/0/0?look=edges"), np.uint8), cv2.IMREAD_UNCHANGED)
    assert edges.shape == (512, 512, 4)
    assert 0 < (edges[..., 3] > 0).mean() < 0.5
    assert {path: digest(path) for path in sorted((workspace / "rasters").rglob("*")) if path.is_file()} == before


def test_as_it_will_be_cut_is_what_is_cut(client: Client, workspace: Path) -> None:
    cut = client.get("/api/sites/002/1")["cut"]
    assert (cut["size"], cut["columns"], cut["rows"]) == (256, 3, 3)
    for row in range(3):
        for column in range(3):
            for side in ("map", "visible"):
                made = client.get(f"/cut/002/1/{side}/{column}/{row}")
                stored = workspace / f"tiles/002/1/{side}/002_1_{row:04d}_{column:04d}.png"
                assert (picture(made) == picture(stored.read_bytes())).all()


def test_as_it_will_be_cut_on_another_grid(resampled: Path) -> None:
    with serving(resampled, "--read-only") as server:
        client = Client(server.address)
        cut = client.get("/api/sites/001/1")["cut"]
        assert (cut["resampled"], cut["stride"], cut["columns"], cut["rows"]) == (True, 150, 3, 3)
        for side in ("map", "visible"):
            stored = resampled / f"tiles/001/1/{side}/001_1_0001_0002.png"
            assert (picture(client.get(f"/cut/001/1/{side}/2/1")) == picture(stored.read_bytes())).all()


def test_points_that_a_run_will_not_use_change_nothing_of_what_is_cut(client: Client, workspace: Path) -> None:
    site = client.get("/api/sites/002/1")
    points = {"points": grid_of_points(4, 5.0)}
    _, said = client.ask("PUT", "/api/sites/002/1/points", points, site["tag"])
    assert said["cut_by"] == "run"  # by georeference
    stored = workspace / "tiles/002/1/map/002_1_0001_0001.png"
    assert (picture(client.get("/cut/002/1/map/1/1")) == picture(stored.read_bytes())).all()


def test_what_the_tests_refuse_is_carried_by_points_as_was_tried_before(refused: Path, tmp_path: Path) -> None:
    """From the page to the release: points of two people, 0.6 px apart, tried, accepted, run; as shown, and by whom."""
    workspace, config = tmp_path / "work", refused / "run.yaml"
    shutil.copytree(refused / "work", workspace)
    with serving(workspace) as server:
        client = Client(server.address)
        site = client.get("/api/sites/001/1")
        assert site["state"] == "rejected"
        assert site["cut_by"] == "run"
        assert client.get("/api/sites")["rows"][0]["status"] == "needs-manual"
        points = grid_of_points(4, 2.25, 520)
        for point in points:
            if (int(point["name"][1]) + int(point["name"][2])) % 2:
                point |= {"operator": "Bob", "visible_x": point["visible_x"] + 0.6}
        _, saved = client.ask("PUT", "/api/sites/001/1/points", {"points": points}, site["tag"])
        assert saved["cut_by"] == "points"
        status, tried = client.ask("POST", "/api/sites/001/1/align")
        assert (status, tried["state"]) == (202, "running")
        while tried["state"] == "running":
            time.sleep(0.5)
            tried = client.get("/api/sites/001/1/align")
        assert (tried["alignment"]["verdict"], tried["alignment"]["method"]) == ("accepted", "manual")
        again = client.get("/api/sites/001/1")
        assert (again["alignment"], again["cut_by"]) == (site["alignment"], "trial")
        status, said = client.settle("001/1", {"verdict": "accepted"}, saved["tag"])
        assert status == 200, said
        made = {side: client.get(f"/cut/001/1/{side}/1/1") for side in ("map", "visible")}
    done = run_config(config, workspace)
    assert {unit for unit in done if unit.split()[0] in ("align", "review")} == {"align 001/1", "review 001/1"}
    assert digest(workspace / "alignment/001/1/alignment.json") == tried["digest"]
    for side, data in made.items():
        stored = workspace / f"tiles/001/1/{side}/001_1_0001_0001.png"
        assert (picture(data) == picture(stored.read_bytes())).all()
    rows = manifest(workspace)
    assert {(row["method"], row["review"], row["reviewed_by"]) for row in rows} == {("manual", "accepted", "Ada")}
    assert {tuple(row["operators"]) for row in rows} == {("Ada", "Bob")}
    assert [row["inter_operator_px"] for row in rows] == pytest.approx([0.6] * len(rows), abs=1e-3)
    assert [error for row in rows for error in row["operator_px"]] == pytest.approx([0.3] * 2 * len(rows), abs=0.05)
    card = (workspace / "release/README.md").read_text()
    assert "| Ada | 1 | 0.3" in card
    assert "transformations that their points imply lie 0.60 px apart" in card


def manifest(workspace: Path) -> list[dict[str, Any]]:
    return list(pq.read_table(workspace / "release/manifest.parquet").to_pylist())


def test_a_verdict_is_on_the_alignment_that_was_seen(client: Client, workspace: Path) -> None:
    site = client.get("/api/sites/001/1")
    alignment = workspace / "alignment/001/1/alignment.json"
    alignment.write_bytes(alignment.read_bytes() + b"\n")  # a run made another meanwhile
    path, rejected = "/api/sites/001/1/verdict", {"verdict": "rejected", "reason": "poor map"}
    for seen in ({}, {"alignment": site["alignment"]}):
        status, said = client.ask("PUT", path, {"verdict": rejected} | seen, site["tag"])
        assert (status, "aligned anew" in said["error"]) == (412, True)
    assert not (workspace / "verdicts/001/1.json").exists()
    assert client.settle("001/1", rejected, site["tag"])[0] == 200
    verdict = json.loads((workspace / "verdicts/001/1.json").read_text())
    assert verdict["alignment"] == digest(alignment)


def test_verdicts_on_pairs_are_on_the_tiles_that_were_shown(client: Client, workspace: Path) -> None:
    pairs = client.get("/api/pairs/ids?site=001/1")
    row = client.get("/api/pairs/rows?site=001/1&count=1")[0]
    assert pairs[row["pair_id"]] == row["seen"]
    status, said = client.ask("PUT", "/api/pairs", {"pairs": pairs | {row["pair_id"]: "0-0"}, "verdict": "keep"})
    assert (status, "1 pairs were cut anew" in said["error"]) == (412, True)
    assert not (workspace / "verdicts/001/1.tiles.csv").exists()


def test_points_of_other_software_can_be_saved_whatever_their_names(client: Client, workspace: Path) -> None:
    path = workspace / "tiepoints/001/1.csv"
    path.parent.mkdir(parents=True)
    rows = [f"{name},{x},20,{x},20" for name, x in (("a" * 300, 10), ("a" * 300, 30), ("  two   words ", 50), ("", 70))]
    path.write_text("\n".join(["name,map_x,map_y,visible_x,visible_y", *rows, '"#1",90,20,90,20']))
    site = client.get("/api/sites/001/1")
    points = site["document"]["points"]
    assert len({point["name"] for point in points}) == 5
    points[0]["map_x"] += 1
    status, said = client.ask("PUT", "/api/sites/001/1/points", {"points": points}, site["tag"])
    assert (status, said["document"]["points"]) == (200, points)
    assert client.get("/api/sites/001/1/tag")["tag"] == said["tag"]


def test_a_failure_of_the_server_is_an_answer(client: Client, workspace: Path) -> None:
    (workspace / "alignment/001/1/alignment.parquet").write_bytes(b"damaged")
    status, said = client.ask("GET", "/api/sites/001/1")
    assert status == 500
    assert "the server failed" in said["error"]


def test_an_acceptance_against_the_tests_needs_an_override_with_a_note(refused: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "work"
    shutil.copytree(refused / "work", workspace)
    with serving(workspace) as server:
        client = Client(server.address)
        tag = client.get("/api/sites/001/1")["tag"]
        status, said = client.settle("001/1", {"verdict": "accepted"}, tag)
        assert status == 409
        assert said["failed"]
        assert client.settle("001/1", {"verdict": "accepted", "override": True}, tag)[0] == 422
        given = {"verdict": "accepted", "override": True, "note": "georeference surveyed"}
        assert client.settle("001/1", given, tag)[0] == 200
    assert {unit.split()[0] for unit in run_config(refused / "run.yaml", workspace)} == {
        *("review", "tile", "clean", "split", "release")
    }
    assert {(row["review"], row["reviewed_by"]) for row in manifest(workspace)} == {("override", "Ada")}


def test_saves_beside_starting_runs_are_neither_lost_nor_in_the_way(
    client: Client, server: Server, config: Path
) -> None:
    runs_beside_saves(client, server.workspace, config, runs=6)


def test_history_goes_back_to_any_state(client: Client, workspace: Path) -> None:
    site = client.get("/api/sites/003/1")
    tag = site["tag"]
    for count in (2, 3):
        _, said = client.ask("PUT", "/api/sites/003/1/points", {"points": grid_of_points(count)}, tag)
        tag = said["tag"]
    _, said = client.settle("003/1", {"verdict": "accepted"}, tag)
    entries = client.get("/api/sites/003/1/history")
    assert [(entry["action"], entry["operator"]) for entry in entries] == [
        ("verdict", "Ada"),
        ("points", "Ada"),
        ("points", "Ada"),
        ("outside", ""),
    ]
    status, back = client.ask("POST", "/api/sites/003/1/revert", {"number": entries[2]["number"]}, said["tag"])
    assert status == 200
    assert len(back["document"]["points"]) == 4
    assert not (workspace / "verdicts/003/1.json").exists()
    status, back = client.ask("POST", "/api/sites/003/1/revert", {"number": entries[3]["number"]}, back["tag"])
    assert back["tag"] == site["tag"]
    assert not (workspace / "tiepoints/003/1.csv").exists()
    assert client.ask("POST", "/api/sites/001/1/revert", {"number": entries[3]["number"]}, site["tag"])[0] == 404


def test_two_saves_of_one_state_do_not_both_win(client: Client) -> None:
    tag = client.get("/api/sites/001/1")["tag"]
    first = client.ask("PUT", "/api/sites/001/1/points", {"points": grid_of_points(2)}, tag)
    second, said = client.ask("PUT", "/api/sites/001/1/points", {"points": grid_of_points(3)}, tag)
    assert (first[0], second) == (200, 412)
    assert said["tag"] == first[1]["tag"]
    assert len(said["document"]["points"]) == 4


def test_a_kill_between_journal_and_files_is_made_good(workspace: Path) -> None:
    with serving(workspace) as server:
        client = Client(server.address)
        tag = client.get("/api/sites/001/1")["tag"]
        client.ask("PUT", "/api/sites/001/1/points", {"points": grid_of_points(2)}, tag)
        tag = client.get("/api/sites/001/1")["tag"]
        before = (workspace / "tiepoints/001/1.csv").read_bytes()
        client.ask("PUT", "/api/sites/001/1/points", {"points": grid_of_points(3)}, tag)
        after = (workspace / "tiepoints/001/1.csv").read_bytes()
        server.kill()
    (workspace / "tiepoints/001/1.csv").write_bytes(before)
    (workspace / "tiepoints/001/.saving-abc-1.csv").write_bytes(b"half")
    journal = workspace / "review/journal.jsonl"
    with journal.open("ab") as file:
        file.write(b'{"number": 99, "cut off')
    with serving(workspace) as server:
        Client(server.address)
        assert (workspace / "tiepoints/001/1.csv").read_bytes() == after
        assert not (workspace / "tiepoints/001/.saving-abc-1.csv").exists()
        assert all(json.loads(line) for line in journal.read_text().splitlines())


def test_a_proposed_place_is_where_the_windows_correlate(client: Client) -> None:
    point = tie_point("a", 450.0, 450.0, 455.5, 446.25)
    status, said = client.ask("POST", "/api/sites/001/1/propose", {"point": point, "points": []})
    assert status == 200
    assert np.hypot(said["visible"][0] - 450, said["visible"][1] - 450) < 1
    assert 0 < said["score"] <= 1
    assert "visible_x" not in json.dumps(client.get("/api/sites/001/1")["document"])


def test_the_gallery_finds_by_every_filter(client: Client) -> None:
    assert client.get("/api/pairs")["total"] == 27
    assert client.get("/api/pairs?site=003/1")["found"] == 9
    assert client.get("/api/pairs?verdict=rejected")["found"] == 0
    rows = client.get("/api/pairs/rows?statistic=map_edges&order=descending&count=27")
    edges = [row["map_edges"] for row in rows]
    assert edges == sorted(edges, reverse=True)
    middle = edges[13]
    assert client.get(f"/api/pairs?statistic=map_edges&low={middle}")["found"] == sum(edge >= middle for edge in edges)
    found = client.get("/api/pairs/ids?site=001/1")
    two, others = dict(list(found.items())[:2]), dict(list(found.items())[1:3])
    assert client.ask("PUT", "/api/pairs", {"pairs": two, "verdict": "reject", "reason": "poor map"})[0] == 200
    assert client.ask("PUT", "/api/pairs", {"pairs": others, "verdict": "keep"})[0] == 200
    assert client.get("/api/pairs?person=reject")["found"] == 1
    assert client.get("/api/pairs?person=keep")["found"] == 2
    assert client.get("/api/pairs?person=none")["found"] == 24
    assert client.ask("PUT", "/api/pairs", {"pairs": found, "verdict": None})[0] == 200
    assert client.get("/api/pairs?person=any")["found"] == 0
    assert client.ask("GET", "/api/pairs?statistic=nothing")[0] == 422


def test_the_gallery_reads_arrays_like_files(tmp_path: Path) -> None:
    write_rasters(tmp_path, points=1)
    config = write_config(tmp_path, points=1, tiles="none", formats="[zarr]")
    run_config(config, tmp_path / "work")
    with serving(tmp_path / "work") as server:
        client = Client(server.address)
        with rasterio.open(tmp_path / "001_visible.tif") as raster:
            pixels = raster.read().transpose(1, 2, 0)
        shown = picture(client.get("/pair/001_1_0001_0002/visible"))
        assert (shown == pixels[256:512, 512:768]).all()


def test_verdicts_on_pairs_go_back_and_forth_unless_somebody_judged_since(client: Client, workspace: Path) -> None:
    pairs = {}
    for site in ("001/1", "002/1"):
        pairs |= dict(list(client.get(f"/api/pairs/ids?site={site}").items())[:2])
    path = workspace / "verdicts/001/1.tiles.csv"
    _, first = client.ask("PUT", "/api/pairs", {"pairs": pairs, "verdict": "reject", "reason": "poor map"})
    rejected = path.read_bytes()
    first_pair = dict(list(pairs.items())[:1])
    _, second = client.ask("PUT", "/api/pairs", {"pairs": first_pair, "verdict": "keep"})
    assert [step["site"] for step in first["steps"]] == ["001/1", "002/1"]
    for said in (second, first):
        assert client.ask("POST", "/api/pairs/revert", {"steps": said["steps"]})[0] == 200
    assert client.get("/api/pairs?person=any")["found"] == 0
    assert not path.exists()
    forth = [step | {"back_to": step["present"], "present": step["back_to"]} for step in first["steps"]]
    assert client.ask("POST", "/api/pairs/revert", {"steps": forth})[0] == 200
    assert path.read_bytes() == rejected
    status, said = client.ask("POST", "/api/pairs/revert", {"steps": second["steps"]})
    assert status == 409
    assert "001/1" in said["error"]
    assert path.read_bytes() == rejected
    whats = [entry["summary"] for entry in client.get("/api/sites/001/1/history")]
    assert whats[-3:] == ["keep 1 pairs", "reject 2 pairs: poor map", "before the first change here"]
    foreign = [first["steps"][0] | {"site": "003/1"}]
    assert client.ask("POST", "/api/pairs/revert", {"steps": foreign})[0] == 404


def test_presence_says_who_else_is_where(client: Client, server: Server) -> None:
    _, said = client.ask("POST", "/api/invite", {"operator": "Bob"})
    other = Client(server.origin + said["path"])
    assert other.get("/api/about?at=002/1")["operator"] == "Bob"
    assert client.get("/api/about?at=001/1")["present"] == [{"operator": "Bob", "site": "002/1"}]
    other.get("/api/about")
    assert client.get("/api/about")["present"] == [{"operator": "Bob", "site": ""}]
    other.get("/api/about?at=../../etc")
    assert client.get("/api/about")["present"] == [{"operator": "Bob", "site": ""}]
