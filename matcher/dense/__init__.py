"""Dense matching by correlation over rotations, scales and shifts, of oriented gradients or of learned feature maps."""
