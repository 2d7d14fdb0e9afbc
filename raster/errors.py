"""The error of this room."""

from __future__ import annotations

from typing import ClassVar


class RasterError(Exception):
    """A raster cannot be read or placed. The message says which one, what is wrong with it and what to do.

    `exit_status` is that of a command which ends by it.
    """

    exit_status: ClassVar[int] = 2


class UntrustedError(RasterError):
    """A file of a release of somebody else is missing, damaged, or not what a release may hold."""
