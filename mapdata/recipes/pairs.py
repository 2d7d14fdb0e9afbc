"""The recipe `mapdata`: points on the globe -> aligned pairs of map and visible image."""

from __future__ import annotations

from pipeline.recipe import Recipe
from stages.acquire import AcquireStage
from stages.align import AlignStage
from stages.benchmark import BenchmarkStage
from stages.clean import CleanStage
from stages.leaderboard import LeaderboardStage
from stages.release import ReleaseStage
from stages.review import ReviewStage
from stages.sample import SampleStage
from stages.split import SplitStage
from stages.tile import TileStage

RECIPE = Recipe(
    name="mapdata",
    stages=(
        SampleStage,
        AcquireStage,
        AlignStage,
        ReviewStage,
        TileStage,
        CleanStage,
        SplitStage,
        ReleaseStage,
        BenchmarkStage,
        LeaderboardStage,
    ),
    optional=frozenset({"benchmark"}),
    roles=("map", "visible"),
)
