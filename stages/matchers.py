"""The name of a matcher as a parameter of stages: checked with the configuration, before anything runs."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, ValidationInfo

from matcher.errors import MatcherError
from matcher.registry import check_name, resolve_name


def _checked(name: str, info: ValidationInfo) -> str:
    folder = (info.context or {}).get("folder")
    try:
        return check_name(resolve_name(name, folder) if folder is not None else name)
    except MatcherError as error:
        raise ValueError(str(error)) from error


MatcherName = Annotated[str, AfterValidator(_checked)]
"""A name in the grammar of `matcher.registry`; a file in it is relative to the folder of the configuration's file."""
