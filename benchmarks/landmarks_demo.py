"""The demo of landmarks: its time with 0, 1 and 2 workers, and whether it gives the same bytes, under kills as well.

    python benchmarks/landmarks_demo.py --json > benchmarks/results/landmarks_demo.json

Each run has a workspace of its own. The last one loses its driver or a worker at random moments, by SIGKILL, and is
started again. Files of the release and of its page are compared byte by byte with those of the run without workers.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from _machine import PROJECT, report

sys.path.insert(0, str(PROJECT / "tests" / "support"))

CONFIG = PROJECT / "configs" / "landmarks-demo.yaml"
DRIVER_KILLS, WORKER_KILLS, LONGEST_WAIT_S = 8, 14, 5.0


def verified(workspace: Path) -> bool:
    """Return whether `mapdata verify` finds no fault."""
    command = [sys.executable, "-m", "mapdata", "verify", "--workspace", str(workspace)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def main() -> None:
    """Measure and print."""
    from kills import run_under_kills
    from runs import published, start_run

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    figures: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(sys.stderr):
        workspaces = {f"{workers} workers": Path(folder, f"workers-{workers}") for workers in (0, 1, 2)}
        for workers, (name, workspace) in enumerate(workspaces.items()):
            started = time.monotonic()
            if start_run(CONFIG, workspace, workers).wait() != 0:
                raise SystemExit(f"the run with {name} failed")
            figures[name] = {"seconds": round(time.monotonic() - started, 1), "verified": verified(workspace)}
        expected = published(workspaces["0 workers"])
        killed = Path(folder, "killed")
        kills = run_under_kills(
            lambda: start_run(CONFIG, killed, 2), killed, DRIVER_KILLS, WORKER_KILLS, LONGEST_WAIT_S
        )
        figures["under kills"] = {"kills": kills, "verified": verified(killed)}
        for name, workspace in {**workspaces, "under kills": killed}.items():
            figures[name]["same_bytes"] = published(workspace) == expected
    workload = {"config": CONFIG.name, "files": len(expected), "bytes": sum(map(len, expected.values()))}
    report("landmarks_demo", workload, figures, as_json=arguments.json)


if __name__ == "__main__":
    main()
