"""Tiny CLIP models, saved on disk by open_clip's and transformers' own formats, measured by the same path as any."""

from __future__ import annotations

import json
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from landmark_release import write_release
from typer.testing import CliRunner

from mapdata.cli import build_app
from retrieval.encoders import load_encoder
from retrieval.encoders.clip import import_torchvision
from retrieval.errors import RetrievalError

pytestmark = pytest.mark.integration

WORDS = ["<pad>", "<s>", "<unk>", "it", "is", "a", "red", "green", "blue", "yellow", "church", "tower", "</s>"]


@pytest.fixture(scope="module")
def open_clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A one-layer CLIP with random weights, as open_clip saves it: configuration and weights."""
    if find_spec("open_clip") is None:
        pytest.skip("open_clip_torch is not installed")
    import_torchvision()
    open_clip = import_module("open_clip")
    folder = tmp_path_factory.mktemp("open_clip")
    torch.manual_seed(0)
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1},
    }
    safetensors.torch.save_file(open_clip.CLIP(**config).state_dict(), folder / "open_clip_model.safetensors")
    about = {"model_cfg": config, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    (folder / "open_clip_config.json").write_text(json.dumps(about))
    return folder


@pytest.fixture(scope="module")
def transformers_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A one-layer CLIP with random weights, its image processor and a tokenizer, as transformers saves them."""
    if find_spec("transformers") is None:
        pytest.skip("transformers is not installed")
    import_torchvision()
    transformers, tokenizers = import_module("transformers"), import_module("tokenizers")
    folder = tmp_path_factory.mktemp("transformers")
    torch.manual_seed(0)
    layer = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": len(WORDS) - 1}
    config = transformers.CLIPConfig(
        text_config={**layer, **ids, "vocab_size": len(WORDS), "max_position_embeddings": 12, "projection_dim": 12},
        vision_config={**layer, "image_size": 32, "patch_size": 16, "projection_dim": 12},
        projection_dim=12,
    )
    transformers.CLIPModel(config).save_pretrained(folder)
    transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(
        folder
    )
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({w: n for n, w in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    words.post_processor = tokenizers.processors.TemplateProcessing(
        "<s> $A </s>", None, [("<s>", 1), ("</s>", len(WORDS) - 1)]
    )
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=words, **special).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["open_clip", "transformers"])
def test_a_saved_model_is_measured_like_any(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = request.getfixturevalue(f"{kind}_folder")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    release = write_release(tmp_path / "release", train=1, query=6, index=2)
    name = f"{kind}:{folder}"
    ran = CliRunner().invoke(
        build_app(),
        ["evaluate", str(release), "--model", name, "--out", str(tmp_path / "out"), "--workers", "0", "--json"],
    )
    assert ran.exit_code == 0, ran.exception or ran.output
    found = json.loads(ran.stdout.splitlines()[-1])
    assert {each["task"] for each in found["results"]} == {"G2S", "S2G", "T2G", "T2S"}
    encoder = load_encoder(name)
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (40, 70, 3), np.uint8) for _ in range(3)]
    together = encoder.encode_images(images, "ground")
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert np.allclose(together[1], encoder.encode_images(images[1:2], "ground")[0], atol=1e-5)
    short, long = encoder.encode_texts(["a red church", "a red church " + "of stone " * 200])
    assert not np.allclose(short, long)
    assert np.allclose(short, encoder.encode_texts(["a red church"])[0], atol=1e-5)


def test_weights_that_were_moved_are_the_same_model(open_clip_folder: Path, tmp_path: Path) -> None:
    open_clip = import_module("open_clip")
    config = json.loads((open_clip_folder / "open_clip_config.json").read_text())["model_cfg"]
    (tmp_path / "tiny.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "tiny.json")
    moved = tmp_path / "elsewhere.safetensors"
    moved.write_bytes((open_clip_folder / "open_clip_model.safetensors").read_bytes())
    files = (open_clip_folder / "open_clip_model.safetensors", moved)
    first, second = (load_encoder(f"open_clip:tiny@{file}").identity for file in files)
    assert first == second


def test_damaged_files_are_named(open_clip_folder: Path, transformers_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_text((open_clip_folder / "open_clip_config.json").read_text())
    with pytest.raises(RetrievalError, match="open_clip cannot load it"):
        load_encoder(f"open_clip:{tmp_path}")
    (tmp_path / "config.json").write_text((transformers_folder / "config.json").read_text())
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(RetrievalError, match="transformers cannot load it"):
        load_encoder(f"transformers:{tmp_path}")
