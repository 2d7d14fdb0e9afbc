"""The shipped configurations for real services can be planned, and say what they would take, without a request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mapdata.cli import build_app

pytestmark = pytest.mark.integration

CONFIGS = Path(__file__).resolve().parents[3] / "configs"


def plan(config: Path) -> dict[str, Any]:
    result = CliRunner().invoke(build_app(), ["plan", str(config), "--json"])
    assert result.exit_code == 0, result.output
    stages = json.loads(result.stdout)["stages"]
    return {stage["stage"]: stage for stage in stages}


def test_every_stage_of_the_demo_says_what_it_costs(tmp_path: Path) -> None:
    stages = plan(CONFIGS / "demo.yaml")
    assert list(stages) == ["sample", "acquire", "align", "review", "tile", "clean", "split", "release"]
    for name, row in stages.items():
        assert row["units"] >= 1, name
        assert row["seconds"] >= 0, name
        assert None not in (row["requests"], row["downloaded"], row["written"]), name
    assert stages["acquire"]["seconds"] > 30, "drawing takes its time"
    trusting = tmp_path / "demo.yaml"
    text = (CONFIGS / "demo.yaml").read_text()
    trusting.write_text(text.replace("  release:", "  align: {method: georeference}\n  release:"))
    trusted = plan(trusting)["align"]
    assert trusted["units"] == stages["align"]["units"] == 15
    assert stages["align"]["seconds"] > 100 > 1 > trusted["seconds"] > 0


def test_the_full_size_is_planned_without_a_key_and_all_that_is_needed_is_named_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("MAPBOX_TOKEN", "MAPTILER_KEY"):
        monkeypatch.delenv(name, raising=False)
    costed = tmp_path / "full.yaml"
    text = (CONFIGS / "mapdata-233.yaml").read_text()
    costed.write_text(
        text.replace("provider: mapbox-satellite", "cost_per_1000: 0.5\n      provider: mapbox-satellite")
    )
    found = json.loads(CliRunner().invoke(build_app(), ["plan", str(costed), "--json"]).stdout)
    total, stages = found["total"], {stage["stage"]: stage for stage in found["stages"]}
    assert total["unknown"] == []
    assert total["requests"] == stages["acquire"]["requests"] > 2_000_000
    assert total["written"] == sum(stage["written"] for stage in found["stages"])
    assert total["cost"] == pytest.approx(stages["acquire"]["hosts"]["api.mapbox.com"]["requests"] / 2000)
    assert len(total["needs"]) == 4
    for words in ("permission", "MAPBOX_TOKEN", "MAPTILER_KEY"):
        assert any(words in need for need in total["needs"])


def test_the_full_size_with_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAPBOX_TOKEN", "token-4711")
    monkeypatch.setenv("MAPTILER_KEY", "key-4711")
    allowed = tmp_path / "full.yaml"
    text = (CONFIGS / "mapdata-233.yaml").read_text()
    allowed.write_text(text.replace('permission: ""', "permission: contract 17 of 2026"))
    stages = plan(allowed)
    amounts = stages["sample"]["propagated"]
    assert (amounts["points"], amounts["raster_pairs"]) == (233, 699)
    acquire = stages["acquire"]
    assert acquire["units"] == 2 * 699
    # 94 Gpx a side, in tiles of 512 and of 256 px whose resolution is within a factor of sqrt 2 of the wanted one
    pixels = amounts["pixels"]
    assert pixels / 512**2 / 2.2 < acquire["hosts"]["api.mapbox.com"]["requests"] < pixels / 512**2 * 2.2
    assert pixels / 256**2 / 2.2 < acquire["hosts"]["api.maptiler.com"]["requests"] < pixels / 256**2 * 2.2
    for load in acquire["hosts"].values():
        assert load["days"] == pytest.approx(load["requests"] / 10 / 86400)
    assert acquire["downloaded"] > 1e9
    output = CliRunner().invoke(build_app(), ["plan", str(allowed)]).output
    assert "at 10 a second" in output
    assert "4711" not in output


def test_the_open_services_need_neither_permission_nor_key() -> None:
    acquire = plan(CONFIGS / "open-data.yaml")["acquire"]
    assert set(acquire["hosts"]) == {"data.geopf.fr"}
    assert acquire["hosts"]["data.geopf.fr"]["requests"] == acquire["requests"]


def test_points_of_one_country_lie_there(tmp_path: Path) -> None:
    from mapdata.recipes import load_recipe
    from pipeline.stage import RunView

    (stage,) = (s for s in load_recipe(CONFIGS / "open-data.yaml").stages if s.name == "sample")
    (unit,) = stage.plan(RunView(tmp_path, 233, {}))
    result = stage.run(unit, tmp_path)
    assert result.data == {"points": 40, "sites": 120}
    sites = json.loads((tmp_path / "sample/sites.geojson").read_text())["features"]
    assert all(-6 < site["properties"]["lon"] < 10.5 for site in sites)
    assert all(40 < site["properties"]["lat"] < 52 for site in sites)


def test_the_landmarks_of_the_united_states() -> None:
    """A batch of 50 a call, a page an article, a category a landmark; photographs at 25 Mbit/s."""
    stages = plan(CONFIGS / "mmlandmarks-us.yaml")
    assert stages["resolve"]["units"] == 372
    assert stages["ground"]["units"] == stages["aerial"]["units"] == 18_557
    assert stages["text"]["hosts"]["en.wikipedia.org"]["requests"] == 18_557
    assert stages["resolve"]["hosts"]["www.wikidata.org"]["requests"] == 2 * 372
    ground = stages["ground"]["hosts"]
    assert ground["commons.wikimedia.org"]["requests"] >= 18_557
    files = ground["upload.wikimedia.org"]
    assert 0.9 * 64e9 < files["bytes"] < 1.1 * 64e9
    assert files["bytes_per_second"] == 25e6 / 8
    assert files["days"] * 24 == pytest.approx(5.7, rel=0.05)
    for stage in ("resolve", "ground", "text", "aerial", "index"):
        for host, load in stages[stage]["hosts"].items():
            assert load["requests"] > 0, host
            assert load["bytes"] > 0, host
            assert load["days"] > 0, host
    output = CliRunner().invoke(build_app(), ["plan", str(CONFIGS / "mmlandmarks-us.yaml")]).output
    assert "upload.wikimedia.org: 334,026 requests" in output
    assert "hours at 25 Mbit/s" in output
    # Two stages ask this host: it is told of once, with what it gives to both.
    images = [stages[stage]["hosts"]["naipeuwest.blob.core.windows.net"]["requests"] for stage in ("aerial", "index")]
    assert output.count("naipeuwest.blob.core.windows.net: ") == 1
    assert f"naipeuwest.blob.core.windows.net: {sum(images):,} requests" in output
