"""The dense classical matcher: correlation of oriented gradients by FFT, over rotations, scales and shifts."""

from matcher.dense.matcher import DenseMatcher

__all__ = ["DenseMatcher"]
