"""Weights files: safetensors in half precision that carry their own digest and the network they belong to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from matcher.checkpoints import describe, load_strictly, read_weights
from matcher.dense.feature_map import FeatureMapConfig, FeatureMapNetwork
from matcher.errors import WeightsError
from matcher.mapglue.config import FEATURE_MAP_FILE, SHIPPED, SIZES, MapGlueConfig
from matcher.mapglue.model import MapGlue
from raster.disk import atomic_path
from raster.strict_json import JsonError, parse_json

C = TypeVar("C")
N = TypeVar("N", bound=nn.Module)


def save_weights(path: Path, model: MapGlue | FeatureMapNetwork, made: dict[str, str]) -> None:
    """Write weights in half precision, atomically.

    Args:
        path: The file.
        model: The network.
        made: What made the weights (seed, steps, ...), for the file's metadata.
    """
    state = {
        name: value.detach().cpu().half() if value.is_floating_point() else value.detach().cpu()
        for name, value in model.state_dict().items()
    }
    state = {name: value.contiguous() for name, value in state.items()}
    metadata = {**made, "config": json.dumps(asdict(model.config)), "digest": state_digest(state)}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(state, metadata))


def load_model(name: str, path: Path | None = None) -> MapGlue:
    """Load a network, in float32 and in evaluation mode.

    Args:
        name: "mapglue" or "fast-mapglue".
        path: Weights file; default: the shipped one.

    Raises:
        WeightsError: The file is missing, damaged, or of another network.
    """
    if name not in SIZES:
        raise WeightsError(f"no network is called {name!r}; there are {', '.join(SIZES)}")
    return _load(name, path or SHIPPED / f"{name}.safetensors", MapGlueConfig, MapGlue)


def load_feature_map(path: Path | None = None) -> FeatureMapNetwork:
    """Return the feature map network in evaluation mode, on the CPU.

    Args:
        path: Weights file; None for those that are shipped.

    Raises:
        WeightsError: The file is missing, damaged, or of another network.
    """
    return _load(FeatureMapConfig().name, path or FEATURE_MAP_FILE, FeatureMapConfig, FeatureMapNetwork)


def _load(name: str, path: Path, config: Callable[..., C], network: Callable[[C], N]) -> N:
    if not path.is_file():
        raise WeightsError(
            f"{path}: no weights of {name}. Train them: mapdata train configs/train-{name}.yaml, "
            "then copy weights.safetensors there"
        )
    state, metadata = read_weights(path, _read)
    if metadata.get("digest") != state_digest(state):
        raise WeightsError(
            f"{describe(path)}: the weights do not match the digest they were saved with. Fetch it again"
        )
    model = network(_config(name, path, metadata, config))
    load_strictly(
        model, {key: value.float() if value.is_floating_point() else value for key, value in state.items()}, path
    )
    return model.eval()


def read_state(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a weights file, to start another training from.

    Args:
        path: A safetensors file, in half precision or not.

    Returns:
        By name, on the CPU; floating point as float32.

    Raises:
        WeightsError: The file is missing or damaged.
    """
    state, _ = read_weights(path, _read)
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def state_digest(state: dict[str, Tensor]) -> str:
    """Return the SHA-256 of names, shapes and values, in the order of names.

    Args:
        state: Tensors by name, on the CPU. The digest depends on their types too.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name]
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.contiguous().view(-1).view(torch.uint8).numpy().tobytes() if value.numel() else b"")
    return digest.hexdigest()


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(str(path), framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def _config(name: str, path: Path, metadata: dict[str, str], config: Callable[..., C]) -> C:
    try:
        values: dict[str, Any] = parse_json(metadata.get("config", "{}"))
        if values.get("name") != name:
            raise WeightsError(f"{describe(path)}: holds weights of {values.get('name')!r}, not of {name!r}")
        arguments: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
        return config(**arguments)
    except (JsonError, AttributeError, TypeError) as error:
        raise WeightsError(f"{describe(path)}: made by another version of the network: {error}") from error
