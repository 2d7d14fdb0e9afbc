"""The queue: every raster pair with what is to be known of it, those that need a person first, the worst first."""

from __future__ import annotations

from typing import Any

from pipeline.ledger import State
from review.documents import Document, digest_of_alignment, read_document
from review.errors import Refused
from review.sites import Site, Sites
from review.store import Store


def queue_of(sites: Sites, store: Store) -> dict[str, Any]:
    """Return the rows of the queue in its order, and how many are left.

    Args:
        sites: The raster pairs of the workspace.
        store: Tells whether this server may write.

    Returns:
        JSON-able: `rows`, those that need a person first and, of one status, the lowest agreement first; `counts` by
        status; `writable`.
    """
    rows = [_row(sites, site) for site in sites.all().values()]
    rows.sort(key=lambda row: (_ORDER[row["status"]], row["agreement"] if row["agreement"] is not None else 1.0))
    counts = {status: sum(row["status"] == status for row in rows) for status in _ORDER}
    return {"rows": rows, "counts": counts, "writable": store.journal is not None}


_ORDER = {name: i for i, name in enumerate(("needs-manual", "lapsed", "pending", "accepted", "rejected"))}
"""What a raster pair is to a person: refused by the tests, judged once but changed since, not aligned yet, settled."""


def _row(sites: Sites, site: Site) -> dict[str, Any]:
    fault = ""
    try:
        document = read_document(sites.root, site)
    except Refused as refusal:
        document, fault = Document(), str(refusal)
    verdict = document.verdict
    in_force = verdict is not None and verdict.holds(digest_of_alignment(site), document.digest_of_points)
    if verdict is not None and in_force:
        status = verdict.verdict
    elif verdict is not None:
        status = "lapsed"
    elif site.state in (State.DONE, State.REJECTED):
        status = "accepted" if site.accepted else "needs-manual"
    else:
        status = "pending"
    checks = site.aligned.get("checks") or {}
    return {
        "name": site.name,
        "status": status,
        "state": site.state,
        "reason": fault or site.reason,
        "failed": [name for name, check in checks.items() if not check["passed"]],
        "agreement": site.aligned.get("agreement"),
        "residual_px": site.aligned.get("residual_px"),
        "points": len(document.points),
        "operators": sorted({point.operator for point in document.points if point.operator}),
        "verdict": None if verdict is None else {**vars(verdict), "in_force": in_force},
        "size": site.sides["visible"].size,
        "method": site.aligned.get("method"),
    }
