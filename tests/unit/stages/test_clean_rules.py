"""Each rule against the picture that it is for, and duplicates against the obvious search."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stages.clean import CleanParams, judge
from stages.clean.duplicates import near_duplicates
from stages.tables import PAIRS
from stages.tile.statistics import measure, perceptual_hashes, thumbnail

pytestmark = pytest.mark.unit

SIZE = 256
Image = NDArray[np.uint8]


def ground(seed: int = 0) -> Image:
    rng = np.random.default_rng(seed)
    image = np.full((SIZE, SIZE, 3), 100, np.float32)
    for cell in (4, 16, 64):
        image += cv2.resize(rng.normal(0, 20, (SIZE // cell, SIZE // cell, 3)).astype(np.float32), (SIZE, SIZE))
    return np.clip(image, 0, 255).astype(np.uint8)


def drawing() -> Image:
    image = np.full((SIZE, SIZE, 3), 240, np.uint8)
    for x in range(10, SIZE, 40):
        cv2.line(image, (x, 0), (x + 30, SIZE), (120, 80, 60), 4)
    return image


def filled(colour: tuple[int, int, int], share: float, image: Image) -> Image:
    image = image.copy()
    image[: round(SIZE * share)] = colour
    return image


def row(number: int, map_tile: Image, visible: Image, missing: Mapping[str, float] | None = None) -> dict[str, object]:
    """Return a row of the table of pairs, the first `missing` share of a side's rows without data."""
    result: dict[str, object] = {name: None for name in PAIRS.names}
    result |= {"pair_id": f"001_1_0000_{number:04d}", "visible_digest": str(hash(visible.tobytes()))}
    for side, tile in (("map", map_tile), ("visible", visible)):
        mask = np.full((SIZE, SIZE), 255, np.uint8)
        mask[: round(SIZE * (missing or {}).get(side, 0))] = 0
        figures = measure([thumbnail(tile, mask)])[0]._asdict()
        result |= {f"{side}_{key}": value for key, value in figures.items() if f"{side}_{key}" in PAIRS.names}
    return result


def reasons(*rows: dict[str, object], **params: object) -> list[list[str]]:
    return judge(pa.Table.from_pylist(list(rows), PAIRS), CleanParams.model_validate(params))


def test_a_good_pair_passes() -> None:
    assert reasons(row(0, drawing(), ground())) == [[]]


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        ("map without data", row(0, drawing(), ground(), {"map": 0.3})),
        ("visible without data", row(0, drawing(), ground(), {"visible": 0.3})),
        ("blank map", row(0, np.full((SIZE, SIZE, 3), 255, np.uint8), ground())),
        ("featureless map", row(0, cv2.GaussianBlur(ground(), (0, 0), 40), ground())),
        ("uniform visible", row(0, drawing(), ground() // 16 + 90)),
        ("filled visible", row(0, drawing(), filled((255, 255, 255), 0.3, ground()))),
        ("filled visible", row(0, drawing(), filled((211, 232, 208), 0.3, ground()))),
        ("clouded visible", row(0, drawing(), ground() // 8 + 215)),
    ],
)
def test_a_bad_pair_is_rejected_with_the_rules_name(rule: str, bad: dict[str, object]) -> None:
    (found,) = reasons(bad)
    assert rule in [reason.split(":")[0] for reason in found]
    assert all("%" in reason or "grey levels" in reason for reason in found), "each reason has its figure"


def test_thresholds_come_from_the_config() -> None:
    half = row(0, drawing(), ground(), {"map": 0.3})
    assert reasons(half, thresholds={"map_nodata": 0.4}) == [[]]


def test_of_duplicates_the_first_fit_one_stays() -> None:
    image = ground()
    brighter = np.clip(image.astype(int) + 4, 0, 255).astype(np.uint8)
    spoiled = row(0, drawing(), image, {"map": 0.5})
    found = reasons(
        spoiled, *(row(n, drawing(), tile) for n, tile in enumerate([image, image, brighter, ground(7)], 1))
    )
    assert found[1] == []
    assert found[4] == []
    assert found[2] == ["exact duplicate: same visible image as 001_1_0000_0001"]
    assert found[3] == ["near duplicate: same visible image as 001_1_0000_0001"]
    assert reasons(row(0, drawing(), image), row(1, drawing(), brighter), near_duplicate_bits=None) == [[], []]


def test_a_flat_image_has_no_hash_and_is_like_no_other() -> None:
    assert perceptual_hashes(np.full((1, 64, 64), 77, np.uint8)).tolist() == [0]
    assert near_duplicates(np.zeros(5, np.uint64), 3) == {}


def obvious(hashes: NDArray[np.uint64], bits: int) -> dict[int, int]:
    kept: list[int] = []
    result = {}
    for index, value in enumerate(hashes.tolist()):
        if value == 0:
            continue
        same = [other for other in kept if (value ^ int(hashes[other])).bit_count() <= bits]
        if same:
            result[index] = same[0]
        else:
            kept.append(index)
    return result


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 7), st.sampled_from([3, 8, 14]))
def test_near_duplicates_are_those_of_the_obvious_search(seed: int, bits: int, spread: int) -> None:
    rng = np.random.default_rng(seed)
    bases = rng.integers(0, 2**63, 6, dtype=np.uint64)
    hashes = bases[rng.integers(0, 6, 60)]
    for _ in range(spread):
        flip = np.uint64(1) << rng.integers(0, 64, 60).astype(np.uint64)
        hashes = np.where(rng.random(60) < 0.4, hashes ^ flip, hashes)
    assert near_duplicates(hashes, bits) == obvious(hashes, bits)
