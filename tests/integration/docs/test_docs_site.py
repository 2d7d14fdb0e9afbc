"""The site is built strictly and without a network, and its pictures and short papers say what the code says."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from documents import PROJECT

pytestmark = pytest.mark.integration

LOADED = re.compile(r"""<(?:script|img|iframe)[^>]*?\ssrc=["']?([^"'\s>]+)|<link[^>]*?\shref=["']?([^"'\s>]+)""")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the built site. Warnings are errors: dead links and anchors, pages in no menu, faulty docstrings."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=PROJECT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_every_page_loads_files_of_the_site_only(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        loaded = [src or href for src, href in LOADED.findall(page.read_text(encoding="utf-8"))]
        assert len(loaded) > 3, page
        for address in loaded:
            if address.startswith("data:"):
                continue
            assert "//" not in address, f"{page} loads {address}"
            file = (site if address.startswith("/") else page.parent) / address.split("?")[0].split("#")[0].lstrip("/")
            assert file.exists(), f"{page}: no file {address}"


def test_stylesheets_load_nothing_from_elsewhere(site: Path) -> None:
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8")), sheet


def test_public_names_are_in_the_reference(site: Path) -> None:
    import mapdata

    page = (site / "reference" / "mapdata.html").read_text(encoding="utf-8")
    for name in mapdata.__all__:
        if name != "__version__":
            assert re.search(rf'id="[a-z.]*\.{name}"', page), name


def test_the_picture_of_the_house_has_every_room() -> None:
    rooms = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
    picture = (PROJECT / "docs/images/house.svg").read_text(encoding="utf-8")
    page = (PROJECT / "docs/architecture.md").read_text(encoding="utf-8")
    for room in rooms:
        assert f">{room}<" in picture, f"docs/images/house.svg lacks {room}"
        assert f"| `{room}` |" in page, f"docs/architecture.md lacks {room}"


def test_every_check_of_an_alignment_is_explained(demo: Path) -> None:
    page = (PROJECT / "docs/alignment.md").read_text(encoding="utf-8")
    judged = [json.loads(path.read_text())["checks"] for path in demo.glob("work/demo/alignment/*/*/alignment.json")]
    names = {name for checks in judged for name in checks}
    assert len(names) > 5
    assert [name for name in sorted(names) if f"| `{name}` |" not in page] == []


def test_readme_is_short_and_names_no_commit() -> None:
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    assert not re.findall(r"\b(?=[0-9a-f]*[a-f])(?=[0-9a-f]*[0-9])[0-9a-f]{7,40}\b", text)


def test_links_of_readme_and_contributing_lead_somewhere() -> None:
    for page in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        text = (PROJECT / page).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#]+)", text):
            assert target.startswith("https://") or (PROJECT / target).exists(), f"{page}: {target}"


def test_hooks_before_a_commit_are_the_commands_of_lint() -> None:
    hooks = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    lines = (PROJECT / ".ci/lint").read_text().splitlines()
    commands = [shlex.split(line.replace("$bin", ".venv/bin")) for line in lines if line.startswith('"$bin')]
    assert [shlex.split(hook["entry"]) for hook in hooks] == commands
