"""The registry of providers: its terms are kept to and its keys kept secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.errors import PermanentError
from stages.acquire.service import TileServiceSource
from stages.providers import Provider, find_provider, registry

pytestmark = pytest.mark.unit

PROJECT = Path(__file__).resolve().parents[3]


def source(**fields: object) -> TileServiceSource:
    return TileServiceSource.model_validate({"kind": "tiles"} | fields)


@pytest.mark.parametrize("name", sorted(registry()))
def test_every_entry_is_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = registry()[name]
    if provider.key_variable:
        monkeypatch.setenv(provider.key_variable, "k")
    url = provider.tile_url(11, 1072, 717)
    assert url.startswith("https://")
    assert "{" not in url
    assert "1072" in url
    assert "717" in url
    assert provider.licence
    assert provider.attribution
    assert provider.terms.startswith("https://")
    assert provider.side in ("map", "visible")


def test_open_countries_have_both_sides() -> None:
    free = [p for p in registry().values() if p.bulk == "allowed" and not p.key_variable]
    for country in ("CH", "FR", "NL", "ES", "AT", "US"):
        assert {p.side for p in free if country in p.countries} == {"map", "visible"}


def test_tms_counts_from_the_south() -> None:
    provider = Provider(name="p", url="http://h/{z}/{x}/{-y}.png", licence="l", attribution="a")
    assert provider.tile_url(3, 1, 0) == "http://h/3/1/7.png"


@pytest.mark.parametrize("name", ["osm-carto", "gsi-photo", "xyz:CartoDB.Positron"])
@pytest.mark.filterwarnings("ignore:CartoDB")
def test_a_provider_that_does_not_allow_bulk_needs_a_permission(name: str) -> None:
    with pytest.raises(PermanentError, match="permission"):
        source(provider=name).check()
    source(provider=name, permission="letter of the owner, 2026-03-01").check()


def test_an_open_provider_needs_none_and_brings_its_words() -> None:
    swiss = source(provider="swisstopo-map")
    swiss.check()
    assert (swiss.source, swiss.attribution) == ("swisstopo-map", "© swisstopo")


def test_a_missing_key_is_named() -> None:
    with pytest.raises(PermanentError, match="MAPBOX_TOKEN"):
        source(provider="mapbox-satellite", permission="contract").check()


def test_near_names_are_offered() -> None:
    with pytest.raises(PermanentError, match="swisstopo-map"):
        find_provider("swistopo-map")
    with pytest.raises(ValidationError, match="swisstopo-map"):
        source(provider="swistopo-map")
    with pytest.raises(PermanentError, match="OpenStreetMap"):
        find_provider("xyz:OpenStreetMap.Mapnk")


@pytest.mark.parametrize("query", ["key=abc", "access_token=abc", "api_key=abc", "x=1&Signature=abc"])
def test_a_key_written_into_the_url_is_refused(query: str) -> None:
    words = {"source": "s", "licence": "l", "attribution": "a"}
    with pytest.raises(ValidationError, match="holds a key") as caught:
        source(url="http://h/{z}/{x}/{y}?" + query, **words)
    assert "key" in str(caught.value)
    source(url="http://h/{z}/{x}/{y}?key={key}", key_variable="K", **words)


def test_either_provider_or_url() -> None:
    with pytest.raises(ValidationError, match="either provider or url"):
        source(provider="swisstopo-map", url="http://h/{z}/{x}/{y}")
