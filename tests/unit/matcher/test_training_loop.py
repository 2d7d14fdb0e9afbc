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
from matcher.training.batches import make_batch
from matcher.training.config import Schedule, Sources, SyntheticScenes, Tiles, TrainingConfig
from matcher.training.losses import correspond, descriptor_loss
from matcher.training.scenes import scene_pool
from matcher.training.sources import SceneSource
from matcher.training.stages import FeatureMapStage, GraphStage, MatcherStage, TrainingStage, build_stage
from matcher.training.trainer import Task, Trainer
from pipeline.config import read_model
from pipeline.errors import ConfigError
from retrieval.training.config import TrainingConfig as RetrievalTraining

pytestmark = pytest.mark.unit

PROJECT = Path(__file__).resolve().parents[3]

CPU = torch.device("cpu")
TINY = MapGlueConfig(
    "fast-mapglue", stem=(8, 8), width=16, dilations=(1,), descriptor=16, graph_width=16, graph_layers=1
)
SCHEDULE = Schedule(steps=4, batch=2, crop=64, warmup=1, ramp_steps=1, checkpoint_s=0)


def render(number: int) -> AlignedPair:
    generator = np.random.default_rng(number)
    image = np.kron(generator.integers(0, 255, (16, 16, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    return AlignedPair(255 - image, image, generator.integers(0, 6, (128, 128)).astype(np.uint8))


def matcher_stage() -> TrainingStage:
    return MatcherStage(TINY)


def graph_stage() -> TrainingStage:
    return GraphStage(replace(TINY, cross_positions=True), repeated=True)


def trainer(
    folder: Path, steps: int, stage: Callable[[], TrainingStage] = matcher_stage, distinct: int | None = None
) -> Trainer:
    torch.manual_seed(0)
    sources = Sources(synthetic=SyntheticScenes(folder=folder / "pool"))
    schedule = SCHEDULE.model_copy(update={"steps": steps, "distinct": distinct})
    config = TrainingConfig(output=folder / "run", schedule=schedule, sources=sources)
    source = SceneSource(ScenePool(folder / "pool", render), 5)
    return Trainer(config, Task(stage(), None), source, CPU)


def losses(folder: Path) -> list[str]:
    rows = (folder / "run/metrics.csv").read_text().splitlines()
    return [row for row in rows if ",total," in row]


def test_real_textures_lend_drawn_images_their_grain_and_leave_the_map_alone(tmp_path: Path) -> None:
    tiles = tmp_path / "data/tiles/swissimage/17/69024"
    tiles.mkdir(parents=True)
    for row in range(46109, 46113):
        grain = np.random.default_rng(row).integers(0, 256, (256, 256, 3), dtype=np.uint8)
        assert cv2.imwrite(str(tiles / f"{row}.png"), grain)
    tiles = Tiles(folder=tmp_path / "data/tiles/swissimage", zoom=17, x=(69024, 69024), y=(46109, 46112))
    plain = scene_pool(SyntheticScenes(folder=tmp_path / "plain"))
    textured = scene_pool(SyntheticScenes(folder=tmp_path / "textured", textures=(tiles,)))
    pairs = [(plain[number], textured[number]) for number in range(4)]
    assert all(np.array_equal(one.map, other.map) for one, other in pairs)
    grained = [not np.array_equal(one.visible, other.visible) for one, other in pairs]
    assert any(grained)
    assert not all(grained)


@pytest.mark.parametrize("stage", [matcher_stage, FeatureMapStage], ids=["matcher", "field"])
def test_the_same_seed_gives_the_same_losses(tmp_path: Path, stage: Callable[[], TrainingStage]) -> None:
    for name in ("a", "b"):
        trainer(tmp_path / name, 3, stage).run()
    assert losses(tmp_path / "a") == losses(tmp_path / "b")
    assert len(losses(tmp_path / "a")) == 3


@pytest.mark.parametrize(("stage", "distinct"), [(matcher_stage, None), (graph_stage, 3)], ids=["matcher", "graphs"])
def test_a_stopped_run_goes_on_to_the_same_state(
    tmp_path: Path, stage: Callable[[], TrainingStage], distinct: int | None
) -> None:
    whole = trainer(tmp_path / "whole", 4, stage, distinct)
    whole.run()
    stopped = trainer(tmp_path / "stopped", 4, stage, distinct)
    step = stopped._step

    def die(batch: object) -> dict[str, float]:
        if stopped.progress.step == 2:
            raise KeyboardInterrupt
        return step(batch)  # type: ignore[arg-type]

    stopped._step = die  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    resumed = trainer(tmp_path / "stopped", 4, stage, distinct)
    assert resumed.progress.step == 2
    resumed.run()
    assert losses(tmp_path / "stopped") == losses(tmp_path / "whole")
    for name, value in whole.ema.state.items():
        assert torch.equal(value, resumed.ema.state[name]), name


def test_the_graphs_are_trained_on_an_extractor_that_stays_as_it_is(tmp_path: Path) -> None:
    training = trainer(tmp_path, 4, graph_stage, distinct=2)
    stage = training.task.network
    assert isinstance(stage, GraphStage)
    before = {name: value.clone() for name, value in stage.model.state_dict().items()}
    training.run()
    changed = {name for name, value in stage.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert not any(name.startswith("extractor.") for name in changed)
    assert {"semantic_graph.enter.weight", "layers.0.guide.weight", "assignments.0.project.weight"} <= changed
    assert sorted(stage.known) == [0, 1]


def test_batches_come_again_where_the_schedule_says_so(tmp_path: Path) -> None:
    source = SceneSource(ScenePool(tmp_path / "pool", render), 5)
    schedule = SCHEDULE.model_copy(update={"distinct": 2, "steps": 6})
    batches = [make_batch(source, schedule, 0, step) for step in range(4)]
    assert [batch.number for batch in batches] == [0, 1, 0, 1]
    assert torch.equal(batches[0].images, batches[2].images)
    assert torch.equal(batches[1].homographies, batches[3].homographies)
    assert not torch.equal(batches[0].images, batches[1].images)


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


VALID = "output: out\nsources: {synthetic: {folder: scenes}}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size: fast-mapglu\n", r"t\.yaml:3:7: size: .*did you mean 'fast-mapglue'\?"),
        ("stages: extractor\n", r"t\.yaml:3:1: stages: there is no such field; did you mean 'stage'\?"),
        ("schedule: {steps: many}\n", r"t\.yaml:3:19: schedule\.steps: "),
        ("schedule: {last_homography: {rotation: 3}}\n", "last_homography.rotation: .* did you mean 'rotation_deg'"),
        ("schedule: {crop: 100}\n", r"schedule\.crop: Input should be a multiple of 32"),
        ("ablation: {saliancy: false}\n", "did you mean 'saliency'"),
    ],
)
def test_bad_settings_are_refused_with_file_line_and_nearest_name(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.yaml").write_text(VALID + text)
    with pytest.raises(ConfigError, match=message):
        read_model(tmp_path / "t.yaml", TrainingConfig)


def test_paths_are_relative_to_the_configuration_and_a_source_is_needed(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(VALID + "ablation: {saliency: false}\n")
    config = read_model(tmp_path / "t.yaml", TrainingConfig)
    assert config.output == tmp_path / "out"
    assert config.sources.synthetic is not None
    assert config.sources.synthetic.folder == tmp_path / "scenes"
    assert (config.model().saliency, config.model().semantics) == (False, True)
    assert build_stage(config).model.config == config.model()
    (tmp_path / "t.yaml").write_text("output: out\nsources: {}\n")
    with pytest.raises(ConfigError, match="give at least one of synthetic, pseudo, real, release"):
        read_model(tmp_path / "t.yaml", TrainingConfig)


@pytest.mark.parametrize("path", sorted((PROJECT / "configs").glob("train-*.yaml")), ids=lambda path: path.stem)
def test_the_shipped_configurations_are_valid(path: Path) -> None:
    config: TrainingConfig | RetrievalTraining
    retrieval = "kind: retrieval" in path.read_text(encoding="utf-8")
    config = read_model(path, RetrievalTraining) if retrieval else read_model(path, TrainingConfig)
    assert config.output.resolve().is_relative_to(PROJECT / "work")
    assert str(config.output.parent) not in config.model_dump_json()  # a record must not tell where things lie
