"""Errors of the matchers. Every message says what was wrong, where, and what to do."""

from __future__ import annotations

from typing import ClassVar


class MatcherError(Exception):
    """Base of everything the matchers raise on purpose; raised itself when a matcher breaks its contract.

    `exit_status` is that of a command which ends by it.
    """

    exit_status: ClassVar[int] = 1


class InputError(MatcherError):
    """An image cannot be matched: wrong type, shape or values."""

    exit_status = 2


class WeightsError(MatcherError):
    """A weights file is missing, corrupt or of another network."""


class MatcherUnavailable(MatcherError):
    """The matcher does not exist, or a package that it needs is not installed."""

    exit_status = 2
