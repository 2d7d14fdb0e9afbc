"""The sites that the small demo refuses, carried from the review page in a browser to the release."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from review_browser import browser
from review_scenarios import refused_sites, refused_sites_to_release

pytestmark = pytest.mark.end_to_end


def test_a_refused_site_reaches_the_release_by_a_persons_points(small_demo: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "work"
    shutil.copytree(small_demo / "work", workspace)
    refused = refused_sites(workspace)
    assert refused
    with browser() as chrome:
        carried = refused_sites_to_release(chrome, small_demo / "demo.yaml", workspace, noise_px=0.5)
    assert carried.keys() == {*refused}
    for name, found in carried.items():
        again = {unit.partition(" ")[::2] for unit in found["units_run_again"]}
        whole = {stage for stage, unit in again if not f"{unit}/".startswith(f"{name}/")}
        assert whole == {"clean", "split", "release"}
        assert {stage for stage, _ in again} - whole == {"align", "review", "tile"}
        assert found["verdict"] == "accepted"
        assert found["faults_of_the_release"] == []
        assert found["pairs"] > 0
        assert found["review"] == ["accepted by Ada"]
        assert found["corners_px"] < 2
