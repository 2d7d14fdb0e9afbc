"""Models by their names on the Hugging Face hub, of a server on loopback."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from retrieval.encoders.hub import folder_of

pytestmark = pytest.mark.integration
pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NOBODY = "http://127.0.0.1:9"


def asked(name: str, address: str, cache: Path) -> subprocess.CompletedProcess[str]:
    """Return what a process of its own says that asks a hub at an address for a model."""
    code = "import sys; from retrieval.encoders import load_encoder; load_encoder(sys.argv[1])"
    return _run(code, name, address, cache)


def _run(code: str, name: str, address: str, cache: Path) -> subprocess.CompletedProcess[str]:
    own = {
        "HF_ENDPOINT": address,
        "HF_HUB_CACHE": str(cache),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    command = [sys.executable, "-c", code, name]
    return subprocess.run(command, env={**os.environ, **own}, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.parametrize("name", ["transformers:somebody/clip", "open_clip:somebody/clip"])
def test_without_a_network_it_is_said(name: str, tmp_path: Path) -> None:
    said = asked(name, NOBODY, tmp_path).stderr
    assert "could not be fetched from the Hugging Face hub" in said
    assert "hf download somebody/clip" in said


def test_a_tag_that_cannot_be_fetched_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if find_spec("open_clip") is None:
        pytest.skip("open_clip_torch is not installed")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # without it, the hub is tried for most of a minute
    assert "its weights could not be fetched" in asked("open_clip:ViT-B-32@laion2b_s34b_b79k", NOBODY, tmp_path).stderr


def test_a_model_is_fetched_once_without_pickled_weights(httpserver: HTTPServer, tmp_path: Path) -> None:
    files = {"config.json": b"{}", "model.safetensors": b"weights", "pytorch_model.bin": b"pickle"}
    about = {"id": "somebody/clip", "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
    for revision in ("main", COMMIT):
        httpserver.expect_request(f"/api/models/somebody/clip/revision/{revision}").respond_with_json(about)
    tree = [{"type": "file", "path": name, "size": len(each), "oid": "0" * 40} for name, each in files.items()]
    httpserver.expect_request(f"/api/models/somebody/clip/tree/{COMMIT}").respond_with_json(tree)
    for name, content in files.items():
        headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
        address = f"/somebody/clip/resolve/{COMMIT}/{name}"
        httpserver.expect_request(address).respond_with_data(content, headers=headers)
    code = "import sys; from retrieval.encoders.hub import folder_of; print(folder_of('a model', sys.argv[1]))"
    fetched = _run(code, "somebody/clip", httpserver.url_for("").rstrip("/"), tmp_path)
    assert fetched.returncode == 0, fetched.stderr
    folder = Path(fetched.stdout.strip())
    assert (folder / "config.json").read_bytes() == b"{}"
    assert (folder / "model.safetensors").read_bytes() == b"weights"
    assert not (folder / "pytorch_model.bin").exists()
    again = _run(code, "somebody/clip", NOBODY, tmp_path)
    assert again.stdout == fetched.stdout, "from the cache, without a network"


def test_a_folder_here_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "somebody" / "clip").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert folder_of("transformers:somebody/clip", "somebody/clip") == Path("somebody/clip")
