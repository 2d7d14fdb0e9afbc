"""Stage `review`: what people say of an alignment -> whether its pairs are published, and by whose word.

Inputs: `alignment/<point>/<site>/alignment.json`, `verdicts/<point>/<site>.json` where a person gave one, and manual
tie points. No file is written: the result's data is a `Review`. A person can reject what was accepted, and accept, with
a note, what the tests refused; without a verdict in force the alignment's own stands. A verdict lapses when what it
judged has changed; the reason says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from pipeline.files import digest_file, read_json
from pipeline.stage import Estimate, Outcome, Result, RunView, Stage, Unit, propagated
from raster.grid import Grid
from stages.align import tiepoint_files
from stages.align.result import Alignment
from stages.rasters import SIDES
from stages.review.agreement import measure_agreement
from stages.review.verdicts import SiteVerdict, digest_of_points, read_site_verdict, site_file
from stages.tiepoints import read_site_tiepoints


class ReviewParams(BaseModel):
    """Nothing to choose: what counts is what people wrote."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Review:
    """What stands of a raster pair.

    Attributes:
        accepted: Whether its pairs may be published.
        aligned: Whether the alignment passed its tests.
        review: What a person's verdict in force is: `accepted`, `override` (accepted against a failed test) or
            `rejected`; empty where no verdict is in force.
        operator: Whose verdict it is, date and reason with it.
        lapsed: Whether a verdict is there that is no longer in force.
        operators: Who marked tie points, `operator_px` and `inter_operator_px`: see `Agreement`.
    """

    accepted: bool
    aligned: bool = False
    review: str = ""
    operator: str = ""
    date: str = ""
    reason: str = ""
    note: str = ""
    lapsed: bool = False
    operators: tuple[str, ...] = ()
    operator_px: tuple[float, ...] = ()
    inter_operator_px: float | None = None

    @property
    def rejected_by_person(self) -> bool:
        """Whether it is a person who rejects it."""
        return self.review == "rejected"

    @property
    def cut(self) -> bool:
        """Whether tiles are cut: of what is accepted, and of what only a person rejects. The latter stay in the
        manifest with the reason, and a rejection that is taken back costs nothing."""
        return self.accepted or (self.aligned and self.rejected_by_person)

    @property
    def sentence(self) -> str:
        """Return why its pairs are rejected by a person, and by whom."""
        note = f" ({self.note})" if self.note else ""
        return f"rejected by {self.operator}: {self.reason}{note}"


class ReviewStage(Stage[ReviewParams]):
    """Put people's verdicts in force; a unit is a site, such as `001/1`."""

    name: ClassVar[str] = "review"
    version: ClassVar[int] = 1
    Params: ClassVar[type[BaseModel]] = ReviewParams
    reads: ClassVar[tuple[str, ...]] = ("acquire", "align")
    roles: ClassVar[tuple[str, ...]] = SIDES

    def plan(self, run: RunView) -> Sequence[Unit]:
        """Return a unit for every site that has an alignment, accepted or not."""
        acquired = run.read("acquire")
        units = []
        for name, aligned in run.read("align").items():
            alignment = alignment_output(aligned)
            if alignment is None:
                continue
            verdict, points = site_file(run.workspace, name), tiepoint_files(run.workspace, name)
            grids = {side: Grid.from_json(acquired[f"{name}/{side}"].data).to_json() for side in SIDES}
            payload = {
                "name": name,
                "alignment": alignment[0],
                "digest": alignment[1],
                "accepted": aligned.outcome is Outcome.DONE,
                "reason": aligned.reason,
                "grids": grids,
                "verdict": verdict.is_file(),
                "tiepoints": [path.relative_to(run.workspace).as_posix() for path in points],
            }
            files = [*([verdict] if verdict.is_file() else []), *points]
            units.append(self.unit(name, payload, [digest_file(path) for path in files]))
        return units

    def estimate(self, run: RunView, before: Mapping[str, Estimate]) -> Estimate | None:
        """Return a unit a raster pair; reading a small file takes no time to speak of."""
        amounts = propagated(before, "align")
        if not amounts.get("raster_pairs"):
            return None
        return Estimate(round(amounts["raster_pairs"]), propagated=amounts)

    def run(self, unit: Unit, workspace: Path) -> Result:
        """Put a verdict in force. Raises PermanentError where a verdict or tie points cannot be read."""
        asked = unit.payload
        name = asked["name"]
        points = read_site_tiepoints(
            [workspace / path for path in asked["tiepoints"]],
            *(Grid.from_json(asked["grids"][side]) for side in ("visible", "map")),
        )
        verdict = read_site_verdict(site_file(workspace, name)) if asked["verdict"] else None
        review = in_force(
            verdict, asked["accepted"], asked["reason"], asked["digest"], digest_of_points([asdict(p) for p in points])
        )
        data = asdict(review)
        if points:
            alignment = read_json(workspace / asked["alignment"], Alignment.from_json)
            agreement = measure_agreement(points, alignment.transform.homography)
            data |= asdict(agreement) if agreement is not None else {}
        outcome = Outcome.DONE if review.accepted else Outcome.REJECTED
        said = review.sentence if review.rejected_by_person else review.reason
        return Result((), data, outcome, said)


def alignment_output(aligned: Result) -> tuple[str, str] | None:
    """Return path and digest of the `alignment.json` of a result of `align`, None where there is none."""
    found = [(entry.path, entry.digest) for entry in aligned.outputs if entry.path.endswith("/alignment.json")]
    return found[0] if found else None


def in_force(verdict: SiteVerdict | None, accepted: bool, reason: str, alignment: str, points: str) -> Review:
    """Return what stands of a raster pair.

    Args:
        verdict: What a person said, None for nothing.
        accepted: Whether the alignment passed its tests.
        reason: What the alignment says of itself.
        alignment: Digest of `alignment.json`.
        points: Digest of the manual tie points (see `digest_of_points`).

    Returns:
        The review, without the agreement of operators.
    """
    if verdict is None:
        return Review(accepted, accepted, reason=reason)
    if not verdict.holds(alignment, points):
        lapsed = f"the verdict of {verdict.operator} ({verdict.verdict}, {verdict.date}) lapsed: what it judged changed"
        return Review(accepted, accepted, reason="; ".join(filter(None, [reason, lapsed])), lapsed=True)
    facts: dict[str, Any] = {"operator": verdict.operator, "date": verdict.date, "note": verdict.note}
    if verdict.verdict == "rejected":
        return Review(False, accepted, "rejected", reason=verdict.reason, **facts)
    if accepted:
        return Review(True, True, "accepted", reason=reason, **facts)
    if verdict.override:
        return Review(True, False, "override", reason=reason, **facts)
    # The tests have the last say: an acceptance that is no override names who looked, and changes nothing.
    return Review(False, False, reason=reason)


def review_of(run: RunView, name: str, accepted: bool) -> Review:
    """Return what stands of a site, for a stage that reads `align` and `review`.

    Args:
        run: What the stage may see.
        name: The site.
        accepted: Whether its alignment passed its tests: what stands in a recipe without the stage `review`.

    Returns:
        The review; a refusal where its unit failed, since a verdict that cannot be read may be a rejection.
    """
    results = run.read("review")
    if name not in results:
        if "review" not in run.results:
            return Review(accepted, accepted)
        return Review(False, False, reason="the verdict on it could not be read")
    data = results[name].data
    return Review(**{**data, **{key: tuple(data[key]) for key in ("operators", "operator_px")}})
