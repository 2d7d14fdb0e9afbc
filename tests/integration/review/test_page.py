"""The page in a real browser: what a person does on it is what is stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from review_browser import PAIR, Watched, browser, enter, open_site, place_point, saved, screen, show, wait
from review_scenarios import (
    ZOOMS,
    disk_screen_journal,
    placed_and_dragged,
    points_on_disk,
    random_edits,
    two_browsers,
)
from review_server import Server, serving, tie_point

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def chrome() -> Iterator[Any]:
    with browser() as started:
        yield started


@pytest.fixture
def server(workspace: Path) -> Iterator[Server]:
    with serving(workspace) as started:
        yield started


@pytest.fixture
def watched(chrome: Any, server: Server) -> Iterator[Watched]:
    found = enter(chrome, server.address)
    yield found
    assert found.complaints == []
    assert found.elsewhere == []
    found.page.context.close()


def test_points_are_stored_where_they_were_placed_and_dragged(watched: Watched, workspace: Path) -> None:
    open_site(watched.page, "001/1")
    for resolution, error in placed_and_dragged(watched.page, workspace, "001/1", 2 * ZOOMS, seed=7):
        assert error <= (0.1 if resolution == 0.125 else resolution / 2 + 1e-9), resolution


def test_a_side_that_only_the_fit_predicts_is_no_point(watched: Watched, workspace: Path) -> None:
    page = watched.page
    open_site(page, "001/1")
    page.keyboard.press("a")
    show(page, "map", 300, 300, 1)
    page.mouse.click(*screen(page, "map", 300, 300))
    page.wait_for_timeout(600)
    assert page.evaluate(f"{PAIR}.points.list.length") == 0
    page.keyboard.press("Escape")
    show(page, "visible", 500, 400, 1)
    page.mouse.click(*screen(page, "visible", 500, 400))
    page.mouse.click(*screen(page, "map", 505, 398))
    wait(page, f"{PAIR}.points.list.length === 1")
    saved(page)
    (point,) = points_on_disk(workspace, "001/1").values()
    assert np.allclose([point.visible_x, point.visible_y, point.map_x, point.map_y], [500, 400, 505, 398], atol=0.51)


def test_escape_ends_a_drag_where_it_began(watched: Watched, workspace: Path) -> None:
    page = watched.page
    open_site(page, "001/1")
    page.keyboard.press("a")
    place_point(page, (300, 300), (301, 299))
    saved(page)
    before = points_on_disk(workspace, "001/1")
    show(page, "map", 300, 300, 0.25)
    page.mouse.move(*screen(page, "map", 300, 300))
    page.mouse.down()
    page.mouse.move(*screen(page, "map", 320, 310), steps=4)
    shown = page.locator("[data-panel=map] .loupe:not([hidden]) small").text_content()
    assert np.allclose([float(value) for value in shown.split(",")], [320, 310], atol=0.2)
    page.keyboard.press("Escape")
    assert page.locator(".loupe:not([hidden])").count() == 0
    page.mouse.move(*screen(page, "map", 330, 310), steps=2)
    page.mouse.up()
    page.wait_for_timeout(500)
    saved(page)
    assert points_on_disk(workspace, "001/1") == before


def test_keyboard_alone_places_six_points_and_accepts(watched: Watched, workspace: Path) -> None:
    page = watched.page
    page.keyboard.press("/")
    page.keyboard.type("002/1")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    wait(page, "document.querySelector('#room.site')?.pair")
    page.keyboard.press("1")
    page.keyboard.press("w")
    round_about = "LLLUUU", "RRRRRR", "DDDDDD", "LLLLLL", "UUURRR", "UUU"
    keys = {"L": "ArrowLeft", "R": "ArrowRight", "U": "ArrowUp", "D": "ArrowDown"}
    for number, moves in enumerate([keys[each] for each in leg] for leg in round_about):
        page.keyboard.press("Escape")
        for key in moves:
            page.keyboard.press(key)
        page.keyboard.press("p")
        page.keyboard.press("s" if number % 2 else "Control+ArrowRight")
        wait(page, f"count => {PAIR}.points.list.length === count", number + 1)
        page.keyboard.press("Escape")
    saved(page)
    wait(page, f"{PAIR}.fit()?.accepted === true")
    page.keyboard.press("y")
    wait(page, "document.querySelector('.bar .badge').textContent === 'accepted by a person'")
    verdict = json.loads((workspace / "verdicts/002/1.json").read_text())
    assert (verdict["verdict"], verdict["operator"], verdict["override"]) == ("accepted", "Ada", False)
    assert len(points_on_disk(workspace, "002/1")) == 6


def test_keys_mean_nothing_in_a_text_field(watched: Watched, workspace: Path) -> None:
    page = watched.page
    page.keyboard.press("/")
    page.keyboard.type("gqy?n")
    assert page.evaluate("location.hash") in ("", "#/queue")
    assert page.locator("dialog[open]").count() == 0
    assert page.locator(".list .card").count() == 0
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert page.locator("dialog[open] kbd").count() > 8


def test_a_rejection_by_its_reason_and_back(watched: Watched, workspace: Path) -> None:
    page = watched.page
    open_site(page, "003/1")
    page.keyboard.press("b")
    page.keyboard.press("4")
    page.keyboard.press("Enter")
    wait(page, "document.querySelector('.bar .badge').textContent === 'rejected by a person'")
    verdict = json.loads((workspace / "verdicts/003/1.json").read_text())
    assert (verdict["reason"], verdict["operator"]) == ("cloud or snow", "Ada")
    page.get_by_role("button", name="Take back").click()
    wait(page, "document.querySelector('.bar .badge').textContent === 'accepted'")
    assert not (workspace / "verdicts/003/1.json").exists()


FAULTS = """() => {
    const found = [];
    const kinds = 'button, select, input, h1, .badge, .count, th, td, dt, dd, p, small, b';
    const seen = [...document.querySelectorAll(kinds)].filter((each) =>
        each.checkVisibility() && each.getClientRects().length && !each.closest('.scroll, .list, .grid'));
    const boxes = seen.map((each) => each.getBoundingClientRect());
    const name = (each) => each.textContent.trim().slice(0, 40) || each.getAttribute('aria-label') || each.placeholder;
    seen.forEach((each, i) => {
        const box = boxes[i];
        const off = Math.max(-box.left, -box.top, box.right - innerWidth, box.bottom - innerHeight);
        if (off > 1) found.push(`off the screen: ${name(each)}`);
        const cut = each.matches('button, h1, .badge') && each.scrollWidth > each.clientWidth + 1;
        if (cut) found.push(`cut off: ${name(each)}`);
        if (parseFloat(getComputedStyle(each).fontSize) < 10) found.push(`tiny: ${name(each)}`);
        seen.forEach((other, j) => {
            if (j <= i || each.contains(other) || other.contains(each)) return;
            const across = Math.min(box.right, boxes[j].right) - Math.max(box.left, boxes[j].left);
            const down = Math.min(box.bottom, boxes[j].bottom) - Math.max(box.top, boxes[j].top);
            if (across > 2 && down > 2) found.push(`${name(each)} over ${name(other)}`);
        });
    });
    return found;
}"""
"""What lies off the screen, is cut off, tiny, or over something else."""


def test_nothing_overlaps_or_is_cut_off(watched: Watched) -> None:
    page = watched.page
    for width, height in ((1280, 800), (1920, 1080)):
        page.set_viewport_size({"width": width, "height": height})
        for room, shown in (("queue", ".list .card"), ("site/001/1", ".points"), ("gallery", ".tile[data-pair]")):
            page.evaluate("room => { location.hash = `#/${room}` }", room)
            page.wait_for_selector(shown)
            assert page.evaluate(FAULTS) == [], (width, room)
            for keys in (["?"], ["Enter", "2"]) if room == "gallery" else (["?"],):
                for key in keys:
                    page.keyboard.press(key)
                page.wait_for_selector("dialog[open]")
                page.wait_for_timeout(200)
                high, seen = page.evaluate(
                    "(({ scrollHeight: a, clientHeight: b }) => [a, b])(document.querySelector('dialog'))"
                )
                assert high <= seen + 1, (width, room, keys)  # title and buttons are in sight
                page.keyboard.press("Escape")
                page.wait_for_selector("dialog[open]", state="detached")


def test_coordinates_can_be_typed_and_say_by_whom(watched: Watched, workspace: Path) -> None:
    page = watched.page
    open_site(page, "001/1")
    point = tie_point("Bob-1", 100.0, 200.0, 101.0, 201.0, "Bob")
    page.evaluate(f"point => {PAIR}.points.edit([point])", point)
    page.locator(".points tbody tr").click()
    page.locator(".typed [data-key=visible_y]").fill("207.25")
    page.keyboard.press("Enter")
    saved(page)
    (stored,) = points_on_disk(workspace, "001/1").values()
    assert (stored.visible_y, stored.operator) == (207.25, "Ada")


def test_random_edits_undos_reloads_and_a_kill(chrome: Any, workspace: Path) -> None:
    with serving(workspace) as server:
        random_edits(chrome, server, "001/1", edits=24, seed=1)


def test_two_browsers_lose_no_point(chrome: Any, workspace: Path) -> None:
    with serving(workspace) as server:
        conflicts = two_browsers(chrome, server, "001/1", edits=12, seed=2)
    assert conflicts["shown"] == conflicts["made"] > 0


def test_the_server_may_go_and_come_back(watched: Watched, server: Server, workspace: Path) -> None:
    page = watched.page
    open_site(page, "001/1")
    page.keyboard.press("a")
    place_point(page, (200, 200), (201, 201))
    saved(page)
    server.kill()
    place_point(page, (600, 300), (601, 301))
    page.wait_for_selector("#banner:not([hidden])")
    with serving(workspace, port=server.port):
        saved(page)
        page.wait_for_selector("#banner", state="hidden")
        disk_screen_journal(page, workspace, "001/1")
        assert len(points_on_disk(workspace, "001/1")) == 2
    watched.complaints[:] = [text for text in watched.complaints if "ERR_CONNECTION" not in text]


def test_what_cannot_be_saved_is_neither_judged_nor_lost(watched: Watched, workspace: Path) -> None:
    page = watched.page
    open_site(page, "001/1")
    damaged = workspace / "tiepoints/001/1.csv"
    damaged.parent.mkdir(parents=True)
    damaged.write_text("name,map_x\na,one\n")
    page.keyboard.press("a")
    place_point(page, (200, 200), (201, 201))
    wait(page, f"{PAIR}.saver.state === 'failed'")
    page.keyboard.press("y")
    wait(page, "document.querySelector('#toast').textContent.startsWith('The points are not saved')")
    assert not (workspace / "verdicts/001/1.json").exists()
    page.keyboard.press("q")
    page.wait_for_selector("dialog[open] .failed")
    tries = len(watched.complaints)
    page.keyboard.press("Enter")  # tries again; the room stays until they are saved or given up
    while len(watched.complaints) == tries:
        page.wait_for_timeout(50)
    page.wait_for_selector("dialog[open] .failed")
    assert page.locator(".points tbody tr").count() == 1
    damaged.unlink()
    page.keyboard.press("Enter")
    page.wait_for_selector(".list .card")
    assert list(points_on_disk(workspace, "001/1")) == ["Ada-1"]
    watched.complaints[:] = [text for text in watched.complaints if "409" not in text]


def test_a_point_begun_in_one_tab_is_none_of_another_tab(watched: Watched, server: Server, workspace: Path) -> None:
    page = watched.page
    open_site(page, "001/1")
    page.keyboard.press("a")
    show(page, "map", 300, 300, 0.25)
    page.mouse.click(*screen(page, "map", 300, 300))
    other = page.context.new_page()
    other.goto(f"{server.origin}/#/site/001/1")
    wait(other, "document.querySelector('#room.site')?.pair")
    other.keyboard.press("a")
    place_point(other, (600, 600), (601, 601))
    saved(other)
    page.wait_for_timeout(3500)  # as long as the page takes to ask what others did
    show(page, "visible", 302, 301, 0.25)
    page.mouse.click(*screen(page, "visible", 302, 301))
    saved(page)
    assert [round(point.map_x) for point in points_on_disk(workspace, "001/1").values()] == [600, 300]
    watched.complaints[:] = [text for text in watched.complaints if "412" not in text]


def test_a_page_takes_up_what_a_run_made_meanwhile(watched: Watched, workspace: Path) -> None:
    page = watched.page
    open_site(page, "001/1")
    alignment = workspace / "alignment/001/1/alignment.json"
    alignment.write_bytes(alignment.read_bytes() + b"\n")
    wait(page, "document.querySelector('#toast').textContent.startsWith('A run took up')")
    open_site(page, "001/1")
    page.keyboard.press("y")
    wait(page, "document.querySelector('.bar .badge').textContent === 'accepted by a person'")


def test_hurried_keys_build_one_room(watched: Watched) -> None:
    page = watched.page
    page.evaluate("for (const room of ['gallery', 'site/002/1', 'queue', 'site/001/1']) location.hash = `#/${room}`")
    open_site(page, "001/1")
    page.wait_for_timeout(2000)
    assert [page.locator(f"#room > {part}").count() for part in (".bar", ".panels", "aside")] == [1, 1, 1]


@pytest.mark.parametrize("side", ["map", "visible"])
def test_as_it_will_be_cut_is_on_the_screen_to_the_pixel(chrome: Any, resampled: Path, side: str) -> None:
    """The map over the image at full and at no weight, one pixel of the grid of tiles a pixel of the screen."""
    with serving(resampled, "--read-only") as server:
        watched = enter(chrome, server.address)
        page = watched.page
        open_site(page, "001/1")
        page.keyboard.press("3")
        step, stride = page.evaluate(f"[{PAIR}.overlay._site.cut.to_visible[0][0], {PAIR}.overlay._site.cut.stride]")
        page.evaluate(f"{PAIR}.overlay.show('cut', {1 if side == 'map' else 0})")
        middle = 2 * stride * step - 0.5  # the corner of four tiles
        show(page, "overlay", middle, middle, step)
        page.wait_for_timeout(1500)
        left, top = screen(page, "overlay", middle, middle)
        clip = {"x": round(left) + 8, "y": round(top) + 24, "width": 120, "height": 120}
        shown = cv2.imdecode(np.frombuffer(page.screenshot(clip=clip), np.uint8), cv2.IMREAD_COLOR)
        assert (watched.complaints, watched.elsewhere) == ([], [])
        page.context.close()
    stored = cv2.imread(str(resampled / f"tiles/001/1/{side}/001_1_0002_0002.png"))
    assert (shown == stored[24:144, 8:128]).all()


def test_the_gallery_makes_only_the_cards_that_are_seen(watched: Watched, workspace: Path) -> None:
    page = watched.page
    page.keyboard.press("g")
    page.wait_for_selector(".tile img")
    assert page.locator(".count").get_attribute("data-found") == "27"
    page.locator("[data-filter=site]").select_option("002/1")
    page.wait_for_selector(".count[data-found='9']")
    page.locator(".tile").nth(1).click()
    page.locator(".tile").nth(3).click(modifiers=["Shift"])
    page.keyboard.press("b")
    page.keyboard.press("Enter")
    page.wait_for_selector(".tile.person.rejected")
    table = (workspace / "verdicts/002/1.tiles.csv").read_text().splitlines()
    assert len(table) == 4
    assert all(",reject,wrong place,Ada," in line for line in table[1:])
    page.keyboard.press("Control+z")
    wait(page, "document.querySelectorAll('.tile.person').length === 0")
    assert not (workspace / "verdicts/002/1.tiles.csv").exists()
    page.keyboard.press("Control+y")
    page.wait_for_selector(".tile.person.rejected")
    assert (workspace / "verdicts/002/1.tiles.csv").read_text().splitlines() == table
    page.locator(".tile.rejected").first.dblclick()
    page.wait_for_selector("dialog[open] .compare img")
    page.keyboard.press("2")
    page.wait_for_selector("dialog[open] .stack")
