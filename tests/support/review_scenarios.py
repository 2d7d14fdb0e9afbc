"""What people do on the page over and over, as often as is asked for: tests do it a little, benchmarks a lot."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
from generated_run import run_config
from review_browser import PAIR, enter, open_site, saved, wait
from review_server import Client, Server, serving, tie_point

from stages.tiepoints import TiePoint, read_tiepoints


def points_on_disk(workspace: Path, name: str) -> dict[str, TiePoint]:
    """Return the tie points of a site by name."""
    path = workspace / "tiepoints" / f"{name}.csv"
    return {point.name: point for point in read_tiepoints(path)} if path.is_file() else {}


def disk_screen_journal(page: Any, workspace: Path, name: str) -> None:
    """Assert that the screen, the file and the last line of the journal hold the same points."""
    shown = page.evaluate(f"{PAIR}.points.list")
    places = ("map_x", "map_y", "visible_x", "visible_y")
    disk = [vars(point) for point in points_on_disk(workspace, name).values()]
    on_screen, on_disk = ([[p[key] for key in ("name", *places)] for p in points] for points in (shown, disk))
    assert on_screen == on_disk
    lines = (workspace / "review/journal.jsonl").read_text().splitlines()
    entries = [entry for entry in map(json.loads, lines) if entry["site"] == name and entry["action"] != "tiles"]
    assert not shown or entries[-1]["state"]["points"] == disk


def random_edits(chrome: Any, server: Server, name: str, edits: int, seed: int) -> None:
    """Edit, undo, redo and reload at random, kill the server halfway and start it again: all places must agree."""
    rng = np.random.default_rng(seed)
    watched = enter(chrome, server.address)
    page = watched.page
    open_site(page, name)
    with_restart = None
    for step in range(edits):
        _random_edit(page, rng, step)
        if step == edits // 2:
            server.kill()
            _random_edit(page, rng, step + 10_000)
            with_restart = serving(server.workspace, port=server.port)
            with_restart.__enter__()
        if rng.random() < 0.1:
            saved(page)
            disk_screen_journal(page, server.workspace, name)
            page.reload()
            wait(page, "document.querySelector('#room.site')?.pair")
    saved(page)
    disk_screen_journal(page, server.workspace, name)
    page.context.close()
    assert with_restart is not None
    with_restart.__exit__(None, None, None)
    assert [text for text in watched.complaints if "ERR_CONNECTION" not in text] == []


def _random_edit(page: Any, rng: np.random.Generator, step: int) -> None:
    what = rng.choice(["add", "add", "add", "move", "move", "remove", "undo", "redo"])
    x, y = (float(value) for value in rng.uniform(20, 880, 2))
    count = page.evaluate(f"{PAIR}.points.list.length")
    at = int(rng.integers(max(count, 1)))
    if what == "add":
        point = tie_point(f"Ada-{step}", x, y, x + 1.25, y - 0.5)
        page.evaluate(f"point => {PAIR}.points.edit([...{PAIR}.points.list, point])", point)
    elif count and what == "move":
        page.evaluate(f"([at, x]) => {PAIR}.points.move({PAIR}.points.list[at].name, {{ map_x: x }})", [at, x])
    elif count and what == "remove":
        page.evaluate(f"at => {PAIR}.points.remove({PAIR}.points.list[at].name)", at)
    elif what in ("undo", "redo"):
        page.evaluate("document.activeElement?.blur()")
        page.keyboard.press("Control+z" if what == "undo" else "Control+y")


def two_browsers(chrome: Any, server: Server, name: str, edits: int, seed: int) -> dict[str, int]:
    """Edit the same site in two browsers, one step each in turn, now and then the same point: nothing may be lost.

    Returns:
        How many conflicts were `made`, and how many were `shown`.
    """
    rng = np.random.default_rng(seed)
    client = Client(server.address)
    pages = []
    for operator in ("Ada", "Bob"):
        _, said = client.ask("POST", "/api/invite", {"operator": operator})
        watched = enter(chrome, server.origin + said["path"])
        open_site(watched.page, name)
        pages.append(watched)
    conflicts = {"made": 0, "shown": 0}
    expected: dict[str, float] = {}
    for step in range(edits):
        first, second = (pages[step % 2], pages[1 - step % 2])
        if step % 6 == 5 and expected:
            _conflict(first.page, second.page, str(rng.choice(sorted(expected))), float(step), expected)
            conflicts["made"] += 1
            conflicts["shown"] += 1
            continue
        point = tie_point(f"{'AB'[step % 2]}-{step}", float(step), 10.0, float(step), 11.0, ("Ada", "Bob")[step % 2])
        first.page.evaluate(f"point => {PAIR}.points.edit([...{PAIR}.points.list, point])", point)
        expected[point["name"]] = point["map_x"]
        if step % 3 == 0:
            saved(first.page)
    for watched in pages:
        saved(watched.page)
    stored = {name: point.map_x for name, point in points_on_disk(server.workspace, name).items()}
    assert stored == expected
    for watched in pages:
        assert [text for text in watched.complaints if "412" not in text] == []
        watched.page.context.close()
    return conflicts


def _conflict(first: Any, second: Any, name: str, value: float, expected: dict[str, float]) -> None:
    """Have both browsers change the same point: whoever saves last is shown both, and takes the other's."""
    for page in (first, second):
        saved(page)
        wait(page, f"name => {PAIR}.points.get(name) !== undefined", name)
    second.evaluate(f"{PAIR}.saver.paused = true")
    second.evaluate(f"([name, x]) => {PAIR}.points.move(name, {{ map_x: x }})", [name, value + 0.5])
    first.evaluate(f"([name, x]) => {PAIR}.points.move(name, {{ map_x: x }})", [name, value + 0.25])
    saved(first)
    second.evaluate(f"{PAIR}.saver.paused = false; {PAIR}.points.dispatchEvent(new Event('change'))")
    second.wait_for_selector("dialog.conflict[open]")
    assert second.locator("dialog.conflict tbody tr").count() == 1
    second.locator("dialog.conflict input[value=theirs]").check()
    second.locator("dialog.conflict menu button").click()
    saved(second)
    expected[name] = value + 0.25


def runs_beside_saves(client: Client, workspace: Path, config: Path, runs: int) -> int:
    """Start runs while points are saved without a pause; return how many saves there were. None may be lost."""
    stop, wrong, saves = threading.Event(), list[Any](), 0

    def save() -> None:
        nonlocal saves
        tag = client.get("/api/sites/001/1")["tag"]
        while not stop.is_set():
            points = [tie_point("a", 1.0 * saves, 2.0, 3.0, 4.0)]
            status, said = client.ask("PUT", "/api/sites/001/1/points", {"points": points}, tag)
            if status != 200:
                wrong.append(said)
                return
            tag = said["tag"]
            stored = read_tiepoints(workspace / "tiepoints/001/1.csv")
            if stored[0].map_x != saves:
                wrong.append((saves, stored))
            saves += 1

    saver = threading.Thread(target=save)
    saver.start()
    for _ in range(runs):
        run_config(config, workspace)
    stop.set()
    saver.join()
    assert wrong == []
    assert saves > runs
    return saves
