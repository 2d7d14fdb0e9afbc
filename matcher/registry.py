"""Matchers by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import torch

from matcher.errors import MatcherUnavailable
from matcher.types import Matcher

Builder: TypeAlias = Callable[[str, torch.device, int], Matcher]


def load_matcher(name: str, device: str = "auto", num_keypoints: int = 2048) -> Matcher:
    """Return a matcher by name, ready to use: one of `matcher_names()`, "torchscript:PATH", "vismatch:NAME", or
    "fast-mapglue:MODE" and "mapglue:MODE" with a mode of `MapGlueMatcher`, or "MODE:compiled" for its `compiled`.

    `device` is "auto" (CUDA where there is one), "cpu", "cuda" or any other that torch knows. `num_keypoints` bounds
    what a sparse matcher takes from each image; dense matchers have no keypoints. Raises MatcherUnavailable for an
    unknown name or a missing package, WeightsError for a weights file that is missing or corrupt.
    """
    family, _, argument = name.partition(":")
    if family in _BUILDERS and not argument:
        return _BUILDERS[family](name, _device(device), num_keypoints)
    if family in _BY_ARGUMENT and argument:
        return _BY_ARGUMENT[family](argument, _device(device), num_keypoints)
    choices = [*matcher_names(), "torchscript:PATH", "vismatch:NAME"]
    near = difflib.get_close_matches(name, choices, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise MatcherUnavailable(f"no matcher is called {name!r}.{hint} There are: {', '.join(choices)}")


def matcher_names() -> list[str]:
    """Return the names of the matchers that need no argument."""
    return list(_BUILDERS)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # a CPU build asserts that it has no CUDA
        reason = str(error).partition("\n")[0]
        raise MatcherUnavailable(f"device {name!r} cannot be used: {reason}. Use device='cpu' or 'auto'") from error
    return device


# Each builder imports what it needs, so that a missing extra is felt only by those who ask for it.


def _mapglue(name: str, device: torch.device, num_keypoints: int) -> Matcher:
    from matcher.mapglue.inference import MapGlueMatcher

    return MapGlueMatcher(name, device, num_keypoints)


def _mapglue_in(family: str) -> Builder:
    def build(mode: str, device: torch.device, num_keypoints: int) -> Matcher:
        from matcher.mapglue.inference import MODES, MapGlueMatcher

        for known in MODES:
            if mode.removesuffix(":compiled") == known:
                name, compiled = f"{family}:{mode}", mode.endswith(":compiled")
                return MapGlueMatcher(name, device, num_keypoints, mode=known, compiled=compiled)
        modes = ", ".join(MODES)
        raise MatcherUnavailable(f"{family} has no mode {mode!r}. There are: {modes}, each also as MODE:compiled")

    return build


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
_BY_ARGUMENT: dict[str, Builder] = {
    "torchscript": _torchscript,
    "vismatch": _vismatch,
    **{family: _mapglue_in(family) for family in ("mapglue", "fast-mapglue")},
}
