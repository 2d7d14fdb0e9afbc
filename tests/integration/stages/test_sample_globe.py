"""The 233 points and 699 sites of the full size, drawn from the real data that the packages carry."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from shapely import STRtree

from stages.sample.earth_data import EarthData, great_circle_km, load_earth_data, unit_vectors
from stages.sample.footprints import SampledFootprint, SizeRange, place_sites
from stages.sample.points import choose_points, default_continents, default_strata, quotas
from stages.sample.sampled import Globe
from stages.sample.strata import Candidates, sample_candidates

pytestmark = pytest.mark.integration

EXTENT = SizeRange((7_000, 5_000), (20_000, 15_000), 0.6)
CHOICE = Globe().choice

DIGEST_SCRIPT = """
from pipeline.files import digest_json
from stages.sample.footprints import SizeRange, place_sites
from stages.sample.sampled import Globe
from stages.sample.points import choose_points, default_continents, default_strata, quotas
from stages.sample.strata import sample_candidates
from stages.sample.earth_data import load_earth_data
earth = load_earth_data()
points = choose_points(sample_candidates(earth, 7), quotas(48, default_strata(), default_continents()), 150)
sites = place_sites(earth, points, 3, SizeRange((7_000, 5_000), (20_000, 15_000), 0.6), Globe().choice, 7)
print(digest_json([[s.lon, s.lat, s.width, s.height, s.stratum] for s in sites]))
"""


@pytest.fixture(scope="module")
def earth() -> EarthData:
    return load_earth_data()


@pytest.fixture(scope="module")
def points(earth: EarthData) -> Candidates:
    return choose_points(sample_candidates(earth, 0), quotas(233, default_strata(), default_continents()), 100)


@pytest.fixture(scope="module")
def sites(earth: EarthData, points: Candidates) -> list[SampledFootprint]:
    return place_sites(earth, points, 3, EXTENT, CHOICE, 0)


def test_the_world_is_what_geography_says(earth: EarthData) -> None:
    lon, lat = np.array([8.54, -30.0, 25.0, 13.4, 0.0]), np.array([47.37, 30.0, 24.0, 52.5, -85.0])
    assert earth.land_share_at(lon, lat).tolist() == [1, 0, 1, 1, 1]  # Zurich, Atlantic, Sahara, Berlin, Antarctica
    assert (
        0.28 < np.average(earth.land_share.mean(axis=1), weights=np.cos(np.radians(np.linspace(90, -90, 2160)))) < 0.30
    )
    assert earth.climate_at(lon[2:3], lat[2:3])[0, 0] == 7  # BWh
    assert len(earth.places.lon) > 100_000


def test_every_quota_is_met(points: Candidates) -> None:
    found = Counter(zip(points.stratum.tolist(), points.continent.tolist(), strict=True))
    assert found == quotas(233, default_strata(), default_continents())


def test_points_keep_their_distance_and_lie_on_land(earth: EarthData, points: Candidates) -> None:
    vectors = unit_vectors(points.lon, points.lat)
    chords = np.linalg.norm(vectors[:, None] - vectors[None], axis=-1)
    chords[np.diag_indices(len(points))] = 2
    assert great_circle_km(chords).min() >= 100
    inland = np.isin(points.stratum, ["farmland", "forest", "desert", "mountain"])
    assert earth.land_share_at(points.lon[inland], points.lat[inland]).min() > 0.97


def test_three_sites_a_point_of_the_wanted_sizes(sites: list[SampledFootprint]) -> None:
    assert len(sites) == 699
    assert set(Counter(site.point for site in sites).values()) == {3}
    assert all(7_000 <= s.width <= 20_000 and 5_000 <= s.height <= 15_000 for s in sites)
    assert len({(s.width, s.height) for s in sites}) > 600


def test_no_two_sites_overlap_on_the_ground(sites: list[SampledFootprint]) -> None:
    outlines = [site.geometry for site in sites]
    pairs = STRtree(outlines).query(outlines, predicate="intersects")
    assert np.array_equal(pairs[0], pairs[1])


def test_content_decides(earth: EarthData, sites: list[SampledFootprint]) -> None:
    """Sites of cities hold far more people than random footprints of the same size nearby."""
    from stages.sample.footprints import _places_within

    city = [site for site in sites if site.stratum == "city" and site.number > 1]
    moved = [SampledFootprint(s.point, 0, s.lon + 1.0, s.lat, s.stratum, s.width, s.height, s.gsd) for s in city]
    people = [sum(earth.places.population[_places_within(earth, s)].sum() for s in group) for group in (city, moved)]
    assert people[0] > 3 * people[1]


def test_another_seed_gives_other_points(earth: EarthData, points: Candidates) -> None:
    other = choose_points(sample_candidates(earth, 1), quotas(233, default_strata(), default_continents()), 100)
    assert not np.array_equal(other.lon, points.lon)


def test_the_same_digest_on_another_processor() -> None:
    """numpy chooses its kernels by the processor's features; without them the result must be the same."""
    features = "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR X86_V3 X86_V4"
    digests = []
    for disabled in ("", features):
        environment = os.environ | {"PYTHONHASHSEED": str(len(disabled)), "PYTHONWARNINGS": "ignore"}
        if disabled:
            environment["NPY_DISABLE_CPU_FEATURES"] = disabled
        run = subprocess.run(
            [sys.executable, "-c", DIGEST_SCRIPT], env=environment, capture_output=True, text=True, check=True
        )
        digests.append(run.stdout.strip())
    assert len(digests[0]) == 64
    assert all(a == b for a, b in pairwise(digests))
