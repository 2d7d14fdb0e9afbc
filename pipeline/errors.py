"""Errors of the engine. Every message says what was wrong, where, and what to do."""


class PipelineError(Exception):
    """Base of everything the engine raises on purpose."""


class ConfigError(PipelineError):
    """A configuration file is missing, malformed or contradicts itself."""


class WorkspaceError(PipelineError):
    """The workspace cannot be used: locked by another run, unwritable, missing, or of another version."""


class DiskFullError(PipelineError):
    """The disk of the workspace is full: the run stops, and goes on where it was once there is room."""


class ClusterError(PipelineError):
    """The Dask cluster cannot be used: not reachable, without workers, without the workspace, or lost on the way."""


class TransientError(PipelineError):
    """A unit failed for a reason that may pass (a 503, a time-out): the engine retries it."""


class PermanentError(PipelineError):
    """A unit failed for a reason that stays (a truncated raster, a missing CRS): only mending it helps."""
