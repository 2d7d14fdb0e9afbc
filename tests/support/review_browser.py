"""A real browser on the page: what it asks for and complains of is watched."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from review_server import chromium


def wait(page: Any, expression: str, given: Any = None, seconds: float = 60) -> None:
    """Wait until an expression, or a function of `given`, is true in the page (whose policy forbids evaluating it
    there, as Playwright's own waiting would)."""
    until = time.monotonic() + seconds
    while not page.evaluate(expression, given):
        if time.monotonic() > until:
            raise AssertionError(f"not within {seconds} s: {expression} ({given})")
        page.wait_for_timeout(40)


class Watched:
    """A page and what went wrong in it."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.elsewhere: list[str] = []
        page.on("console", lambda said: said.type in ("error", "warning") and self.complaints.append(said.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._asked)

    def _asked(self, request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("blob", "data") and parts.hostname != "127.0.0.1":
            self.elsewhere.append(request.url)


@contextmanager
def browser() -> Iterator[Any]:
    """Start a headless browser; skip where there is none."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield started
        finally:
            started.close()


def enter(started: Any, address: str, width: int = 1280, height: int = 800, shown: str = ".list .card") -> Watched:
    """Open the page in a context of its own, as another person's browser would."""
    context = started.new_context(viewport={"width": width, "height": height})
    context.set_default_timeout(60_000)
    watched = Watched(context.new_page())
    watched.page.goto(address)
    watched.page.wait_for_selector(shown)
    return watched


def open_site(page: Any, name: str) -> None:
    """Go to a raster pair and wait until its views are there."""
    page.evaluate("name => { location.hash = `#/site/${name}` }", name)
    shown = "document.querySelector('.bar h1')?.textContent === name"
    wait(page, f"name => document.querySelector('#room.site')?.pair && {shown}", name)
    page.wait_for_timeout(150)


PAIR = "document.querySelector('#room').pair"


def show(page: Any, panel: str, x: float, y: float, resolution: float) -> None:
    """Bring a pixel to the middle of a panel, at so many pixels a screen pixel."""
    script = f"""([panel, x, y, resolution]) => {{
        const view = {PAIR}.views[panel].getView();
        view.setResolution(resolution); view.setRotation(0); view.setCenter([x + 0.5, -(y + 0.5)]);
        {PAIR}.views[panel].renderSync();
    }}"""
    page.evaluate(script, [panel, x, y, resolution])


def screen(page: Any, panel: str, x: float, y: float) -> tuple[float, float]:
    """Return where a pixel is on the screen."""
    script = f"""([panel, x, y]) => {{
        const map = {PAIR}.views[panel], box = map.getTargetElement().getBoundingClientRect();
        map.renderSync();
        const [left, top] = map.getPixelFromCoordinate([x + 0.5, -(y + 0.5)]);
        return [box.left + left, box.top + top];
    }}"""
    left, top = page.evaluate(script, [panel, x, y])
    return left, top


def saved(page: Any) -> None:
    """Wait until all is saved."""
    wait(page, f"{PAIR}.saver.dirty === false && {PAIR}.saver.state === 'saved'")


def place_point(
    page: Any, on_map: tuple[float, float], on_image: tuple[float, float], resolution: float = 0.25
) -> None:
    """Place a point as a person does: click it on the map, then on the image."""
    count = page.evaluate(f"{PAIR}.points.list.length")
    for panel, (x, y) in (("map", on_map), ("visible", on_image)):
        show(page, panel, x, y, resolution)
        page.mouse.click(*screen(page, panel, x, y))
    wait(page, f"count => {PAIR}.points.list.length === count + 1", count)
