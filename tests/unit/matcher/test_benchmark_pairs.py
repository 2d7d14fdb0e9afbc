"""Reading pairs in SRIF's layout, real and broken."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from matcher.benchmark.pairs import read_image, srif_pairs
from matcher.errors import InputError

pytestmark = pytest.mark.unit


def write_pair(folder: Path, number: int, affine: str = "1 0 5\n0 1 -2\n") -> None:
    folder.mkdir(exist_ok=True)
    for side in (1, 2):
        cv2.imwrite(str(folder / f"pair{number}_{side}.png"), np.full((4, 6, 3), (10 * side, 0, number), np.uint8))
    (folder / f"gt_{number}.txt").write_text(affine)


def test_reads_in_the_order_of_numbers_and_splits(tmp_path: Path) -> None:
    folder = tmp_path / "Optical-SAR"
    for number in (10, 2, 1, 5):
        write_pair(folder, number)
    assert [pair.name for pair in srif_pairs(folder)] == [f"Optical-SAR/{n}" for n in (1, 2, 5, 10)]
    assert [pair.name for pair in srif_pairs(folder, "development")] == ["Optical-SAR/1", "Optical-SAR/2"]
    assert [pair.name for pair in srif_pairs(folder, "final")] == ["Optical-SAR/5", "Optical-SAR/10"]
    pair = srif_pairs(folder)[1].load()
    assert pair.image0.shape == (4, 6, 3)
    assert pair.image0[0, 0].tolist() == [2, 0, 10]  # red first
    assert pair.image1[0, 0].tolist() == [2, 0, 20]
    np.testing.assert_array_equal(pair.homography, [[1, 0, 5], [0, 1, -2], [0, 0, 1]])


def test_development_pairs_of_maps(tmp_path: Path) -> None:
    for number in range(1, 21):
        write_pair(tmp_path / "Optical-Map", number)
    split = {subset: len(srif_pairs(tmp_path / "Optical-Map", subset)) for subset in ("development", "final", "all")}
    assert split == {"development": 8, "final": 12, "all": 20}


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no pair in SRIF's layout"):
        srif_pairs(tmp_path)
    write_pair(tmp_path, 3)
    (tmp_path / "pair3_2.png").unlink()
    with pytest.raises(InputError, match=r"pair 3 needs .*pair3_2"):
        srif_pairs(tmp_path)


def test_a_bad_affine_is_named(tmp_path: Path) -> None:
    write_pair(tmp_path, 1, affine="1 0\n")
    with pytest.raises(InputError, match=r"gt_1\.txt"):
        srif_pairs(tmp_path)[0].load()


@pytest.mark.parametrize("content", [b"", b"no image"])
def test_a_file_that_is_no_image_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.png"):
        read_image(path)
    with pytest.raises(InputError, match="no such file"):
        read_image(tmp_path / "absent.png")


def test_alpha_and_16_bit(tmp_path: Path) -> None:
    transparent = np.zeros((3, 3, 4), np.uint8)
    transparent[0, 0] = (1, 2, 3, 255)
    cv2.imwrite(str(tmp_path / "rgba.png"), transparent)
    image = read_image(tmp_path / "rgba.png")
    assert image[0, 0].tolist() == [3, 2, 1]
    assert image[2, 2].tolist() == [255, 255, 255]
    cv2.imwrite(str(tmp_path / "deep.png"), np.linspace(100, 2000, 400).reshape(20, 20).astype(np.uint16))
    deep = read_image(tmp_path / "deep.png")
    assert (deep.min(), deep.max()) == (0, 255)


def test_the_real_pairs(shared_data: Path) -> None:
    kinds = sorted((shared_data / "pairs" / "srif").iterdir())
    assert {kind.name: len(srif_pairs(kind)) for kind in kinds}["Optical-Map"] == 20
    for kind in kinds:
        pair = srif_pairs(kind, "development")[0].load()
        assert pair.homography.shape == (3, 3)
        assert np.linalg.det(pair.homography) > 0
