"""Whoever changes what a stage does says so: by its version, or by recording that results stay as they were."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import stage_sources
from stage_sources import RECORD, current, digest_of, sources_of

pytestmark = pytest.mark.unit

REMEDY = (
    "If the same inputs now give other results, bump `version` of these stages, so that workspaces are done again; "
    "if not, leave it. Then record the sources: python tests/support/stage_sources.py"
)


def test_the_code_of_every_stage_is_the_recorded_one() -> None:
    recorded, now = json.loads(RECORD.read_text()), current()
    stages = [name for name in now["stages"] if recorded["stages"].get(name) != now["stages"][name]]
    changed = [name for name in now["modules"] if recorded["modules"].get(name) != now["modules"][name]]
    gone = sorted(recorded["stages"].keys() - now["stages"].keys())
    different = stages + gone
    assert not different, (
        f"the code of {len(different)} stages is not the recorded one: {', '.join(different)}. "
        f"Modules that changed: {', '.join(changed) or 'none; what they import did'}. {REMEDY}"
    )


def test_the_sources_of_a_stage_are_all_that_it_may_run() -> None:
    acquire = sources_of("stages.acquire")
    assert {"stages.acquire.mbtiles", "stages.fetch.client", "raster.grid", "cartography.mapnik_renderer"} <= acquire
    assert "stages.align.verdict" not in acquire
    assert not any(name.startswith(("pipeline", "mapdata")) for name in acquire)
    assert "matcher.dense.matcher" in sources_of("stages.align"), "imported within a function"


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ('"""Other words."""\n\n# A comment.\ndef f(x):\n    """Say."""\n    return x + 1\n', True),
        ("def f(x):\n    return (x + 1)\n", True),
        ("def f(x):\n    return x + 2\n", False),
        ("def f(x):\n    return x - 1\n", False),
        ("def g(x):\n    return x + 1\n", False),
        ("LIMIT = 0.5\n\n\ndef f(x):\n    return x + 1\n", False),
    ],
)
def test_words_and_layout_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, same: bool) -> None:
    monkeypatch.setattr(stage_sources, "_files", lambda: {"first": tmp_path / "1.py", "second": tmp_path / "2.py"})
    (tmp_path / "1.py").write_text('"""Words."""\ndef f(x):\n    return x + 1\n')
    (tmp_path / "2.py").write_text(text)
    for cached in (stage_sources._tree, digest_of):
        cached.cache_clear()
    try:
        assert (digest_of("first") == digest_of("second")) is same
    finally:
        for cached in (stage_sources._tree, digest_of):
            cached.cache_clear()
