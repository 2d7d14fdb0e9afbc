"""What a verdict makes run again, and what it does not; what the release then says."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from generated_run import run_config

from catalog.checksums import digest, files_below
from catalog.verify import verify_release
from pipeline.ledger import Ledger
from stages.review.verdicts import (
    SiteVerdict,
    TileVerdict,
    site_file,
    tiles_file,
    write_site_verdict,
    write_tile_verdicts,
)

pytestmark = pytest.mark.integration


def contents(release: Path) -> dict[str, str]:
    return {str(path): digest(release / path) for path in files_below(release)}


def manifest(workspace: Path) -> list[dict[str, object]]:
    return pq.read_table(workspace / "release/manifest.parquet").to_pylist()


def verdict(workspace: Path, name: str, **given: object) -> SiteVerdict:
    judged = {"alignment": digest(workspace / "alignment" / name / "alignment.json")}
    said = {"verdict": "rejected", "operator": "Ada", "date": "2026-11-29T08:00:00+00:00", "reason": "wrong place"}
    return SiteVerdict(**{**said, **judged, **given})  # type: ignore[arg-type]


def test_a_rejection_runs_three_units_and_is_taken_back_to_the_byte(workspace: Path, config: Path) -> None:
    assert run_config(config, workspace) == set()
    before = contents(workspace / "release")
    write_site_verdict(site_file(workspace, "002/1"), verdict(workspace, "002/1", note="the river"))
    assert run_config(config, workspace) == {"review 002/1", "clean pairs", "release release"}
    rows = manifest(workspace)
    of_site = [row for row in rows if row["point_id"] == "002"]
    assert len(of_site) == 9
    for row in of_site:
        assert row["verdict"] == "rejected"
        assert row["split"] is None
        assert row["reasons"] == ["rejected by Ada: wrong place (the river)"]
        assert (row["review"], row["reviewed_by"]) == ("rejected", "Ada")
    assert {row["verdict"] for row in rows if row["point_id"] != "002"} == {"accepted"}
    assert not list((workspace / "release/MapData/002").rglob("*.png"))
    assert verify_release(workspace / "release") == []
    site_file(workspace, "002/1").unlink()
    assert run_config(config, workspace) == {"review 002/1", "clean pairs", "release release"}
    assert contents(workspace / "release") == before


def test_verdicts_on_pairs_run_clean_and_release_only(workspace: Path, config: Path) -> None:
    before = contents(workspace / "release")
    rows = manifest(workspace)
    ten = [row for row in rows if row["point_id"] in ("001", "003")][:10]
    for name in ("001/1", "003/1"):
        said = [
            TileVerdict(
                str(row["pair_id"]),
                "reject",
                "cloud or snow",
                "Bob",
                "2026-11-29",
                str(row["map_digest"]),
                str(row["visible_digest"]),
            )
            for row in ten
            if row["point_id"] == name[:3]
        ]
        write_tile_verdicts(tiles_file(workspace, name), said)
    assert run_config(config, workspace) == {"clean pairs", "release release"}
    rejected = {row["pair_id"]: row for row in manifest(workspace) if row["verdict"] == "rejected"}
    assert rejected.keys() == {row["pair_id"] for row in ten}
    assert {(row["review"], row["reviewed_by"]) for row in rejected.values()} == {("reject", "Bob")}
    assert {reason for row in rejected.values() for reason in row["reasons"]} == {"rejected by Bob: cloud or snow"}
    for name in ("001/1", "003/1"):
        tiles_file(workspace, name).unlink()
    run_config(config, workspace)
    assert contents(workspace / "release") == before


def test_a_pair_is_kept_against_a_rule_until_its_tiles_change(workspace: Path, config: Path, tmp_path: Path) -> None:
    strict = tmp_path / "strict.yaml"
    tables = [pq.read_table(path) for path in sorted((workspace / "tiles").rglob("*.parquet"))]
    spread = sorted(value for table in tables for value in table["visible_std"].to_pylist())
    limits = f"  clean: {{thresholds: {{visible_std: {spread[9]}}}}}\n  split:"
    strict.write_text(config.read_text().replace("  split:", limits).replace('path: "', f'path: "{config.parent}/'))
    strict.write_text(strict.read_text().replace('raster: "', f'raster: "{config.parent}/'))
    run_config(strict, workspace)
    rejected = [row for row in manifest(workspace) if row["verdict"] == "rejected"]
    assert len(rejected) == 9
    row = rejected[4]
    digests = str(row["map_digest"]), str(row["visible_digest"])
    kept = TileVerdict(str(row["pair_id"]), "keep", "", "Cy", "2026-11-29", *digests)
    path = tiles_file(workspace, f"{row['point_id']}/{row['site_id']}")
    write_tile_verdicts(path, [kept])
    assert run_config(strict, workspace) == {"clean pairs", "release release"}
    accepted = {row["pair_id"]: row for row in manifest(workspace) if row["verdict"] == "accepted"}
    assert len(accepted) == 19
    found = accepted[kept.pair_id]
    assert (found["review"], found["reviewed_by"]) == ("keep", "Cy")
    write_tile_verdicts(path, [TileVerdict(kept.pair_id, "keep", "", "Cy", "2026-11-29", "0" * 64, digests[1])])
    run_config(strict, workspace)
    again = {row["pair_id"]: row["verdict"] for row in manifest(workspace)}
    assert again[kept.pair_id] == "rejected"


def test_a_verdict_that_cannot_be_read_lets_nothing_through(workspace: Path, config: Path) -> None:
    path = site_file(workspace, "001/1")
    path.parent.mkdir(parents=True)
    path.write_text('{"verdict": "rejected"')
    with pytest.raises(AssertionError, match=r"001/1\.json: not a verdict"):
        run_config(config, workspace)
    assert not [row for row in manifest(workspace) if row["point_id"] == "001"]


def test_a_verdict_lapses_visibly_with_what_it_judged(workspace: Path, config: Path) -> None:
    write_site_verdict(site_file(workspace, "003/1"), verdict(workspace, "003/1", alignment="f" * 64))
    assert run_config(config, workspace) == {"review 003/1"}
    with Ledger(workspace / "engine/ledger.sqlite", read_only=True) as ledger:
        said = ledger.records("review")["003/1"].reason
    assert said.startswith("the verdict of Ada (rejected, ")
    assert said.endswith("lapsed: what it judged changed")
    rows = [row for row in manifest(workspace) if row["point_id"] == "003"]
    assert {row["verdict"] for row in rows} == {"accepted"}
    assert {row["review"] for row in rows} == {None}
