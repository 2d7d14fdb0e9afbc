"""Training of MapGlue: pairs made on the fly, losses, the loop, and validation on real pairs."""
