"""The error of this room."""


class RasterError(Exception):
    """A raster cannot be read or placed. The message says which one, what is wrong with it and what to do."""
