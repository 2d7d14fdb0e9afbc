"""The package from outside: what it exposes, its version, and how errors become exit statuses."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import mapdata
from mapdata import cli
from matcher.errors import MatcherUnavailable

pytestmark = pytest.mark.unit


def test_every_name_is_there_and_importing_the_package_is_light() -> None:
    for name in mapdata.__all__:
        assert getattr(mapdata, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'macth'"):
        mapdata.macth  # noqa: B018
    heavy = "{'torch', 'cv2', 'rasterio', 'numpy', 'pyarrow', 'pydantic'} & set(sys.modules)"
    code = f"import sys, mapdata; print({heavy})"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "set()"


def test_type_checkers_see_the_functions(tmp_path: Path) -> None:
    from mypy import api

    script = tmp_path / "uses.py"
    script.write_text(
        "import numpy as np\nfrom mapdata import align, fit, load_matcher, match, open_dataset\n"
        "reveal_type(match('a.png', np.zeros((9, 9), np.uint8)).fit.matrix)\n"
        "reveal_type(align('a.tif', 'b.tif').verdict)\n"
        "reveal_type(fit([[0, 0]], [[0, 0]]).reason)\n"
        "match('a.png')\n"
    )
    options = ["--no-incremental", "--follow-imports=silent", "--ignore-missing-imports", "--python-version=3.11"]
    found, _, _ = api.run([*options, "--config-file=", str(script)])
    assert 'uses.py:3: note: Revealed type is "' in found
    assert "ndarray" in found
    assert "needs-manual" in found
    assert 'uses.py:5: note: Revealed type is "builtins.str"' in found or 'Revealed type is "str"' in found
    assert 'uses.py:6: error: Missing positional argument "image1"' in found
    assert found.count("error:") == 1, found


def test_the_version_is_that_of_the_installed_package() -> None:
    printed = CliRunner().invoke(cli.build_app(), ["--version"]).stdout
    assert printed == f"mapdata {metadata.version('mapdata')}\n"
    assert mapdata.__version__ == metadata.version("mapdata")


def test_shells_can_complete() -> None:
    shown = CliRunner().invoke(cli.build_app(), ["--show-completion"], env={"SHELL": "/bin/bash"})
    assert "--show-completion" in CliRunner().invoke(cli.build_app(), ["--help"]).stdout
    assert shown.exit_code in (0, 1)


def test_providers_are_listed_with_terms_and_key_variables() -> None:
    import json

    from stages.providers import registry

    listed = json.loads(CliRunner().invoke(cli.build_app(), ["providers", "--json"]).stdout)["providers"]
    assert [entry["name"] for entry in listed] == list(registry())
    keyed = next(entry for entry in listed if entry["key_variable"])
    text = CliRunner().invoke(cli.build_app(), ["providers"]).stdout
    assert f"key: environment variable {keyed['key_variable']}" in text
    assert keyed["bulk"] in text
    assert keyed["terms"] in text


def test_match_takes_arrays_and_loaded_matchers() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (40, 40), np.uint8)
    image = np.kron(noise, np.ones((8, 8), np.uint8))
    found = mapdata.match(image, image, "rootsift")
    assert found.fit.matrix is not None
    assert np.allclose(found.fit.matrix, np.eye(3), atol=1e-3)
    again = mapdata.match(image, image, mapdata.load_matcher("rootsift"))
    assert np.array_equal(again.matches.points0, found.matches.points0)
    with pytest.raises(MatcherUnavailable, match="did you mean 'rootsift'"):
        mapdata.match(image, image, "rootsfit")


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["match", "none.png", "none.png", "--matcher", "rootsift"], 2),
        (["status", "--workspace", "."], 2),
        (["align", "none.tif", "none.tif", "--out", "out"], 1),
    ],
)
def test_an_error_declares_its_exit_status(tmp_path: Path, arguments: list[str], status: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "mapdata", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == status, ended.stderr
    assert ended.stderr.startswith("error: ")
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("argument", [b"\xff.tif", b"config/\xfe.yaml"])
def test_a_path_that_is_not_utf8_is_refused_before_anything_is_done(argument: bytes) -> None:
    command = [sys.executable.encode(), b"-m", b"mapdata", b"match", argument, b"b.png"]
    ended = subprocess.run(command, capture_output=True, text=True, errors="replace")
    assert ended.returncode == 2
    assert "is not UTF-8; rename it" in ended.stderr


def test_a_folder_that_has_been_removed_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    code = "import os; os.rmdir(os.getcwd()); from mapdata.cli import main; main()"
    environment = os.environ | {"PYTHONPATH": str(Path(mapdata.__file__).parents[1])}
    ended = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (
        2,
        "error: the current folder has been removed; change to another one\n",
    )
