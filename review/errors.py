"""Errors of the review page. Every message says what was wrong, where, and what to do."""

from __future__ import annotations

from typing import ClassVar


class ReviewError(Exception):
    """The page cannot be served: another server has the workspace, or the port is taken."""

    exit_status: ClassVar[int] = 2


class Refused(Exception):
    """What a client asked for is not done; the answer has the HTTP status and says why."""

    def __init__(self, status: int, message: str, **more: object) -> None:
        super().__init__(message)
        self.status = status
        self.more = more
