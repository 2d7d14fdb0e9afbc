"""Image pair -> correspondences -> homography: MapGlue, the baselines it is measured against, and the robust fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matcher.registry import load_matcher

__all__ = ["load_matcher"]


def __getattr__(name: str) -> Any:
    # On first use: it brings PyTorch along, which reading pairs, fitting and drawing do without.
    if name == "load_matcher":
        from matcher.registry import load_matcher

        return load_matcher
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
