"""Secrets written into URLs are found by the parameter's name or the value's looks; ordinary parameters pass."""

from __future__ import annotations

import re

import pytest
import xyzservices.providers
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
        "https://h.example/KEY-abcdef0123456789abcdef0123456789/{z}/{x}/{y}.png",
        "https://h.example/key_abcdef0123456789/{z}/{x}/{y}.png?v={key}",
        "https://h.example/wmts/token/12345678-1234-1234-1234-123456789012/{z}/{x}/{y}.png",
        "https://h.example/api-key/hunter2hunter2/{z}/{x}/{y}.png",
        "https://h.example/apikey=abc/{z}/{x}/{y}.png",
        "https://h.example/services;key=abc/tiles/v4/layer=4702/EPSG:3857/{z}/{x}/{y}.png",
        "https://wxs.h.example/an7nvfzojv5wa96dsga5nk8w/geoportail/wmts/{z}/{x}/{y}.png",
        f"https://h.example/{SECRET}/{{z}}/{{x}}/{{y}}.png",
        f"https://h.example/%73{SECRET[1:]}/{{z}}/{{x}}/{{y}}.png",
        f"https://h.example/stac/{SECRET}",
        "https://h.example/0123456789abcdef0123456789abcdef/{z}/{x}/{y}.png",
        "https://a.tile.h.example/BC9A493B41014CAABB98F0471D759707/997/256/{z}/{x}/{y}.png",
        "https://services.sentinel-hub.com/ogc/wmts/12345678-1234-4234-8234-123456789012?TILEROW={y}&TILECOL={x}",
        "https://sh.dataspace.copernicus.eu/ogc/wms/12345678-1234-4234-8234-123456789012/{z}/{x}/{y}",
        f"https://h.example/tiles/pk.{SECRET}.jpg/{{z}}/{{x}}/{{y}}",
        f"{HOST}?url=https%3A%2F%2Fb.example%2F{SECRET}%2Fa.tif",
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
        "https://h.example/v1/{key}/{z}/{x}/{y}.png",
        "https://h.example/services;key={key}/tiles/v4/layer=4702,style=auto/EPSG:3857/{z}/{x}/{y}.png",
        "https://h.example/token/{key}/{z}/{x}/{y}.png",
        "https://h.example/styles/v1/me/cl9x2k3fq000014p8vzj2c1de/tiles/{z}/{x}/{y}?access_token={key}",
        "https://h.example/maps/12345678-1234-4234-8234-123456789012/256/{z}/{x}/{y}.png?key={key}",
        "https://h.example/5a96d3bd2553e6000ce5a4d1/0/5a96d3bd2553e6000ce5a4d2/{z}/{x}/{y}",
        "https://h.example/mosaic/tiles/87b72c66331e136e088004fba817e3e8/WebMercatorQuad/{z}/{x}/{y}.png",
        "https://h.example/api/projects/1/tasks/9f1c1d64-0c7a-4f0f-9d5c-7a3c0e2b8a11/orthophoto/tiles/{z}/{x}/{y}",
        "https://h.example/tiles/C8EMgrsFcRFL6LrL/arcgis/rest/services/Antarctic_Basemap/MapServer/tile/{z}/{y}/{x}",
        "https://h.example/wmts/epsg3857/best/MODIS_Terra_CorrectedReflectance_Bands721/default/2024-07-01/{z}/{y}/{x}",
        "https://h.example/GoogleMapsCompatible_Level12/global_monthly_2020_01_mosaic/{z}/{x}/{y}.png",
        "https://h.example/S2A_MSIL2A_20190601T103031_N0212_R108_T32TLS_20190601T124859/{z}/{x}/{y}.png",
        "https://h.example/wmts/1.0.0/ch.swisstopo.swissimage/default/current/3857/{z}/{x}/{y}.jpeg",
        "https://h.example/token-ring/key-maps-of-1932/tickets2024/{z}/{x}/{y}.png",
        "https://h.example/luftbilder2019rgb20cmEPSG3857/{z}/{x}/{y}.png",
        "https://h.example/87b72c66331e136e088004fba817e3e8/catalog.json",
        "https://h.example/12345678-1234-4234-8234-123456789012/{z}/{x}/{y}.png",
        "https://h.example/ogc/wmts/12345678-1234-4234-8234-123456789012/{z}/{x}/{y}",
        "https://services.sentinel-hub.com/ogc/wmts/{key}/{z}/{x}/{y}",
        f"{HOST}?url=https%3A%2F%2Fb.example%2F87b72c66331e136e088004fba817e3e8%2Fa.tif",
        f"/data/{SECRET}/catalog.json",
        "https://[h.example/",
    ],
)
def test_an_ordinary_url_passes(url: str) -> None:
    assert literal_secret(url) is None


def test_every_service_that_is_known_passes() -> None:
    found = {}
    for name, tiles in xyzservices.providers.flatten().items():
        address = tiles["url"]
        for field in re.findall(r"\{(\w+)\}", address):
            address = address.replace(f"{{{field}}}", str(tiles.get(field, f"{{{field}}}")))
        found[name] = literal_secret(address)
    assert {name: secret for name, secret in found.items() if secret and "path" in secret} == {}


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
