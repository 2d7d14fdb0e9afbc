"""The two sizes of the network, the switches of its ablations, and its weights. All numbers are this project's
choice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

SHIPPED = Path(__file__).resolve().parents[1] / "weights"
"""Folder of the weights that come with this project."""

FEATURE_MAP = "feature-map"
"""Name of the feature map network, which both sizes use beside their own weights."""

FEATURE_MAP_FILE = SHIPPED / f"{FEATURE_MAP}.safetensors"
"""Its shipped weights."""

Mode = Literal["full", "network", "single-pass"]
MODES: tuple[Mode, ...] = get_args(Mode)
"""How much a matcher does: search, network and dense final refinement; search and network; the network once."""

STRIDE = 8
"""Pixels to a side of a descriptor cell (SuperPoint's grid)."""

SEMANTIC_STRIDE = 16
"""Pixels to a side of a semantic token."""

GRAPH_STRIDE = 32
"""Pixels to a side of a node of the semantic graph; image sides are padded to a multiple of it."""


@dataclass(frozen=True)
class MapGlueConfig:
    """Widths and depths of a network; `saliency`, `semantics` and `semantic_graph` switch a part off for an
    ablation."""

    name: str
    stem: tuple[int, int] = (32, 64)
    """Channels at strides 2 and 4."""
    width: int = 128
    """Channels of the descriptor grid."""
    dilations: tuple[int, ...] = (1, 2, 3, 1)
    """One residual block each at stride 8; their receptive field is larger than 100 px."""
    descriptor: int = 128
    classes: int = 6
    """Semantic classes that the tokens are supervised with: those of the synthetic scenes' label rasters."""
    semantic_layers: int = 2
    graph_width: int = 128
    graph_layers: int = 3
    semantic_graph_layers: int = 1
    heads: int = 4
    orientations: int = 8
    saliency: bool = True
    semantics: bool = True
    semantic_graph: bool = True
    cross_positions: bool = False
    """Attention across the images knows positions too: for images that are nearly aligned."""
    early_exit: bool = False
    """Stop when nearly all keypoints are confident of their match, and drop those that are confident to have none."""


FAST_MAPGLUE = MapGlueConfig(name="fast-mapglue", early_exit=True)
MAPGLUE = MapGlueConfig(
    name="mapglue",
    stem=(48, 96),
    width=192,
    dilations=(1, 2, 3, 1, 2, 1),
    descriptor=192,
    semantic_layers=3,
    graph_width=192,
    graph_layers=4,
    heads=6,
)
SIZES = {size.name: size for size in (FAST_MAPGLUE, MAPGLUE)}
