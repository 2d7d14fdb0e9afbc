"""Results of several benchmarks of the same pairs, joined into one folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from matcher.benchmark.measured import Batch, joined, read_rows
from matcher.benchmark.readers import PairSpec, open_pairs
from matcher.benchmark.report import write_report
from matcher.benchmark.summary import summarise
from matcher.errors import InputError
from raster.levels import Level
from stages.benchmark import FOLDER, levels_of


def merge_results(folders: Sequence[Path], out: Path, pairs: Path | None = None) -> Path:
    """Join the rows of several folders of results and write the report of all.

    Args:
        folders: Of the results; rows of the first count where several have a matcher, level and pair.
        out: Folder of the joined results, none of `folders`; a later benchmark of the same pairs there adds to them.
        pairs: Where the pairs lie on this machine; default: where they lay when they were measured.

    Returns:
        The folder of the report.

    Raises:
        InputError: The results are not of the same pairs and levels, or contradict themselves.
        ConfigError: Their file of levels cannot be read.
    """
    if out.resolve() in [folder.resolve() for folder in folders]:
        raise InputError(f"{out}: is one of the folders to merge; give another one")
    found = joined(folders)
    rows = read_rows([path for path, _ in found])
    spec, levels = _set_of(found, pairs), _levels_of(found)
    environment = {
        name: sorted({batch.made[fact] for _, batch in found})
        for name, fact in (("hardware", "hardware"), ("commits", "commit"), ("days", "day"))
    }
    results = summarise(rows, spec, levels, {**environment, "mapdata": version("mapdata")})
    target = out / FOLDER
    for folder in reversed(folders):  # the first one's files are written last, over the others'
        shutil.copytree(folder / FOLDER / "rows", target / "rows", dirs_exist_ok=True)
    drawable = Path(spec.path).exists()
    write_report(target, results, rows, open_pairs(spec) if drawable else [], levels)
    return target


def _set_of(found: Sequence[tuple[Path, Batch]], pairs: Path | None) -> PairSpec:
    specs = [PairSpec(**batch.payload["pairs"]) for _, batch in found]
    if pairs is not None:
        return PairSpec(**{**specs[0].to_json(), "path": str(pairs)})
    return next((spec for spec in specs if Path(spec.path).exists()), specs[0])


def _levels_of(found: Sequence[tuple[Path, Batch]]) -> dict[str, Level]:
    """Return the levels: the published ones, or those of a file that must be there."""
    file = next((batch.payload["levels_file"] for _, batch in found if batch.payload["levels_file"]), "")
    return levels_of(Path(file) if file else None)
