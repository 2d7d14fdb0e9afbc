"""The configuration of a training of the baseline."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from raster.config_path import RecordedPath

PIXELS_NAME = "pixels"
"""In place of an encoder's name: a small network is trained on the pixels themselves."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TowerInputs(_Model):
    """What the tower of each modality reads: `pixels`, or the name of a frozen encoder."""

    ground: str | None = Field("colour-shape", description="Of photographs; null to leave the modality out.")
    satellite: str | None = Field("colour-shape", description="Of aerial images; null to leave the modality out.")
    text: str | None = Field("hashed-words", description="Of texts: an encoder; null to leave the modality out.")

    @field_validator("ground", "satellite", "text")
    @classmethod
    def _known(cls, name: str | None, info: ValidationInfo) -> str | None:
        from retrieval.encoders.registry import check_encoder, resolve_encoder
        from retrieval.errors import RetrievalError

        if name in (None, PIXELS_NAME):
            return name
        folder = (info.context or {}).get("folder")
        try:
            return check_encoder(name if folder is None else resolve_encoder(name, folder))
        except RetrievalError as error:
            raise ValueError(str(error)) from None

    @field_validator("text")
    @classmethod
    def _no_pixels(cls, name: str | None) -> str | None:
        if name == PIXELS_NAME:
            raise ValueError("texts have no pixels; name an encoder such as hashed-words")
        return name


class Schedule(_Model):
    """How the towers are trained."""

    steps: int = Field(160, ge=1, description="Optimiser steps.")
    landmarks_per_step: int = Field(64, ge=2, description="Landmarks in a batch.")
    items_per_landmark: int = Field(2, ge=1, description="Items of each modality and landmark in a batch, at most.")
    learning_rate: float = Field(2e-3, gt=0, description="Of AdamW, at its highest.")
    weight_decay: float = Field(0.05, ge=0, description="Of AdamW.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Share of values left out in training.")
    components: int = Field(200, ge=2, description="Frozen features are whitened to so many principal components.")
    copies: int = Field(6, ge=1, description="Altered copies of an image whose features of a frozen encoder are kept.")
    pairing: Literal["complete", "ground-centred"] = Field(
        "complete", description="complete: all pairs of modalities; ground-centred: photographs against each other one."
    )
    hard_share: float = Field(
        0.0, ge=0, le=1, description="Share of steps whose landmarks are all of one category, so that they are hard."
    )
    category_share: float = Field(
        0.8, ge=0, lt=1, description="Share of the target that falls on other landmarks of the same category."
    )
    dimensions: int = Field(128, ge=2, description="Length of an embedding.")
    validate_every: int = Field(20, ge=1, description="Steps between validations and checkpoints.")
    shuffled: bool = Field(False, description="Train on wrong correspondence, as a control.")


class Validation(_Model):
    """Landmarks of the training split that are kept aside to choose the best step and to calibrate."""

    share: float = Field(0.12, ge=0, lt=1, description="Share of the cells.")
    cell_km: float = Field(25.0, gt=0, description="Side of the cells that are kept aside as a whole, km.")
    distance_km: float = Field(1.5, ge=0, description="Landmarks nearer to those kept aside are not used at all, km.")


class TrainingConfig(_Model):
    """One training of the baseline."""

    kind: Literal["retrieval"] = Field(description="Says that this is a training of retrieval.")
    release: RecordedPath = Field(description="Folder of a release of landmarks; its split `train` is used.")
    output: RecordedPath = Field(description="Folder of checkpoint, cached features, history and weights.")
    seed: int = Field(0, ge=0, description="Of everything drawn.")
    towers: TowerInputs = Field(
        default_factory=lambda: TowerInputs.model_validate({}), description="What each tower reads."
    )
    schedule: Schedule = Field(
        default_factory=lambda: Schedule.model_validate({}), description="How long and how fast."
    )
    validation: Validation = Field(
        default_factory=lambda: Validation.model_validate({}), description="What is kept aside."
    )
