"""The limits that decide an alignment: parameters of the stage, part of its units' keys."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Pixels = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]


class Pass(BaseModel):
    """Windows of one pass, in pixels of its resolution. `size` and `radius` together: a length that transforms fast."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = Field(ge=32, le=1024, description="Side of a window, px.")
    radius: int = Field(ge=2, le=128, description="Reach of its search, px.")
    count: int = Field(ge=1, description="Windows of a small raster, about at least.")
    spacing: float = Field(
        default=0.6, gt=0, description="Distance of windows in sizes, in a raster that is large enough."
    )


class WindowLimits(BaseModel):
    """How windows are measured and weighed. Distances in px of the pass, which are two working px."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    features: Literal["mapglue", "cfog"] = Field(
        default="mapglue",
        description="What the windows that decide are compared by: MapGlue's learned feature map, or harmonics of "
        "gradients in the manner of CFOG, which need no weights.",
    )
    rough: Pass = Field(default=Pass(size=248, radius=20, count=80), description="First pass, on all of the map.")
    close: Pass = Field(
        default=Pass(size=192, radius=12, count=180), description="Second pass, on the ground, repeated till settled."
    )
    restart: Pass = Field(default=Pass(size=192, radius=12, count=180), description="Windows of the perturbed restart.")
    max_restart: int = Field(default=2, ge=1, description="Repetitions of the restart, at most.")
    probe: Count = Field(
        default=240,
        description="Windows of the first pass that are looked at first: where they say that a start is hopeless, the "
        "rest is not measured.",
    )
    min_data: Share = Field(default=0.7, description="Share of a window that must hold data on both sides.")
    min_structure: float = Field(
        default=0.05, ge=0, description="Least mean strength of the structure in a window, on both sides."
    )
    min_learned_structure: float = Field(default=0.5, ge=0, description="The same of learned features.")
    max_building_m2: float = Field(default=3000.0, gt=0, description="Largest building that is masked for the ground.")
    max_building_gsd_m: float = Field(
        default=2.0,
        gt=0,
        description="Metres a px up to which buildings are told by their shape. In coarser rasters roofs are displaced "
        "by little, and all of the map is compared.",
    )
    max_forward_backward_px: Pixels = Field(default=2.0, description="Forward-backward error of a reliable window.")
    min_peak_margin: Share = Field(default=0.02, description="Peak margin of a reliable window.")
    full_margin: Share = Field(
        default=0.1, gt=0, description="Peak margin of a window that counts in full; others count in proportion."
    )
    bending_px: Pixels = Field(
        default=1.0,
        description="Standard deviation, working px, of what a map bends against its georeference: at the corners, "
        "beyond a similarity.",
    )
    manual_weight: float = Field(default=12.0, ge=0, description="Such windows that a manual point counts as.")
    hopeless_agreement: Share = Field(
        default=0.3, description="Share of the windows of the first pass that must agree for a second one, weighed."
    )
    max_close: int = Field(default=3, ge=1, description="Repetitions of the second pass, at most.")
    settled_px: Pixels = Field(
        default=2.0, description="Move of the answer, working px, by which the second pass is repeated."
    )
    restart_px: Pixels = Field(default=8.0, description="Shift that the perturbed restart begins with, working px.")
    restart_deg: float = Field(default=1.0, ge=0, description="Its rotation, or less: no more than that shift.")


class Limits(BaseModel):
    """Acceptance limits. Working pixels (px) are those of the coarser raster of the pair, visible px are named so."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    windows: WindowLimits = Field(default=WindowLimits(), description="How windows are measured and weighed.")
    tolerance_px: Pixels = Field(default=3.0, description="Within which a window agrees with the answer.")
    min_windows: Count = Field(default=50, description="Windows that must hold structure.")
    min_agreement: Share = Field(
        default=0.6, description="Least share of the windows that agree, weighed by their peak margins."
    )
    min_reliable: Count = Field(default=12, description="Reliable windows that are needed.")
    min_reliable_agreement: Share = Field(
        default=0.75,
        description="Least share of reliable windows that agree. Regions are judged one by one besides.",
    )
    max_disagreement_px: Pixels = Field(default=2.0, description="At the corners, between two independent answers.")
    remaining_building_lean: Share = Field(
        default=0.2,
        description="Of the way from the answer by gradients of all of the map to that of the ground: what of the "
        "building lean is left there. As much may be wrong with it.",
    )
    max_ground_px: Pixels = Field(default=3.0, description="Of the ground alone from an answer by all of the map.")
    min_ground: Count = Field(default=8, description="Windows of each half of the ground that must agree.")
    max_windows: int = Field(default=2400, ge=100, description="Windows of a pass, spread evenly, about at most.")
    max_early_windows: int = Field(
        default=600, ge=100, description="The same of the passes whose answer the next one only starts from."
    )
    region_px: int = Field(default=1024, ge=64, description="Side of a region, working px.")
    region_windows: Count = Field(default=12, description="Reliable windows that must agree in and around a region.")
    region_own_windows: Count = Field(default=1, description="Reliable windows that must agree within a region.")
    region_agreement: Share = Field(
        default=0.5,
        description="Least share of windows that agree, by region, weighed; of reliable ones within it, too.",
    )
    region_reliable_agreement: Share = Field(default=0.6, description="The same of reliable windows in and around it.")
    reach_windows: int = Field(default=3, ge=1, description="Reliable windows that must agree near every corner of it.")
    max_reach_px: Pixels = Field(
        default=750.0,
        description="How far these may be away: beyond, the answer is extrapolated. Cells are divided once there.",
    )
    max_common_px: Pixels = Field(
        default=2.0, description="Largest part of the predicted error that is common to all places: a bias."
    )
    max_predicted_px: Pixels = Field(default=4.25, description="Largest predicted error of an accepted region.")
    predicted_factor: float = Field(
        default=0.85,
        gt=0,
        description="By which predicted errors are multiplied, so that they hold for 95% of pairs of known truth.",
    )
    bias_px: Pixels = Field(default=1.25, description="95% bound of what the answer may be off, all over a raster.")
    detail_px: Pixels = Field(
        default=0.5,
        description="Standard deviation along each axis of what windows average out, for the predicted error.",
    )


DEFAULTS = Limits()
