"""Paths in configurations of runs and of trainings: relative to the folder of the configuration's file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, PlainSerializer, ValidationInfo

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/|/vsi[a-z0-9]+/")
"""How addresses of the web and names of GDAL's virtual file systems begin, which may hold passwords and tokens."""


def _from_config_folder(path: Path, info: ValidationInfo) -> Path:
    if _ADDRESS.match(str(path)):
        raise ValueError("this is an address, not the path of a file; download the file and give its path")
    folder = (info.context or {}).get("folder")
    return folder / path.expanduser() if folder is not None else path.expanduser()


ConfigPath = Annotated[Path, AfterValidator(_from_config_folder)]
"""A path in a configuration: relative to the folder of its file, which validation finds in its context as `folder`."""

RecordedPath = Annotated[ConfigPath, PlainSerializer(lambda path: path.name)]
"""The same where the configuration is published beside weights: what was read is told, not where it lay."""
