"""Models by their names on the Hugging Face hub: fetched once, then read from its cache."""

from __future__ import annotations

import re
from pathlib import Path

from retrieval.errors import RetrievalError

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_FILES = ("*.json", "*.txt", "*.model", "*.safetensors")
"""What is fetched: no pickled weights, which may run code of a stranger."""


def is_hub_name(argument: str) -> bool:
    """Return whether a name may be one of the hub, OWNER/NAME, and is no folder here.

    Args:
        argument: What stands behind the family in an encoder's name.
    """
    return _NAME.fullmatch(argument) is not None and not Path(argument).exists()


def folder_of(name: str, argument: str) -> Path:
    """Return the folder of a model: a folder as it is, or that in the hub's cache.

    Args:
        name: Of the encoder, for messages.
        argument: A folder, or OWNER/NAME.

    Raises:
        RetrievalError: It is no folder here, and the hub has no such model or cannot be reached.
    """
    if not is_hub_name(argument):
        return Path(argument)
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise RetrievalError(f"{name}: needs a package: pip install 'mapdata[encoders]' ({error})") from error
    try:
        return Path(snapshot_download(argument, allow_patterns=list(_FILES)))
    except Exception as error:  # what its clients of HTTP raise has no common base
        first = str(error).strip().partition("\n")[0]
        raise RetrievalError(
            f"{name}: {argument} is no folder here, and could not be fetched from the Hugging Face hub ({first}); "
            "give a folder, or fetch it where there is a network: hf download " + argument
        ) from error
