"""What people do on the page over and over, as often as is asked for: tests do it a little, benchmarks a lot."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from generated_run import run_config
from review_browser import PAIR, enter, open_site, place_point, saved, screen, show, wait
from review_server import Client, Server, serving, tie_point

from catalog.verify import verify_release
from pipeline.ledger import Ledger, State
from raster.homography import apply_homography
from raster.pixels import outline
from stages.acquire.simulated import read_truth
from stages.rasters import open_raster
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


ZOOMS = (4, 2, 1, 0.5, 0.25, 0.125)
"""Raster px a screen px: zooms 1/4 to 8x."""


def placed_and_dragged(page: Any, workspace: Path, name: str, resolutions: Sequence[float], seed: int) -> Any:
    """Place a point at each resolution and drag one of its sides, zoom about, and come again.

    Args:
        page: At the raster pair, whose rasters have 900 px a side; it has no points yet.
        workspace: Where the points are stored.
        name: The raster pair.
        resolutions: Raster px a screen px, a point each; at most 16.
        seed: Of the places.

    Returns:
        Rows of resolution and the greatest distance, raster px along an axis, of what is stored from where the mouse
        was. Zooming and coming again have changed nothing.
    """
    rng = np.random.default_rng(seed)
    page.keyboard.press("a")
    wanted = []
    for number, resolution in enumerate(resolutions):
        # Apart from each other by more than a point's own surroundings, at the coarsest zoom too.
        on_map = np.array([150 + number % 4 * 200, 150 + number // 4 * 200]) + rng.uniform(-40, 40, 2)
        places = [on_map, on_map + rng.uniform(-9, 9, 2)]
        place_point(page, tuple(places[0]), tuple(places[1]), resolution)
        side = number % 2
        panel = ("map", "visible")[side]
        to = places[side] + np.array([14, -9]) * resolution
        show(page, panel, *places[side], resolution)
        page.mouse.move(*screen(page, panel, *places[side]))
        page.mouse.down()
        page.mouse.move(*screen(page, panel, *(places[side] + [9 * resolution, 0])), steps=3)
        page.mouse.move(*screen(page, panel, *to), steps=3)
        page.mouse.up()
        places[side] = to
        wanted.append(np.concatenate(places))
    saved(page)
    stored = points_on_disk(workspace, name)
    for resolution in (8, 0.5, 0.0625):
        for panel in ("map", "visible"):
            show(page, panel, 400, 400, resolution)
    page.reload()
    page.wait_for_selector("#room.site")
    open_site(page, name)
    assert points_on_disk(workspace, name) == stored
    found = [[p.map_x, p.map_y, p.visible_x, p.visible_y] for p in stored.values()]
    keys = "[point.map_x, point.map_y, point.visible_x, point.visible_y]"
    assert page.evaluate(f"{PAIR}.points.list.map(point => {keys})") == found
    return list(zip(resolutions, np.abs(np.array(found) - wanted).max(axis=1).tolist(), strict=True))


def settled_from_page(chrome: Any, server: Server, noise_px: float, seed: int) -> str:
    """Carry the first raster pair of the queue as a person does: twelve points all over it, accepted.

    Args:
        chrome: The browser.
        server: Of the workspace, whose rasters are simulated.
        noise_px: How far off the person clicks: standard deviation along each axis, image px.
        seed: Of what is off.

    Returns:
        The name of the raster pair.
    """
    watched = enter(chrome, server.address)
    page = watched.page
    name = str(page.locator(".list .card.at").get_attribute("data-name"))
    to_visible = read_truth(server.workspace / "rasters" / name / "truth.json").to_visible
    page.keyboard.press("Enter")
    wait(page, "document.querySelector('#room.site')?.pair")
    assert page.locator(".bar .badge").text_content() == "needs a person"
    (width, height), image = (page.evaluate(f"{PAIR}.sizes.{side}") for side in ("map", "visible"))
    places = np.array([[x * width, y * height] for y in (0.08, 0.5, 0.92) for x in (0.08, 0.36, 0.64, 0.92)])
    clicked = to_visible(places) + np.random.default_rng(seed).normal(0, noise_px, places.shape)
    assert ((clicked > 0) & (clicked < np.array(image) - 1)).all()
    page.keyboard.press("a")
    for on_map, on_image in zip(places, clicked, strict=True):
        place_point(page, tuple(on_map), tuple(on_image))
    saved(page)
    wait(page, f"{PAIR}.fit().accepted === true")
    heat = f"{PAIR}.views.visible.getLayers().getArray().find((layer) => layer.getZIndex() === 5)"
    left, bottom, right, top = page.evaluate(f"{heat}.getSource().getExtent()")
    # The map reaches beyond the image on every side, and the expected error with it.
    assert (left < 0, right > image[0], bottom < -image[1], top > 0) == (True, True, True, True)
    page.keyboard.press("Escape")
    page.keyboard.press("y")
    wait(page, "document.querySelector('.bar .badge').textContent === 'accepted by a person'")
    assert (watched.complaints, watched.elsewhere) == ([], [])
    page.context.close()
    return name


def refused_sites_to_release(chrome: Any, config: Path, workspace: Path, noise_px: float) -> dict[str, Any]:
    """Carry each site that a finished run of simulated rasters refused from the page to the release.

    Args:
        chrome: The browser.
        config: Of the run.
        workspace: Of the run; it is changed.
        noise_px: How far off the person clicks: standard deviation along each axis, image px.

    Returns:
        By site: the units that ran again, faults of the release, whose word the manifest says it is, and how far the
        corners of the map lie from the truth, px.
    """
    rows: dict[str, Any] = {}
    while left := [name for name in refused_sites(workspace) if name not in rows]:
        with serving(workspace) as server:
            name = settled_from_page(chrome, server, noise_px, seed=len(rows))
        assert name in left, "the queue begins with what is refused"
        rasters = workspace / "rasters" / name
        truth = read_truth(rasters / "truth.json")
        done = run_config(config, workspace)
        aligned = json.loads((workspace / "alignment" / name / "alignment.json").read_text())
        with open_raster(rasters / "map.tif") as reader:
            corners = outline(reader.width, reader.height)
        apart = apply_homography(np.array(aligned["homography"]), corners) - truth.to_visible(corners)
        manifest = pq.read_table(workspace / "release" / "manifest.parquet").to_pylist()
        of_site = [row for row in manifest if f"{row['point_id']}/{row['site_id']}" == name]
        rows[name] = {
            "verdict": aligned["verdict"],
            "units_run_again": sorted(done),
            "faults_of_the_release": [str(fault) for fault in verify_release(workspace / "release")],
            "pairs": len(of_site),
            "review": sorted({f"{row['review']} by {row['reviewed_by']}" for row in of_site}),
            "corners_px": round(float(np.linalg.norm(apart, axis=1).max()), 2),
        }
    return rows


def refused_sites(workspace: Path) -> list[str]:
    """Return the sites whose alignment a run refused."""
    with Ledger(workspace / "engine" / "ledger.sqlite", read_only=True) as ledger:
        return [name for name, record in ledger.records("align").items() if record.state == State.REJECTED]


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
