"""The embedded default's configuration, made smaller."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

CONFIGS = Path(__file__).resolve().parents[2] / "configs"

SMALL = {"points": 3, "sites_per_point": 1, "width": [1024, 1100], "height": [1024, 1100]}


def small_demo_config(folder: Path, **globe: Any) -> Path:
    """Write `demo.yaml` into a folder: configs/demo.yaml with three small sites, or with other values of `globe`."""
    config = yaml.safe_load((CONFIGS / "demo.yaml").read_text())
    config["stages"]["sample"]["globe"] |= SMALL | globe
    path = folder / "demo.yaml"
    path.write_text(yaml.safe_dump(config))
    return path
