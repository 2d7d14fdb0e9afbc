"""Errors of the matchers. Every message says what was wrong, where, and what to do."""


class MatcherError(Exception):
    """Base of everything the matchers raise on purpose; raised itself when a matcher breaks its contract."""


class InputError(MatcherError):
    """An image cannot be matched: wrong type, shape or values."""


class WeightsError(MatcherError):
    """A weights file is missing, corrupt or of another network."""


class MatcherUnavailable(MatcherError):
    """The matcher does not exist, or a package that it needs is not installed."""
