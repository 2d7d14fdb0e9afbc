"""The limits that decide an alignment: parameters of the stage, part of its units' keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Pixels = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]


class Limits(BaseModel):
    """Acceptance limits. Working pixels (px) are those of the coarser raster of the pair, visible px are named so."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tolerance_px: Pixels = Field(default=3.0, description="Within which a window agrees with the answer.")
    min_windows: Count = Field(default=50, description="Windows that must hold structure.")
    min_agreement: Share = Field(default=0.6, description="Least share of all windows that agree.")
    min_reliable: Count = Field(default=12, description="Reliable windows that are needed.")
    min_reliable_agreement: Share = Field(
        default=0.9, description="Least share of reliable windows that agree where the ground is not found."
    )
    min_ground_agreement: Share = Field(
        default=0.75, description="The same where it is found. Regions are judged one by one besides."
    )
    min_per_quadrant: Count = Field(default=2, description="Reliable windows that agree in every quadrant.")
    max_disagreement_px: Pixels = Field(default=2.0, description="At the corners, between two independent answers.")
    max_building_lean_px: Pixels = Field(default=6.0, description="By which building lean may shift windows.")
    max_windows: int = Field(default=2400, ge=100, description="Windows of a pass, spread evenly, about at most.")
    region_px: int = Field(default=1024, ge=64, description="Side of a region, working px.")
    region_windows: Count = Field(default=12, description="Reliable windows that must agree in and around a region.")
    region_own_windows: Count = Field(default=1, description="Reliable windows that must agree within a region.")
    region_agreement: Share = Field(default=0.6, description="Least share of windows that agree, by region.")
    region_reliable_agreement: Share = Field(default=0.9, description="The same of reliable windows.")
    max_common_px: Pixels = Field(
        default=1.4, description="Largest part of the predicted error that is common to all places: a bias."
    )
    max_predicted_px: Pixels = Field(default=5.0, description="Largest predicted error of an accepted region.")
    building_lean_residual: Share = Field(
        default=0.1, description="Share of the ground's shift that may remain, for the predicted error."
    )
    building_lean_per_spread: float = Field(
        default=2.8,
        ge=0,
        description="Mean building lean of roofs per standard deviation of what their heights spread windows by.",
    )
    building_lean_anisotropy_px: Pixels = Field(
        default=0.5, description="Standard deviation that local warps of the map alone add to one direction."
    )
    detail_px: Pixels = Field(
        default=0.5,
        description="Standard deviation along each axis of what windows average out, for the predicted error.",
    )


DEFAULTS = Limits()
