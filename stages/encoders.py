"""Encoders of retrieval as stages use them: a process keeps the last one; what is wrong with it is a lasting error."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from pipeline.errors import PermanentError

if TYPE_CHECKING:
    from retrieval.encoders import Encoder


@lru_cache(maxsize=1)
def loaded_encoder(name: str, device: str = "cpu", identity: str | None = None) -> Encoder:
    """Return an encoder by name.

    Args:
        name: In the grammar of `retrieval.encoders.registry`.
        device: A torch device.
        identity: What its attribute must be; None takes any.

    Raises:
        PermanentError: There is no such encoder, a package or a file of it is missing, or it is another one.
    """
    from retrieval.encoders import load_encoder  # brings torch, which most stages do without
    from retrieval.errors import RetrievalError

    try:
        encoder = load_encoder(name, device)
    except RetrievalError as error:
        raise PermanentError(str(error)) from error
    if identity not in (None, encoder.identity):
        raise PermanentError(f"{name} is another model here than where the run was planned: copy its files anew")
    return encoder
