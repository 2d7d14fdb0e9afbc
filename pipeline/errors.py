"""Errors of the engine. Every message says what was wrong, where, and what to do."""


class PipelineError(Exception):
    """Base of everything the engine raises on purpose."""


class ConfigError(PipelineError):
    """A configuration file is missing, malformed or contradicts itself."""


class WorkspaceError(PipelineError):
    """The workspace cannot be used: locked by another run, unwritable, full, or of another version."""


class TransientError(PipelineError):
    """A unit failed for a reason that may pass (a 503, a time-out, a lost worker): the engine retries it."""


class PermanentError(PipelineError):
    """A unit failed for a reason that stays (a truncated raster, a missing CRS): retrying is useless until it is mended."""
