"""Map-visible remote sensing image pairs with ground truth: build, align, publish and benchmark them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {"load_matcher": "matcher", "open_dataset": "catalog.dataset"}

__all__ = ["load_matcher", "open_dataset"]


def __getattr__(name: str) -> Any:
    # Imported on first use: both bring PyTorch along, which the command line mostly does without.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
