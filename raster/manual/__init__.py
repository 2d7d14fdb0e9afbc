"""Hand-placed correspondences: the transformation that they support, and whether it may be trusted by itself."""
