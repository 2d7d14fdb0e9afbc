"""The stage `align`, by structure, through the command line: the same bytes for any number of workers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from mapdata.cli import build_app

pytestmark = pytest.mark.integration

CONFIGS = Path(__file__).resolve().parents[3] / "configs"


def run(config: Path, workspace: Path, workers: int, *stages: str) -> None:
    only = [part for stage in stages for part in ("--only", stage)]
    command = ["run", str(config), "--workspace", str(workspace), "--workers", str(workers), *only]
    ran = CliRunner().invoke(build_app(), command)
    assert ran.exit_code == 0, ran.output


def test_any_number_of_workers_finds_the_same(tmp_path: Path) -> None:
    config = yaml.safe_load((CONFIGS / "demo.yaml").read_text())
    size = {"points": 2, "sites_per_point": 1, "width": [704, 720], "height": [704, 720]}
    config["stages"]["sample"]["globe"] |= size
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(config))
    run(path, tmp_path / "drawn", 0, "sample", "acquire")
    found = []
    for workers in (0, 1, 2):
        workspace = tmp_path / f"with {workers}"
        shutil.copytree(tmp_path / "drawn", workspace)
        run(path, workspace, workers, "align")
        files = sorted((workspace / "alignment").glob("*/*/*.*"))
        assert len(files) == 2 * 4
        found.append([file.read_bytes() for file in files])
        for file in files:
            if file.name == "alignment.json":
                content = json.loads(file.read_text())
                table = pq.read_table(file.with_suffix(".parquet")).to_pylist()
                assert sum(row["used"] for row in table) == content["inliers"]
                assert all(row["residual_m"] is not None for row in table)
    assert found[0] == found[1] == found[2]
