"""A user's key for a catalog, given by an environment variable: in its URL, or in headers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit

from pipeline.errors import PermanentError
from stages.fetch.credentials import PLACE as _KEY
from stages.fetch.credentials import Credentials


def key_problem(address: str, headers: Mapping[str, str], variable: str) -> str:
    """Return what is wrong with the places of a key, "" if nothing.

    Args:
        address: The catalog's, in which {key} may be a part of the path, or the value of a parameter.
        headers: By name; each value holds {key}.
        variable: Name of the environment variable.
    """
    literal = [name for name, value in headers.items() if _KEY not in value]
    if literal:
        return f"headers: {literal[0]} holds no {_KEY}: write it in place of the secret and name its key_variable"
    used = bool(headers) or _KEY in address
    if used and not variable:
        return f"there is a place for {_KEY}, but key_variable does not name the environment variable with its value"
    if variable and not used:
        return f"key_variable names a key, but neither the catalog's URL nor the headers have {_KEY}"
    if used and urlsplit(address).scheme not in ("http", "https"):
        return "a key is for a catalog on the web only"
    parts = urlsplit(without_key(address))
    if _KEY in parts._replace(path="/".join(each for each in parts.path.split("/") if each != _KEY)).geturl():
        return (
            f"{_KEY} may only be a whole part of the catalog's path, such as /{_KEY}/stac, or the value of a parameter "
            f"of its query, such as ?api_key={_KEY}"
        )
    return ""


def without_key(address: str) -> str:
    """Return the address of a catalog without the parameters that hold {key}, which its path keeps."""
    if _KEY not in urlsplit(address).query:
        return address
    parts = urlsplit(address)
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if _KEY not in value]
    return parts._replace(query=urlencode(kept)).geturl()


def credentials_of(address: str, headers: Mapping[str, str], variable: str) -> Credentials | None:
    """Return what the catalog's host is sent with every request; None for a catalog without a key.

    Args:
        address: Of the catalog; parts of its path and values of its query may be {key}.
        headers: Header name -> value with {key} in place of the secret.
        variable: Name of the environment variable that holds the key; "" for a catalog without one.

    Returns:
        The parameters and headers with the key filled in; only this process holds them.

    Raises:
        PermanentError: The environment variable is not set, or its value has characters that no header may have.
    """
    if not variable:
        return None
    key = os.environ.get(variable, "")
    if not key:
        raise PermanentError(f"the catalog needs your key in the environment variable {variable}, which is not set")
    query = {name: value.replace(_KEY, key) for name, value in parse_qsl(urlsplit(address).query) if _KEY in value}
    filled = {name: value.replace(_KEY, key) for name, value in headers.items()}
    if any(ord(character) < 32 for value in filled.values() for character in value):
        raise PermanentError(f"the environment variable {variable} holds characters that no header may have")
    return Credentials(address, query, filled, key if _KEY in urlsplit(address).path else "")
