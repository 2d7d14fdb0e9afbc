"""What depends on what is installed: CUDA beside the CPU, weights of packages, vismatch."""

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from matcher.errors import MatcherUnavailable, WeightsError
from matcher.registry import load_matcher, matcher_names
from matcher.types import PARITY_PX, PARITY_SHARE, Matches
from raster.fit import Fit, fit
from raster.homography import apply_homography

pytestmark = pytest.mark.integration

WITHOUT_NETWORK = ("rootsift", "akaze")


def _fitted(matches: Matches) -> Fit:
    return fit(matches.points0, matches.points1)


def moved_scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An image, the same turned by 6 degrees, and the homography between them."""
    generator = np.random.default_rng(2)
    image = np.full((256, 256, 3), 200, np.uint8)
    for _ in range(700):
        y, x = generator.integers(0, 256, 2)
        image[y : y + generator.integers(4, 30), x : x + generator.integers(4, 30)] = generator.integers(0, 255, 3)
    turn = cv2.getRotationMatrix2D((128, 128), 6, 1.0)
    return image, cv2.warpAffine(image, turn, (256, 256)), np.vstack([turn, [0, 0, 1]])


@pytest.mark.parametrize("name", [name for name in matcher_names() if name not in WITHOUT_NETWORK])
def test_cuda_finds_what_the_cpu_finds(name: str) -> None:
    """Within the stated tolerance; and both fits put the corners within one pixel of each other."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    try:
        cpu, cuda = (load_matcher(name, device, num_keypoints=512) for device in ("cpu", "cuda"))
    except MatcherUnavailable as reason:
        pytest.skip(str(reason))
    image0, image1, _ = moved_scene()
    found = [matcher.match(image0, image1) for matcher in (cpu, cuda)]
    ends = [np.hstack([matches.points0, matches.points1]) for matches in found]
    nearest = np.abs(ends[0][:, None] - ends[1][None]).max(2).min(1)
    assert (nearest <= PARITY_PX).mean() >= PARITY_SHARE
    corners = np.array([[0, 0], [255, 0], [255, 255], [0, 255]])
    moved = [apply_homography(matrix, corners) for matches in found if (matrix := _fitted(matches).matrix) is not None]
    assert np.abs(moved[0] - moved[1]).max() < 1


@pytest.mark.parametrize("name", ["xfeat", "xfeat-lighterglue", "aliked-lightglue", "disk-lightglue"])
def test_damaged_weights_of_a_package_are_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = pytest.importorskip("matcher.baselines.deep", exc_type=MatcherUnavailable)
    cut = tmp_path / "cut.pt"
    cut.write_bytes(b"\x80\x02cut short")
    monkeypatch.setattr(deep, "packaged", lambda *_: cut)
    with pytest.raises(WeightsError, match=r"cut\.pt \(11 bytes, SHA-256 [0-9a-f]{64}\)"):
        load_matcher(name, "cpu")
    monkeypatch.setattr(deep, "packaged", lambda *_: tmp_path / "absent.pt")
    with pytest.raises(WeightsError, match=r"absent\.pt: no such weights file"):
        load_matcher(name, "cpu")


@pytest.mark.skipif(importlib.util.find_spec("vismatch") is None, reason="vismatch is not installed")
def test_a_matcher_of_vismatch() -> None:
    image0, image1, turn = moved_scene()
    fitted = _fitted(load_matcher("vismatch:sift-nn", "cpu").match(image0, image1))
    assert fitted.matrix is not None
    np.testing.assert_allclose(
        apply_homography(fitted.matrix, np.array([[9.0, 9]])), apply_homography(turn, np.array([[9.0, 9]])), atol=2
    )
    with pytest.raises(MatcherUnavailable, match="vismatch has no 'nonsense'"):
        load_matcher("vismatch:nonsense", "cpu")
