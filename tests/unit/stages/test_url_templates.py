"""URL templates of tile services: what is filled in, and what is refused before a run."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from stages.acquire.service import TileServiceSource
from stages.providers import Provider
from stages.providers.template import quadkey, template_problem, tile_url

pytestmark = pytest.mark.unit

HOST = "https://h.example"


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("/{z}/{x}/{y}.png", "/3/5/2.png"),
        ("/{z}/{x}/{-y}.png", "/3/5/5.png"),
        ("/{zoom}/{x}/{y}.png", "/3/5/2.png"),
        ("/{TileMatrix}/{TileRow}/{TileCol}.png", "/3/2/5.png"),
        ("/?tilematrix={TileMatrix}&tilerow={TileRow}&tilecol={TileCol}", "/?tilematrix=3&tilerow=2&tilecol=5"),
        ("/{q}.jpg", "/121.jpg"),
        ("/{quadkey}.jpg", "/121.jpg"),
        ("/{s}/{z}/{x}/{y}", "/b/3/5/2"),
        ("/{switch:t0,t1}/{z}/{x}/{y}", "/t1/3/5/2"),
        ("/{z}/{x}/{y}{r}.png", "/3/5/2.png"),
        ("/{z}/{x}/{y}?k={key}", "/3/5/2?k=K"),
    ],
)
def test_placeholders_are_filled_in(template: str, filled: str) -> None:
    assert template_problem(HOST + template, "{key}" in template) == ""
    assert tile_url(HOST + template, 3, 5, 2, 256, "K") == HOST + filled


def test_tiles_of_twice_the_resolution_are_asked_for() -> None:
    assert tile_url(HOST + "/{z}/{x}/{y}{r}.png", 3, 5, 2, 512, "") == HOST + "/3/5/2@2x.png"


def test_a_quadkey_is_that_of_the_documentation() -> None:
    assert quadkey(3, 3, 5) == "213"  # the example of "Bing Maps Tile System"
    assert quadkey(0, 0, 0) == ""


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (HOST + "/{z}/{x}/{y}/{Style}.png", "{Style}"),
        (HOST + "/{z}/{x}/{y}.png?a={accessToken}", "{accessToken}"),
        (HOST + "/{Z}/{X}/{Y}.png", "did you mean {z}"),
        (HOST + "/${z}/${x}/${y}.png", "dollar"),
        (HOST + "/%7Bz%7D/{x}/{y}.png", "percent-encoded"),
        (HOST + "/{z}/{x}/{y.png", "partner"),
        (HOST + "/{z}/{x}/y}.png", "partner"),
        (HOST + "/{{z}}/{x}/{y}.png", "partner"),
        (HOST + "/{}/{z}/{x}/{y}.png", "{}"),
        (HOST + "/16/5/5.png", "lacks {z}, {x}, {y}"),
        (HOST + "/{z}/{x}.png", "lacks {y}"),
        (HOST + "/{z}/{x}/{y}/{-y}.png", "twice"),
        (HOST + "/{z}/{q}.png", "not by both"),
        (HOST + "/{z}/{x}/{y}?k={key}", "key_variable"),
        (HOST + "/{switch:}/{z}/{x}/{y}", "{switch:}"),
        ("{z}/{x}/{y}.png", "http"),
        ("file:///tiles/{z}/{x}/{y}.png", "http"),
        ("https://user:pass@h.example/{z}/{x}/{y}", "password"),
        ("https://h.example:port/{z}/{x}/{y}", "URL"),
        (HOST + "/{z}/{x}/{y}?sig=abcdef", "holds a key"),
        (HOST + "/{z}/{x}/{y}.png ", "blank"),
        (HOST + "/{z}/{x}/{y}.png\n", "blank"),
        (" " + HOST + "/{z}/{x}/{y}.png", "blank"),
        ("https://{switch:a, b}.h.example/{z}/{x}/{y}.png", "blank"),
        (HOST + "/{z}/{x}/{y}.png\0", "blank"),
        (HOST + "/#/{z}/{x}/{y}", "behind #"),
        (HOST + "/?a=1&amp;z={z}&amp;x={x}&amp;y={y}", "&amp;"),
        ("https://h.example\\{z}/{x}/{y}", "URL"),
        (HOST + "/{z}/{x}/{y}\u202e.png", "control character"),
        ("https://xn--/{z}/{x}/{y}", "not a URL"),
        ("https://h..example/{z}/{x}/{y}", "1 to 63 characters"),
        (f"https://{'a' * 64}.example/{{z}}/{{x}}/{{y}}", "1 to 63 characters"),
        ("https://{key}.h.example/{z}/{x}/{y}", "name of the host"),
        ("https://h.example:{key}/{z}/{x}/{y}", "name of the host"),
        ("https://{key}@h.example/{z}/{x}/{y}", "password"),
    ],
)
def test_what_would_fail_on_every_tile_is_refused_with_the_configuration(url: str, words: str) -> None:
    fields = {"kind": "tiles", "url": url, "source": "s", "licence": "l", "attribution": "a"}
    with pytest.raises(ValidationError) as caught:
        TileServiceSource.model_validate(fields)
    assert words in str(caught.value)


def test_a_provider_of_the_registry_is_held_to_the_same() -> None:
    with pytest.raises(ValidationError, match="lacks"):
        Provider(name="p", url=HOST + "/tile.png", licence="l", attribution="a")


def test_configurations_with_the_older_word_for_rate_limits_are_read() -> None:
    fields = {"kind": "tiles", "url": HOST + "/{z}/{x}/{y}", "source": "s", "licence": "l", "attribution": "a"}
    source = TileServiceSource.model_validate(fields | {"politeness": {"concurrent": 7}})
    assert source.rate_limits.concurrent == 7
