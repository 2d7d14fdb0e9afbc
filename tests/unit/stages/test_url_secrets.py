"""Secrets written into URLs are found by the parameter's name or the value's looks; ordinary parameters pass."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from stages.acquire.stac import StacSource
from stages.acquire.url_secrets import literal_secret

pytestmark = pytest.mark.unit

HOST = "https://h.example/{z}/{x}/{y}"
SECRET = "sk3jf8Dk29fkA02mfQz81xv"


@pytest.mark.parametrize(
    "url",
    [
        f"{HOST}?access_token=abc",
        f"{HOST}?x=1&Signature=abc",
        f"{HOST}?subscription-key=abc",
        f"{HOST}?code={SECRET}",
        f"{HOST}?c=1&ak=abc",
        f"{HOST}?k=hunter2",
        f"{HOST}?tk=0123456789abcdef0123456789abcdef",
        f"{HOST}?u=correcthorsebatterystaplexx",
        f"{HOST}?uuid=12345678-1234-1234-1234-123456789012",
        f"https://user:{SECRET}@h.example/",
        "https://user@h.example/",
    ],
)
def test_a_secret_is_found(url: str) -> None:
    assert literal_secret(url)
    assert SECRET not in str(literal_secret(url))


@pytest.mark.parametrize(
    "url",
    [
        HOST,
        f"{HOST}?key={{key}}",
        f"{HOST}?{{key}}",
        f"{HOST}?layer=Orthophoto_2019_RGB_20cm_EPSG3857&tilematrixset=GoogleMapsCompatible_Level9&time=2024",
        f"{HOST}?v=12&lang=en",
        "catalogs/catalog.json",
        "https://[h.example/",
    ],
)
def test_an_ordinary_url_passes(url: str) -> None:
    assert literal_secret(url) is None


def test_a_catalog_with_a_secret_is_refused_with_the_configuration() -> None:
    fields = {"kind": "stac", "source": "s", "licence": "l", "attribution": "a"}
    StacSource.model_validate(fields | {"catalog": "https://h.example/stac"})
    with pytest.raises(ValidationError, match="the parameter 'token'"):
        StacSource.model_validate(fields | {"catalog": f"https://h.example/stac?token={SECRET}"})
    with pytest.raises(ValidationError, match="a user name or password"):
        StacSource.model_validate(fields | {"catalog": f"https://me:{SECRET}@h.example/stac"})
