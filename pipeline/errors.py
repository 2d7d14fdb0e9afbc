"""Errors of the engine. Every message says what was wrong, where, and what to do."""

from __future__ import annotations

from typing import ClassVar


class PipelineError(Exception):
    """Base of everything the engine raises on purpose. `exit_status` is that of a command which ends by it."""

    exit_status: ClassVar[int] = 1


class ConfigError(PipelineError):
    """A configuration file is missing, malformed or contradicts itself, or names something that does not exist."""

    exit_status = 2


class RecipeError(PipelineError):
    """The stages of a recipe do not fit together."""


class WorkspaceError(PipelineError):
    """The workspace cannot be used: locked by another run, unwritable, missing, or of another version."""

    exit_status = 2


class DiskFullError(PipelineError):
    """The disk of the workspace is full: the run stops, and goes on where it was once there is room."""


class ClusterError(PipelineError):
    """The Dask cluster cannot be used: not reachable, without workers, without the workspace, or lost on the way."""


class TransientError(PipelineError):
    """A unit failed for a reason that may pass (a 503, a time-out): the engine retries it."""


class PermanentError(PipelineError):
    """A unit failed for a reason that stays (a damaged input, a missing field): only fixing its cause helps."""
