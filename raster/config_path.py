"""Paths in configurations of runs and of trainings: relative to the folder of the configuration's file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, PlainSerializer, ValidationInfo


def _from_config_folder(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder")
    return folder / path.expanduser() if folder is not None else path.expanduser()


ConfigPath = Annotated[Path, AfterValidator(_from_config_folder)]
"""A path in a configuration: relative to the folder of its file, which validation finds in its context as `folder`."""

RecordedPath = Annotated[ConfigPath, PlainSerializer(lambda path: path.name)]
"""The same where the configuration is published beside weights: what was read is told, not where it lay."""
