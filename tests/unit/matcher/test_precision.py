"""bfloat16 where the processor has instructions for it, else float32; and the same matches either way."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from rectangles import scene

from matcher.folding import placed
from matcher.mapglue.config import Mode
from matcher.mapglue.inference import MapGlueMatcher
from matcher.mapglue.weights import load_feature_map
from matcher.precision import mixed_precision
from raster.fit import fit
from raster.homography import apply_homography
from raster.levels import corners_of

CPU = torch.device("cpu")


def with_capabilities(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(names, True))


def product_type() -> torch.dtype:
    with mixed_precision(CPU):
        return (torch.eye(2) @ torch.eye(2)).dtype


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ((), torch.float32),
        (("avx2", "fma3"), torch.float32),
        (("avx2", "avx512_f", "avx512_bw", "avx512_vl", "avx512_dq"), torch.float32),
        (("avx2", "avx_ne_convert"), torch.float32),
        (("avx512_f", "avx512_bf16"), torch.bfloat16),
        (("amx_tile", "amx_bf16"), torch.bfloat16),
        (("neon", "fp16_arith"), torch.float32),
        (("neon", "bf16"), torch.bfloat16),
    ],
)
def test_bfloat16_is_used_where_the_processor_multiplies_it(
    monkeypatch: pytest.MonkeyPatch, capabilities: tuple[str, ...], expected: torch.dtype
) -> None:
    with_capabilities(monkeypatch, *capabilities)
    assert product_type() is expected


def test_no_bfloat16_where_the_processor_says_that_it_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False, "amx_bf16": False})
    assert product_type() is torch.float32


@pytest.mark.parametrize("mode", ["network", "full"])
def test_both_precisions_find_the_same_homography(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between machines with and without bfloat16, corners differ by less than half a pixel."""
    image = scene(256)
    moved = cv2.warpAffine(image, np.array([[1, 0.05, 3], [-0.05, 1, 6.0]]), (256, 256))
    matcher = MapGlueMatcher("fast-mapglue", CPU, mode=mode, search=False)
    corners = []
    for capabilities in ((), ("avx512_bf16",)):
        with_capabilities(monkeypatch, *capabilities)
        matches = matcher.match(image, moved)
        matrix = fit(matches.points0, matches.points1).matrix
        assert matrix is not None
        corners.append(apply_homography(matrix, corners_of(256, 256)))
    assert 0 < np.abs(corners[0] - corners[1]).max() < 0.5


@torch.no_grad()
def test_a_feature_map_in_bfloat16_weighs_exact_harmonics(monkeypatch: pytest.MonkeyPatch) -> None:
    matcher, network = MapGlueMatcher("fast-mapglue", CPU), placed(load_feature_map(), CPU)
    assert matcher.dense is not None
    image = torch.from_numpy(scene(128)).permute(2, 0, 1)[None].float() / 255
    mask = torch.ones_like(image[:, :1], dtype=torch.bool)
    exact = network(image, mask)
    with_capabilities(monkeypatch, "avx512_bf16")
    mixed = matcher.dense.describe(image, mask)
    assert mixed.dtype is torch.float32
    assert 0 < (mixed - exact).abs().max() < 0.05 * exact.abs().max()
    for first in (0, 2):  # both of a pair of harmonics have one weight
        directions = [torch.atan2(field[:, first + 1], field[:, first]) for field in (mixed, exact)]
        strong = exact[:, first : first + 2].norm(dim=1) > 0.1
        assert (directions[0] - directions[1])[strong].sin().abs().max() < 1e-4
