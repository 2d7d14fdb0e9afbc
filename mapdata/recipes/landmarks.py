"""The recipe `landmarks`: landmarks with ground photographs, aerial images of several years, texts and coordinates."""

from __future__ import annotations

from pipeline.recipe import Recipe
from stages.landmarks.aerial import AerialStage
from stages.landmarks.ground import GroundStage
from stages.landmarks.index import IndexStage
from stages.landmarks.outdoor import OutdoorStage
from stages.landmarks.release import ReleaseStage
from stages.landmarks.resolve import ResolveStage
from stages.landmarks.select import SelectStage
from stages.landmarks.split import SplitStage
from stages.landmarks.text import TextStage

RECIPE = Recipe(
    name="landmarks",
    stages=(
        SelectStage,
        ResolveStage,
        GroundStage,
        OutdoorStage,
        TextStage,
        AerialStage,
        IndexStage,
        SplitStage,
        ReleaseStage,
    ),
    optional=frozenset({"outdoor"}),
    roles=("ground", "aerial", "text"),
)
