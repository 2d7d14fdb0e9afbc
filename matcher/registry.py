"""Matchers by name: one grammar of names, for every command and every configuration.

    cfog, rootsift, xfeat, ...          a matcher that is built in, or that an installed package declares
    fast-mapglue:single-pass            `fast-mapglue` or `mapglue` in one of its modes, each also as MODE:compiled
    fast-mapglue@FILE                   the same network with the weights of a file; FILE comes last
    torchscript:PATH                    a TorchScript file with FastMapGlue's interface
    vismatch:NAME                       a matcher of the package vismatch
    package.module:Class                a subclass of `matcher.types.Matcher` that Python can import

A package declares matchers as entry points of the group `mapdata.matchers`. Their classes are called with those of the
keyword arguments `device` ("auto", "cpu", "cuda", as the user gave it) and `num_keypoints` that they name.

Nothing here imports PyTorch until a matcher is loaded, so that a configuration can be checked quickly.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from matcher.errors import MatcherError, MatcherUnavailable, WeightsError
from matcher.mapglue.config import FEATURE_MAP, MODES, SHIPPED, SIZES, Mode
from matcher.types import Matcher
from raster.names import NameFault, installed, is_importable, load, unknown

if TYPE_CHECKING:
    import torch

Builder: TypeAlias = Callable[[str, "torch.device", int], Matcher]

ENTRY_POINTS = "mapdata.matchers"

PATTERNS = ("MATCHER:MODE", "MATCHER@FILE", "torchscript:PATH", "vismatch:NAME", "package.module:Class")


def load_matcher(name: str, device: str = "auto", num_keypoints: int = 2048) -> Matcher:
    """Return a matcher by name, ready to use.

    Args:
        name: A name in the grammar of this module.
        device: "auto" (CUDA where there is one), "cpu", "cuda" or any other that torch knows.
        num_keypoints: The largest number of keypoints that a sparse matcher takes from each image; dense matchers have
            no keypoints.

    Raises:
        MatcherUnavailable: There is no such matcher or device, or a package that the matcher needs is not installed.
        WeightsError: A weights file is missing or corrupt.
        MatcherError: A class of another package is no `matcher.types.Matcher`.
    """
    factory = _from_elsewhere(name)
    if factory is None:
        build, argument = _built_in(name)
        return build(argument, _device(device), num_keypoints)
    accepted = inspect.signature(factory).parameters
    offered = {"device": device, "num_keypoints": num_keypoints}
    matcher = factory(**{key: value for key, value in offered.items() if key in accepted})
    if not isinstance(matcher, Matcher):
        raise MatcherError(f"{name} gives a {type(matcher).__name__}: it must be a matcher.types.Matcher")
    return matcher


def check_name(name: str) -> str:
    """Return `name` if it names a matcher and the files it names exist, without loading the matcher.

    Raises:
        MatcherUnavailable: There is no such matcher; the message gives the nearest spelling.
        WeightsError: The file that the name points to does not exist.
    """
    if _from_elsewhere(name) is None:
        _built_in(name)
        file = _file_in(name)
        if file is not None and not file.is_file():
            raise WeightsError(f"{file}: no such weights file")
    return name


def resolve_name(name: str, folder: Path) -> str:
    """Return the name of a matcher with the file in it, if there is one, taken relative to a folder.

    Args:
        name: As a configuration gives it, such as "fast-mapglue@weights.safetensors".
        folder: That of the configuration's file; an absolute path, or one from the home folder, stays what it is.
    """
    file = _file_in(name)
    return name if file is None else name.removesuffix(str(file)) + str(folder / file.expanduser())


def matcher_names() -> list[str]:
    """Return the names of the built-in matchers, in the order in which reports list them."""
    return list(_BUILDERS)


def weights_files(name: str) -> list[Path]:
    """Return the weights files that are there of the matcher `name`, for digests and training records.

    The networks of this project also use the shipped feature map network.
    """
    family, file = re.split("[:@]", name)[0], _file_in(name)
    files = [file] if file is not None else [SHIPPED / f"{family}.safetensors"]
    files += [SHIPPED / f"{FEATURE_MAP}.safetensors"] if family in SIZES else []
    return [path for path in files if path.is_file()]


def _built_in(name: str) -> tuple[Builder, str]:
    """Return the builder of a matcher of this room and what it is called with. Raises MatcherUnavailable."""
    family, _, argument = name.partition(":")
    if name in _BUILDERS:
        return _BUILDERS[name], name
    if family in _BY_ARGUMENT and argument:
        return _BY_ARGUMENT[family], argument
    network, _, mode = name.partition("@")[0].partition(":")
    if network in SIZES and not name.endswith((":", "@")):
        if mode and mode.removesuffix(":compiled") not in MODES:
            modes = ", ".join(MODES)
            raise MatcherUnavailable(f"{network} has no mode {mode!r}. There are: {modes}, each also as MODE:compiled")
        return _mapglue, name
    raise _unknown(name)


def _from_elsewhere(name: str) -> Callable[..., Any] | None:
    """Return the class of a matcher of another package; None where the name is one of this room's."""
    if name.partition(":")[0] in {**_BUILDERS, **_BY_ARGUMENT}:
        return None
    target = installed(ENTRY_POINTS).get(name, name)
    if not is_importable(target):
        return None
    try:
        factory: Callable[..., Any] = load("matcher", name, target)
    except NameFault as error:
        raise MatcherUnavailable(str(error)) from error
    return factory


def _unknown(name: str) -> MatcherUnavailable:
    return MatcherUnavailable(str(unknown("matcher", name, [*matcher_names(), *installed(ENTRY_POINTS)], PATTERNS)))


def _file_in(name: str) -> Path | None:
    """Return the file that a name points to, None for a name without one."""
    family, _, argument = name.partition(":")
    file = argument if family == "torchscript" else name.partition("@")[2] if re.split("[:@]", name)[0] in SIZES else ""
    return Path(file) if file else None


def _device(name: str) -> torch.device:
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # A CPU build of torch asserts that it has no CUDA.
        reason = str(error).partition("\n")[0]
        raise MatcherUnavailable(f"device {name!r} cannot be used: {reason}. Use device='cpu' or 'auto'") from error
    return device


# Each builder imports what it needs, so that a missing extra is noticed only by those who ask for its matchers.


def _mapglue(name: str, device: torch.device, num_keypoints: int) -> Matcher:
    from matcher.mapglue.inference import MapGlueMatcher
    from matcher.mapglue.weights import load_model

    network, _, mode = name.partition("@")[0].partition(":")
    chosen: Mode = next((known for known in MODES if mode.removesuffix(":compiled") == known), MODES[0])
    weights = load_model(network, _file_in(name))
    compiled = mode.endswith(":compiled")
    return MapGlueMatcher(name, device, num_keypoints, mode=chosen, compiled=compiled, network=weights)


def _classical(name: str, device: torch.device, num_keypoints: int) -> Matcher:
    from matcher.baselines.classical import AKAZE, RootSIFT

    return RootSIFT(num_keypoints) if name == "rootsift" else AKAZE(num_keypoints)


def _deep(name: str, device: torch.device, num_keypoints: int) -> Matcher:
    from matcher.baselines.deep import build

    return build(name, device, num_keypoints)


def _dense(name: str, device: torch.device, num_keypoints: int) -> Matcher:
    from matcher.dense.matcher import DenseMatcher

    return DenseMatcher(device)


def _torchscript(path: str, device: torch.device, num_keypoints: int) -> Matcher:
    from matcher.baselines.torchscript import TorchScriptMatcher

    return TorchScriptMatcher(Path(path), device, num_keypoints)


def _vismatch(name: str, device: torch.device, num_keypoints: int) -> Matcher:
    from matcher.baselines.vismatch import VismatchMatcher

    return VismatchMatcher(name, device, num_keypoints)


_BUILDERS: dict[str, Builder] = {
    "mapglue": _mapglue,
    "fast-mapglue": _mapglue,
    "rootsift": _classical,
    "akaze": _classical,
    "xfeat": _deep,
    "xfeat-lighterglue": _deep,
    "aliked-lightglue": _deep,
    "disk-lightglue": _deep,
    "cfog": _dense,
}
_BY_ARGUMENT: dict[str, Builder] = {"torchscript": _torchscript, "vismatch": _vismatch}
