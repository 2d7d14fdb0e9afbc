"""What a training run is told. Plain dataclasses: a training machine may have no more than torch, numpy and OpenCV."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from matcher.benchmark.levels import Motion
from matcher.mapglue.config import SIZES, MapGlueConfig
from matcher.training.augment import ZOOM

T = TypeVar("T")


@dataclass(frozen=True)
class Sources:
    """Where pairs come from and how often each is drawn. Folders are relative to the working directory."""

    data: str = "../shared/data"
    """Folder with `tiles/` and `osm/`."""
    pool: str = "scenes"
    """Folder that keeps drawn scenes."""
    scenes: int = 2000
    """How many scenes to draw."""
    real_textures: bool = False
    """Give half of the drawn images the grain of real ones; a pool holds scenes of one kind only."""
    scene_weight: float = 3.0
    pseudo_weight: float = 1.0
    real_weight: float = 1.0
    """Real aligned map and image (Landquart, its western part)."""


@dataclass(frozen=True)
class Schedule:
    """How long, how fast, and how the motion between views grows from `first_motion` to `last_motion`."""

    steps: int = 4000
    batch: int = 8
    crop: int = 256
    zoom: tuple[float, float] = ZOOM
    """Least and largest enlargement of the sources' pixels."""
    learning_rate: float = 1e-3
    warmup: int = 100
    motion_ramp: int = 800
    first_motion: Motion = field(default=Motion(10, 1.1, 0.05, 5e-5))
    last_motion: Motion = field(default=Motion(60, 1.6, 0.15, 3e-4))
    ema: float = 0.998
    checkpoint_s: float = 180.0
    validate_every: int = 250


@dataclass(frozen=True)
class TrainingConfig:
    """One run: `stage` is "extractor", "matcher" or "field" (which knows no size); `start` is a weights file to begin
    with, or empty."""

    size: str = "fast-mapglue"
    stage: str = "extractor"
    seed: int = 0
    output: str = "training/fast-mapglue"
    start: str = ""
    sources: Sources = Sources()
    schedule: Schedule = Schedule()
    ablation: Mapping[str, bool] = field(default_factory=dict)
    """Switches of MapGlueConfig to override, such as {"saliency": false}."""

    def model(self) -> MapGlueConfig:
        """Return the network's configuration. Raises ValueError for a size or switch that does not exist."""
        if self.size not in SIZES:
            raise ValueError(f"size {self.size!r}: there are {', '.join(SIZES)}")
        return read_dataclass(MapGlueConfig, {**asdict(SIZES[self.size]), **self.ablation}, "ablation")


def read_dataclass(kind: type[T], values: Mapping[str, Any], where: str = "config") -> T:
    """Build a dataclass from nested plain values. Raises ValueError naming the place of an unknown or ill-typed key."""
    types = get_type_hints(kind)
    known = {item.name for item in fields(kind)}  # type: ignore[arg-type]
    arguments = {}
    for name, value in values.items():
        if name not in known:
            raise ValueError(f"{where}: unknown key {name!r}; there are {', '.join(sorted(known))}")
        arguments[name] = _read_value(types[name], value, f"{where}.{name}")
    return kind(**arguments)


def _read_value(kind: Any, value: Any, where: str) -> Any:
    if is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise ValueError(f"{where}: needs a mapping, not {value!r}")
        return read_dataclass(kind, value, where)  # type: ignore[arg-type]
    if isinstance(value, list):
        return tuple(value)
    if kind in (int, float, bool, str):
        whole = kind is float and isinstance(value, int) and not isinstance(value, bool)
        if (not isinstance(value, kind) and not whole) or (kind is int and isinstance(value, bool)):
            raise ValueError(f"{where}: needs {kind.__name__}, not {value!r}")
        return kind(value)
    return value


def resolve(folder: str) -> Path:
    """Return a folder of the configuration as an absolute path."""
    return Path(folder).expanduser().resolve()
