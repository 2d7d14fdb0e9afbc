"""Errors of retrieval. Every message says what was wrong, where, and what to do."""

from __future__ import annotations

from typing import ClassVar


class RetrievalError(Exception):
    """Embeddings, a benchmark or a release cannot be used as asked. `exit_status` is that of a command it ends."""

    exit_status: ClassVar[int] = 2
