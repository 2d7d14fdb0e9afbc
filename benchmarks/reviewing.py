"""The review page in use: points, refused sites of the demo, many edits, two people, many runs.

    python benchmarks/reviewing.py --json [--part points --part settling --part edits --part browsers --part runs]
        [--demo WORKSPACE]

All but `runs` drive a headless Chromium. `points`: twelve points placed and dragged at every zoom. `settling`: each
site of the demo that the run refused is carried from the page to the release, by twelve points that are off by a
person's half a pixel; the demo is run first, which takes its time, or a copy of a finished run's workspace is taken.
`edits`: random edits, undos, reloads and a kill of the server. `browsers`: two people on one raster pair. `runs`: runs
started while points are saved without a pause.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from _machine import PROJECT, report

sys.path.insert(0, str(PROJECT / "tests" / "support"))

POINTS, NOISE_PX = 12, 0.5
EDITS, INTERLEAVED, RUNS = 200, 100, 50
DEMO = PROJECT / "configs" / "demo.yaml"


def _small_workspace(folder: Path) -> tuple[Path, Path]:
    from generated_run import run_config, write_config, write_rasters

    if not (folder / "run.yaml").exists():
        write_rasters(folder)
        run_config(write_config(folder), folder / "work")
    return folder / "work", folder / "run.yaml"


def points(folder: Path) -> dict[str, Any]:
    """Place and drag points at every zoom."""
    from review_browser import browser, enter, open_site
    from review_scenarios import ZOOMS, placed_and_dragged
    from review_server import serving

    workspace, _ = _small_workspace(folder)
    errors = {}
    for resolution in ZOOMS:
        shutil.copytree(workspace, folder / "points")
        with serving(folder / "points") as server, browser() as started:
            watched = enter(started, server.address)
            open_site(watched.page, "001/1")
            rows = placed_and_dragged(watched.page, folder / "points", "001/1", POINTS * [resolution], seed=5)
            assert (watched.complaints, watched.elsewhere) == ([], [])
        errors[f"{1 / resolution:g}x"] = {
            "points": len(rows),
            "worst_raster_px": round(max(error for _, error in rows), 4),
            "worst_screen_px": round(max(error for _, error in rows) / resolution, 4),
        }
        shutil.rmtree(folder / "points")
    return errors


def settling(folder: Path, demo: Path | None = None) -> dict[str, Any]:
    """Carry each refused site of the demo from the page to the release.

    Args:
        folder: For the workspace.
        demo: Workspace of a finished run of the demo, which is copied; None runs it.

    Returns:
        See `refused_sites_to_release`.
    """
    from generated_run import run_config
    from review_browser import browser
    from review_scenarios import refused_sites_to_release

    workspace = folder / "demo"
    if demo is not None:
        shutil.copytree(demo, workspace)
    run_config(DEMO, workspace)
    with browser() as started:
        return refused_sites_to_release(started, DEMO, workspace, NOISE_PX)


def edits(folder: Path) -> dict[str, Any]:
    """Edit at random; screen, disk and journal must agree."""
    from review_browser import browser
    from review_scenarios import random_edits
    from review_server import serving

    workspace, _ = _small_workspace(folder)
    with serving(workspace) as server, browser() as started:
        random_edits(started, server, "001/1", EDITS, seed=3)
    return {"random_edits": EDITS, "screen_disk_journal_agree": True}


def browsers(folder: Path) -> dict[str, Any]:
    """Edit in two browsers."""
    from review_browser import browser
    from review_scenarios import two_browsers
    from review_server import serving

    workspace, _ = _small_workspace(folder)
    with serving(workspace) as server, browser() as started:
        conflicts = two_browsers(started, server, "002/1", INTERLEAVED, seed=4)
    return {"interleaved_edits": INTERLEAVED, "lost_points": 0, "conflicts": conflicts}


def runs(folder: Path) -> dict[str, Any]:
    """Start runs beside saves."""
    from review_scenarios import runs_beside_saves
    from review_server import Client, serving

    workspace, config = _small_workspace(folder)
    with serving(workspace) as server:
        saves = runs_beside_saves(Client(server.address), workspace, config, RUNS)
    return {"runs": RUNS, "failed_runs": 0, "saves": saves, "lost_saves": 0}


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts: dict[str, Callable[[Path], dict[str, Any]]] = {
        part.__name__: part for part in (points, settling, edits, browsers, runs)
    }
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--part", action="append", choices=list(parts), help="only this; several times")
    parser.add_argument("--demo", type=Path, help="workspace of a finished run of configs/demo.yaml, for `settling`")
    given = parser.parse_args()
    parts["settling"] = partial(settling, demo=given.demo)
    with tempfile.TemporaryDirectory() as folder:
        figures = {name: parts[name](Path(folder)) for name in given.part or parts}
    workload = {"points_at_a_zoom": POINTS, "noise_px": NOISE_PX, "edits": EDITS, "runs": RUNS}
    report("reviewing", workload, figures, as_json=given.json)


if __name__ == "__main__":
    main()
