"""Errors of the catalog. Every message says what was wrong, where, and what to do."""

from __future__ import annotations

from typing import ClassVar


class CatalogError(Exception):
    """A release cannot be built or read as asked. `exit_status` is that of a command which ends by it."""

    exit_status: ClassVar[int] = 1
