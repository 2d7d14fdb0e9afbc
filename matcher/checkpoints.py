"""Reading weights files, with errors that name the file and what it holds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from torch import nn

from matcher.errors import MatcherUnavailable, WeightsError

T = TypeVar("T")


def describe(path: Path) -> str:
    """Return a file's path, size and SHA-256, as errors quote it."""
    with path.open("rb") as file:
        return f"{path} ({path.stat().st_size} bytes, SHA-256 {hashlib.file_digest(file, 'sha256').hexdigest()})"


def read_weights(path: Path, read: Callable[[Path], T]) -> T:
    """Read a weights file.

    Args:
        path: The file.
        read: What reads it.

    Returns:
        What `read` returns.

    Raises:
        WeightsError: The file is missing, or `read` fails.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file")
    try:
        return read(path)
    # torch, pickle, zipfile and safetensors each raise errors of their own, RuntimeError and ValueError among them.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0].partition(". ")[0] or type(error).__name__
        raise WeightsError(f"{describe(path)}: not a readable weights file ({reason}): fetch it again") from error


def load_strictly(network: nn.Module, state: Mapping[str, object], path: Path) -> None:
    """Load parameters into a network. Buffers that the network computes itself may be missing, nothing else.

    Args:
        network: The network.
        state: Its parameters by name.
        path: Where they come from, for messages.

    Raises:
        WeightsError: The parameters are not those of the network.
    """
    try:
        missing = network.load_state_dict(state, strict=False).missing_keys
    except RuntimeError as error:
        raise WeightsError(f"{describe(path)}: weights of another network: {error}") from error
    lacking = sorted(set(missing) & {name for name, _ in network.named_parameters()})
    if lacking:
        raise WeightsError(f"{describe(path)}: lacks {len(lacking)} parameters of the network, such as {lacking[0]}")


def packaged(package: str, relative: str, extra: str) -> Path:
    """Return the path of a file in an installed package, without importing the package.

    Args:
        package: Name of the package.
        relative: Path of the file in it.
        extra: The extra of this project that installs it, for messages.

    Raises:
        MatcherUnavailable: The package is not installed.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MatcherUnavailable(f"the package {package} is not installed: pip install 'mapdata[{extra}]'")
    return Path(spec.submodule_search_locations[0]) / relative
