"""Image pair -> correspondences -> homography: MapGlue, the baselines it is measured against, training, benchmark."""

from matcher.registry import load_matcher

__all__ = ["load_matcher"]
