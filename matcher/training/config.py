"""The configuration of a training run."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from matcher.mapglue.config import SIZES, MapGlueConfig
from raster.config_path import RecordedPath
from raster.levels import HomographyRange

StageName = Literal["extractor", "matcher", "graphs", "feature-map"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tiles(_Model):
    """A rectangle of XYZ tiles of one zoom level in a folder `{zoom}/{x}/{y}.*`; y grows southward."""

    folder: RecordedPath = Field(description="Folder of the layer.")
    zoom: int = Field(ge=0, le=24, description="Zoom level.")
    x: tuple[int, int] = Field(description="First and last column, both included.")
    y: tuple[int, int] = Field(description="First and last row, both included.")


class SyntheticScenes(_Model):
    """Scenes rendered as a map and as a simulated aerial image, from OSM extracts and procedural towns."""

    weight: float = Field(1.0, gt=0, description="How often a pair comes from here, relative to the other sources.")
    folder: RecordedPath = Field(
        description="Folder that keeps the rendered scenes; scenes that are missing are rendered."
    )
    count: int = Field(2000, ge=1, description="How many scenes to render.")
    osm: RecordedPath | None = Field(None, description="Folder of OSM extracts (*.osm.pbf) for half of the scenes.")
    textures: tuple[Tiles, ...] = Field(
        (), description="Real imagery that gives half of the simulated images their texture; a folder keeps one sort."
    )


class PseudoModalities(_Model):
    """Real images against other modalities that are computed from them."""

    weight: float = Field(1.0, gt=0, description="As for synthetic scenes.")
    imagery: tuple[Tiles, ...] = Field(min_length=1, description="The images; blank tiles are masked.")


class RealPairs(_Model):
    """A real map and the visible image of the same ground, tile on tile."""

    weight: float = Field(1.0, gt=0, description="As for synthetic scenes.")
    map: Tiles = Field(description="The map.")
    visible: Tiles = Field(description="The visible image, of the same size; blank tiles are masked.")


class ReleasedPairs(_Model):
    """The accepted pairs of a release of this project."""

    weight: float = Field(1.0, gt=0, description="As for synthetic scenes.")
    folder: RecordedPath = Field(description="Folder of the release.")
    split: Literal["train", "val"] = Field("train", description="Split; the test split is for the benchmark.")


class Sources(_Model):
    """Where training pairs come from; a source that is left out is not used."""

    synthetic: SyntheticScenes | None = Field(None, description="Rendered scenes.")
    pseudo: PseudoModalities | None = Field(None, description="Real images against computed modalities.")
    real: RealPairs | None = Field(None, description="A real map on a real image.")
    release: ReleasedPairs | None = Field(None, description="Pairs of a release.")

    @model_validator(mode="after")
    def _at_least_one(self) -> Sources:
        if not any((self.synthetic, self.pseudo, self.real, self.release)):
            raise ValueError("give at least one of synthetic, pseudo, real, release")
        return self


class Schedule(_Model):
    """How long and how fast, and how the transformation between the crops of a pair grows over the first steps."""

    steps: int = Field(4000, ge=1, description="Steps in all.")
    batch: int = Field(8, ge=1, description="Pairs a step.")
    distinct: int | None = Field(
        None,
        ge=1,
        description="Steps after which the batches come again; default: never. The stage graphs then computes the "
        "features of a batch once.",
    )
    crop: int = Field(256, ge=32, multiple_of=32, description="Side of the crops, pixels.")
    zoom: tuple[float, float] = Field((0.86, 1.42), description="Least and largest enlargement of a source's pixels.")
    learning_rate: float = Field(1e-3, gt=0, description="Peak learning rate of AdamW.")
    warmup: int = Field(100, ge=1, description="Steps over which the learning rate rises.")
    ramp_steps: int = Field(800, ge=1, description="Steps from first_homography to last_homography.")
    first_homography: HomographyRange = HomographyRange(rotation_deg=10, scale=1.1, shift=0.05, perspective=5e-5)
    last_homography: HomographyRange = HomographyRange(rotation_deg=60, scale=1.6, shift=0.15, perspective=3e-4)
    ema: float = Field(0.998, ge=0, lt=1, description="Decay of the exponential moving average of the weights.")
    checkpoint_s: float = Field(180.0, ge=0, description="Seconds between checkpoints.")
    validate_every: int = Field(250, ge=1, description="Steps between validations.")

    @model_validator(mode="after")
    def _ramped(self) -> Self:
        """Refuse batches that come again before the transformations have grown."""
        if self.distinct is not None and self.distinct < self.ramp_steps:
            raise ValueError("distinct must be at least ramp_steps: no step would see last_homography")
        return self


class Ablation(_Model):
    """Parts of the network; false switches one off."""

    saliency: bool = Field(True, description="Saliency weighs the keypoint score.")
    semantics: bool = Field(True, description="Semantic context is added to the descriptors.")
    semantic_graph: bool = Field(True, description="The semantic graph guides the keypoint graph.")


class TrainingConfig(_Model):
    """One training run."""

    size: Literal["fast-mapglue", "mapglue"] = Field("fast-mapglue", description="Size of the network.")
    stage: StageName = Field(
        "extractor",
        description="What is trained: extractor, matcher (extractor and graphs), graphs (for pairs that are nearly "
        "aligned, the extractor frozen) or feature-map.",
    )
    seed: int = Field(0, ge=0, description="Seed of the first weights and of every batch.")
    output: RecordedPath = Field(description="Folder of checkpoints, metrics and weights.")
    start: RecordedPath | None = Field(None, description="Weights file to start from; default: random weights.")
    validation: RecordedPath | None = Field(
        None, description="Folder in SRIF's layout; its development pairs choose the checkpoint. Default: the last one."
    )
    sources: Sources
    schedule: Schedule = Field({}, validate_default=True)
    ablation: Ablation = Field({}, validate_default=True)

    @model_validator(mode="after")
    def _unvalidated(self) -> Self:
        """Refuse a validation that does not run what is trained."""
        if self.stage == "graphs" and self.validation is not None:
            raise ValueError("validation measures the extractor, which the stage graphs does not train; leave it out")
        return self

    def model(self) -> MapGlueConfig:
        """Return the configuration of the network."""
        parts = {name: on for name, on in self.ablation if not on}
        return MapGlueConfig(**{**vars(SIZES[self.size]), **parts, "cross_positions": self.stage == "graphs"})
