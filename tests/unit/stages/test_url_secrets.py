"""Secrets written into URLs are found by the parameter's name or the value's looks; ordinary parameters pass."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from stages.acquire.geotiff import GeoTiffSource
from stages.acquire.stac import StacSource
from stages.fetch.url_secrets import literal_secret

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
        f"{HOST}?v=1;token={SECRET}",
        f"{HOST}?rev=2&p=letmein",
        f"{HOST}?access=letmein",
        f"{HOST}?c=pa$$w0rd!",
        f"{HOST};jsessionid={SECRET}",
        f"{HOST}#access_token={SECRET}",
        f"{HOST}?url=https%3A%2F%2Fb.example%2Fa.tif%3FX-Amz-Signature%3D{SECRET}",
        f"{HOST}?url=https%3A%2F%2Fme%3A{SECRET}%40b.example%2Fa.tif",
        f"{HOST}?map=https%3A%2F%2Fc.example%2F%3Furl%3Dhttps%253A%252F%252Fb.example%252Fa.tif%253Fsig%253D{SECRET}",
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
        f"{HOST}?map=/data/maps/alps_2019.map&url=https%3A%2F%2Fb.example%2Fa.tif%3Fv%3D2&bands=B04,B03,B02",
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


@pytest.mark.parametrize(
    "path", [f"https://me:{SECRET}@h.example/a.tif", f"/vsicurl/https://h.example/a.tif?t={SECRET}"]
)
def test_an_address_where_a_path_belongs_is_refused_before_anything_is_kept(path: str) -> None:
    fields = {"kind": "geotiff", "source": "s", "licence": "l", "attribution": "a"}
    with pytest.raises(ValidationError, match="an address, not the path") as caught:
        GeoTiffSource.model_validate(fields | {"path": path})
    assert SECRET not in str(caught.value.errors(include_input=False))
