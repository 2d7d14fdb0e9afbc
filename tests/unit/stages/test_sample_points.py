"""Quotas and the choice of points, on small made-up candidates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import PermanentError
from stages.sample.earth_data import great_circle_km, unit_vectors
from stages.sample.listed import SiteByBounds, site_rows
from stages.sample.points import choose_points, default_continents, default_strata, quotas, share_out
from stages.sample.strata import CONTINENTS, Candidates, Stratum

pytestmark = pytest.mark.unit


def candidates(lon: list[float], lat: list[float], stratum: str = "city", continent: str = "EU") -> Candidates:
    return Candidates(
        np.array(lon, float),
        np.array(lat, float),
        np.array([stratum] * len(lon)),
        np.array([continent] * len(lon)),
        np.array(["CH"] * len(lon)),
    )


def test_shares_by_largest_remainder() -> None:
    assert share_out(10, {"a": 5, "b": 3, "c": 2}) == {"a": 5, "b": 3, "c": 2}
    assert share_out(7, {"a": 1, "b": 1, "c": 1}) == {"a": 3, "b": 2, "c": 2}
    assert share_out(5, {"a": 98, "b": 1, "c": 1}, least=1) == {"a": 3, "b": 1, "c": 1}
    assert share_out(4, {"a": 1, "b": 0}) == {"a": 4}
    with pytest.raises(PermanentError, match="at least 1"):
        share_out(1, {"a": 1, "b": 1}, least=1)


@given(
    st.integers(0, 500),
    st.dictionaries(st.text("abcdef", min_size=1), st.floats(0.01, 100), min_size=1, max_size=9),
)
def test_shares_add_up_and_stay_within_one_of_exact(count: int, weights: dict[str, float]) -> None:
    shares = share_out(count, weights)
    assert sum(shares.values()) == count
    for key, share in shares.items():
        assert abs(share - count * weights[key] / sum(weights.values())) < 1 + 1e-6


def test_the_full_size_has_every_stratum_on_every_continent_that_has_it() -> None:
    wanted = quotas(233, default_strata(), default_continents())
    assert sum(wanted.values()) == 233
    missing = {(s.value, c) for s in Stratum for c in CONTINENTS} - set(wanted)
    assert missing == {("desert", "EU")}


@given(st.integers(1, 300))
def test_any_number_of_points_can_be_asked_for(count: int) -> None:
    assert sum(quotas(count, default_strata(), default_continents()).values()) == count


def test_spacing_is_kept_in_the_candidates_order() -> None:
    # 1 degree of the equator is 111 km: the second is too near to the first, the fourth to the third.
    points = choose_points(candidates([0, 0.5, 2, 2.9, 4], [0, 0, 0, 0, 0]), {("city", "EU"): 3}, spacing_km=111)
    assert points.lon.tolist() == [0, 2, 4]
    spread = great_circle_km(
        np.linalg.norm(
            unit_vectors(points.lon[:1], points.lat[:1]) - unit_vectors(points.lon[1:2], points.lat[1:2]), axis=1
        )
    )
    assert spread[0] == pytest.approx(222.39, abs=0.01)


def test_spacing_holds_across_the_date_line() -> None:
    with pytest.raises(PermanentError, match="city in EU: 1 of 2"):
        choose_points(candidates([179.9, -179.9], [0, 0]), {("city", "EU"): 2}, spacing_km=100)


def test_scarce_cells_choose_first() -> None:
    # The only coast lies beside the first city; the city quota has another place to go.
    both = Candidates.concatenate([candidates([10, 30], [0, 0]), candidates([10.1], [0], stratum="coast")])
    points = choose_points(both, {("city", "EU"): 1, ("coast", "EU"): 1}, spacing_km=100)
    assert dict(zip(points.stratum.tolist(), points.lon.tolist(), strict=True)) == {"coast": 10.1, "city": 30}


@pytest.mark.parametrize("others", [("Ab", "2"), ("aB", "1"), ("aB", "2")])
def test_names_that_differ_by_capital_letters_only_are_one_folder_on_some_disks(others: tuple[str, str]) -> None:
    first, second = (
        SiteByBounds(point=point, site=site, bounds=(9.0, 47.0, 9.01, 47.01), gsd=1.0)
        for point, site in (("Ab", "1"), others)
    )
    if others == ("Ab", "2"):
        assert len(site_rows([first, second])) == 2
        return
    with pytest.raises(PermanentError, match="capital letters or not"):
        site_rows([first, second])
