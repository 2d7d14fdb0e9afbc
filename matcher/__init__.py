"""Image pair -> correspondences -> homography: MapGlue, the baselines it is measured against, and the robust fit."""
