"""Verdicts on raster pairs: what may be said of them, checked by the server whatever the page shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.errors import PermanentError
from pipeline.workspace import now
from raster.homography import apply_homography
from raster.manual.verdict import PointLimits
from review.documents import Document, digest_of_alignment
from review.errors import Refused
from review.fit import fit_points_of
from review.sites import Site
from stages.review.verdicts import SiteVerdict, site_verdict_from_json
from stages.tiepoints import arrays

FAR_PX = 10.0
"""Points that lie farther from an accepted alignment contradict it."""


def settled(
    site: Site, document: Document, value: Any, operator: str, limits: PointLimits, tried: Mapping[str, Any]
) -> SiteVerdict | None:
    """Return the verdict that an operator gives, None where they take theirs back.

    Args:
        site: The raster pair.
        document: Its points, as they are saved.
        value: What the client sent: verdict, reason, note, override; or null.
        operator: Who says so.
        limits: Of the tests of manual points.
        tried: The alignment that was tried with these very points (content of `alignment.json`, and its `digest`),
            empty where none was.

    Raises:
        Refused: 422 where something is missing; 409 where there is nothing to reject, or where tests fail and the
            acceptance is no override.
    """
    if value is None:
        return None
    if not isinstance(value, dict) or not set(value) <= {"verdict", "reason", "note", "override"}:
        raise Refused(422, "a verdict has verdict, reason, note and override")
    present = digest_of_alignment(site)
    judged = {"alignment": tried.get("digest", "") or present, "points": document.digest_of_points}
    try:
        verdict = site_verdict_from_json(value | {"operator": operator, "date": now()} | judged, "the verdict")
    except PermanentError as error:
        raise Refused(422, str(error)) from error
    if verdict.verdict == "rejected":
        if not present:
            raise Refused(409, "it is not aligned yet, so there is nothing to reject: run at least as far as `align`")
        # It is the alignment of the last run that is rejected, whatever was tried since.
        return replace(verdict, alignment=present)
    failed = _failed(site, document, limits, tried)
    if not failed:
        return replace(verdict, override=False)
    if not verdict.override:
        raise Refused(409, f"the tests fail, so this cannot be accepted: {failed}", failed=failed)
    if not verdict.alignment:
        raise Refused(422, "there is no alignment that could be accepted: align first")
    return verdict


def _failed(site: Site, document: Document, limits: PointLimits, tried: Mapping[str, Any]) -> str:
    """Return why a raster pair cannot be accepted, empty where it can.

    What the page lets through is tested again by the run: here it is only kept from promising what will not hold.
    """
    if not document.points:
        return "" if site.accepted else (site.reason or "it is not aligned")
    if tried:
        return "" if tried["verdict"] == "accepted" else str(tried["reason"])
    fit = fit_points_of(site, document.points, limits)
    if fit["accepted"]:
        return ""
    if not site.accepted:
        return str(fit["reason"])
    source, target = arrays(document.points)
    homography = np.asarray(site.aligned["homography"], np.float64)
    far = np.linalg.norm(apply_homography(homography, source) - target, axis=1) > FAR_PX
    names = [point.name for point, is_far in zip(document.points, far, strict=True) if is_far]
    return f"points over {FAR_PX:g} px from the accepted alignment: {', '.join(names)}" if names else ""
