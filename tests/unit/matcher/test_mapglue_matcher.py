"""MapGlue as a matcher: known homographies, batches, odd images, weights files, the exported file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from rectangles import scene

from matcher.errors import WeightsError
from matcher.mapglue import inference
from matcher.mapglue.config import MapGlueConfig
from matcher.mapglue.export import export_torchscript
from matcher.mapglue.inference import MapGlueMatcher
from matcher.mapglue.model import MapGlue
from matcher.mapglue.weights import load_model, save_weights

pytestmark = pytest.mark.unit

CPU = torch.device("cpu")
TINY = MapGlueConfig(
    "fast-mapglue", stem=(8, 16), width=16, dilations=(1,), descriptor=16, graph_width=16, graph_layers=1
)


@pytest.fixture
def network() -> MapGlue:
    torch.manual_seed(0)
    return MapGlue(TINY).eval()


def test_identical_images_match_in_place(network: MapGlue) -> None:
    matches = MapGlueMatcher("tiny", CPU, network=network).match(scene(), scene())
    assert len(matches) > 100
    assert np.median(np.abs(matches.points0 - matches.points1)) < 1


def test_a_turned_image_is_found_by_the_search(network: MapGlue) -> None:
    image = scene()
    turned = np.ascontiguousarray(np.rot90(image))  # (x, y) goes to (y, 223 - x)
    matches = MapGlueMatcher("tiny", CPU, network=network).match(image, turned)
    assert len(matches) > 50
    expected = np.column_stack([matches.points0[:, 1], 223 - matches.points0[:, 0]])
    assert np.median(np.linalg.norm(matches.points1 - expected, axis=1)) < 2


def test_where_the_network_finds_nothing_reliable_matches_of_the_dense_matcher_count(
    network: MapGlue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "MIN_SCORE", 2.0)
    image, turned = scene(), np.ascontiguousarray(np.rot90(scene()))
    assert len(MapGlueMatcher("tiny", CPU, network=network, mode="network").match(image, turned)) == 0
    full = MapGlueMatcher("tiny", CPU, network=network)
    matches = full.match(image, turned)
    expected = np.column_stack([matches.points0[:, 1], 223 - matches.points0[:, 0]])
    assert len(matches) >= 20
    assert np.linalg.norm(matches.points1 - expected, axis=1).max() < 2
    assert matches.confidence > 0.99
    chance = [full.match(image, scene(224, seed)) for seed in range(5, 9)]
    assert not any(found.confidence > 0.75 for found in chance)  # not a number where nothing was found
    assert any(len(found) == 0 for found in chance)


@pytest.mark.parametrize("settled", [True, False])
def test_a_batch_equals_its_pairs(network: MapGlue, settled: bool) -> None:
    matcher = MapGlueMatcher(
        "tiny", CPU, 128, network=network, mode="network" if settled else "single-pass", search=False
    )
    images0, images1 = [scene(224, 1), scene(160, 2)], [scene(224, 1), scene(224, 3)]
    for single, batched in zip(
        map(matcher.match, images0, images1), matcher.match_batch(images0, images1), strict=True
    ):
        np.testing.assert_array_equal(single.points0, batched.points0)
        np.testing.assert_array_equal(single.points1, batched.points1)
        assert len(single) <= 128


@pytest.mark.parametrize("value", [0, 255])
def test_a_flat_image_has_no_match(network: MapGlue, value: int) -> None:
    flat = np.full((90, 130, 3), value, np.uint8)
    for matcher in (
        MapGlueMatcher("tiny", CPU, network=network),
        MapGlueMatcher("tiny", CPU, network=network, mode="single-pass"),
    ):
        assert len(matcher.match(flat, scene())) == 0


def test_the_exported_file_gives_the_matches_of_the_model(network: MapGlue, tmp_path: Path) -> None:
    export_torchscript(network, tmp_path / "tiny.pt")
    exported = torch.jit.load(str(tmp_path / "tiny.pt"))
    image0, image1 = scene(200, 4), scene(230, 4)
    found = exported(torch.from_numpy(image0), torch.from_numpy(image1), 256)
    as_floats = exported(torch.from_numpy(image0) / 255, torch.from_numpy(image1) / 255, 256)
    assert found.shape[1] == 4
    assert len(found) > 0
    torch.testing.assert_close(found, as_floats)


def test_weights_come_back_and_damage_is_named(network: MapGlue, tmp_path: Path) -> None:
    path = tmp_path / "fast-mapglue.safetensors"
    save_weights(path, network, {"seed": "0"})
    loaded = load_model("fast-mapglue", path)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value.half().to(value.dtype))
    damaged = bytearray(path.read_bytes())
    damaged[-3] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(WeightsError, match=r"fast-mapglue\.safetensors.*SHA-256.*digest"):
        load_model("fast-mapglue", path)
    with pytest.raises(WeightsError, match="mapdata train"):
        load_model("mapglue", tmp_path / "absent.safetensors")
