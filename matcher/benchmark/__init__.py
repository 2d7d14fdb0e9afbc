"""The benchmark: image pairs with ground truth, levels of difficulty, metrics."""
