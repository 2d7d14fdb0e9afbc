"""Training: the same seed gives the same losses, a killed run goes on to the same state, bad settings are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from matcher.mapglue.config import MapGlueConfig
from matcher.training.aligned import AlignedPair, ScenePool
from matcher.training.config import Schedule, TrainingConfig, read_dataclass
from matcher.training.losses import correspond, descriptor_loss
from matcher.training.scenes import scene_pool
from matcher.training.sources import SceneSource
from matcher.training.stages import FeatureMapStage, MatcherStage, Stage, build_stage
from matcher.training.trainer import Task, Trainer

pytestmark = pytest.mark.unit

CPU = torch.device("cpu")
TINY = MapGlueConfig(
    "fast-mapglue", stem=(8, 8), width=16, dilations=(1,), descriptor=16, graph_width=16, graph_layers=1
)
SCHEDULE = Schedule(steps=4, batch=2, crop=64, warmup=1, checkpoint_s=0)


def draw(number: int) -> AlignedPair:
    generator = np.random.default_rng(number)
    image = np.kron(generator.integers(0, 255, (16, 16, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    return AlignedPair(255 - image, image, generator.integers(0, 6, (128, 128)).astype(np.uint8))


def trainer(folder: Path, steps: int, stage: Callable[[], Stage] = lambda: MatcherStage(TINY)) -> Trainer:
    torch.manual_seed(0)
    config = TrainingConfig(output=str(folder / "run"), schedule=replace(SCHEDULE, steps=steps))
    source = SceneSource(ScenePool(folder / "pool", draw), 5)
    return Trainer(config, Task(stage(), None), source, CPU, 5)


def losses(folder: Path) -> list[str]:
    rows = (folder / "run/metrics.csv").read_text().splitlines()
    return [row for row in rows if ",total," in row]


def test_real_textures_lend_drawn_images_their_grain_and_leave_the_map_alone(tmp_path: Path) -> None:
    tiles = tmp_path / "data/tiles/swissimage/17/69024"
    tiles.mkdir(parents=True)
    for row in range(46109, 46113):
        grain = np.random.default_rng(row).integers(0, 256, (256, 256, 3), dtype=np.uint8)
        assert cv2.imwrite(str(tiles / f"{row}.png"), grain)
    plain = scene_pool(tmp_path / "plain", tmp_path / "data")
    textured = scene_pool(tmp_path / "textured", tmp_path / "data", real_textures=True)
    pairs = [(plain[number], textured[number]) for number in range(4)]
    assert all(np.array_equal(one.map, other.map) for one, other in pairs)
    grained = [not np.array_equal(one.visible, other.visible) for one, other in pairs]
    assert any(grained)
    assert not all(grained)


@pytest.mark.parametrize("stage", [lambda: MatcherStage(TINY), FeatureMapStage], ids=["matcher", "field"])
def test_the_same_seed_gives_the_same_losses(tmp_path: Path, stage: Callable[[], Stage]) -> None:
    for name in ("a", "b"):
        trainer(tmp_path / name, 3, stage).run()
    assert losses(tmp_path / "a") == losses(tmp_path / "b")
    assert len(losses(tmp_path / "a")) == 3


def test_a_stopped_run_goes_on_to_the_same_state(tmp_path: Path) -> None:
    whole = trainer(tmp_path / "whole", 4)
    whole.run()
    stopped = trainer(tmp_path / "stopped", 4)
    step = stopped._step

    def die(batch: object) -> dict[str, float]:
        if stopped.progress.step == 2:
            raise KeyboardInterrupt
        return step(batch)  # type: ignore[arg-type]

    stopped._step = die  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    resumed = trainer(tmp_path / "stopped", 4)
    assert resumed.progress.step == 2
    resumed.run()
    assert losses(tmp_path / "stopped") == losses(tmp_path / "whole")
    for name, value in whole.ema.state.items():
        assert torch.equal(value, resumed.ema.state[name]), name


def test_a_cell_that_points_at_its_true_place_costs_little() -> None:
    homography = torch.tensor([[1.0, 0, 16], [0, 1, 8], [0, 0, 1]])[None]  # two cells right, one down
    masks = torch.ones(1, 1, 64, 64, dtype=torch.bool)
    truth = correspond(homography, masks, masks)
    right = torch.full((1, 64, 64), -20.0)
    for y in range(7):
        for x in range(6):
            assert truth.valid[0, y * 8 + x]
            right[0, y * 8 + x, (y + 1) * 8 + x + 2] = 20.0
    assert not truth.valid[0, 7 * 8]
    loss, matched = descriptor_loss(right, truth, 8)
    assert loss < 1e-3
    assert matched.sum() == 42
    assert descriptor_loss(torch.zeros_like(right), truth, 8)[0].item() == pytest.approx(np.log(64), rel=1e-4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sized": "x"}, "config: unknown key 'sized'"),
        ({"schedule": {"steps": "many"}}, r"config\.schedule\.steps: needs int"),
        ({"schedule": 3}, r"config\.schedule: needs a mapping"),
        ({"stage": "fields"}, "stage 'fields': there are extractor, matcher, field"),
        ({"size": "big"}, "size 'big': there are fast-mapglue, mapglue"),
    ],
)
def test_bad_settings_are_refused_with_their_place(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_stage(read_dataclass(TrainingConfig, values))
