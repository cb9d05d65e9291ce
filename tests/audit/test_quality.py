"""Flags of image quality on photographs with planted damage, and on datasets that must not be flagged."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFilter
from sklearn.datasets import load_digits, load_sample_image
from sklearn.metrics import roc_auc_score

from lsi.audit.quality import COLUMNS, FLAGS, quality_summary, quality_table, quality_thresholds
from lsi.features import MEASURES, measure

DAMAGED = 0.05


def crops(n: int, size: int, seed: int = 0) -> list[Image.Image]:
    """Return square crops of two photographs, scaled down to `size` px."""
    rng = np.random.default_rng(seed)
    photos = [Image.fromarray(load_sample_image(f"{name}.jpg")) for name in ("china", "flower")]
    boxes = []
    while len(boxes) < n:
        photo, side = photos[len(boxes) % 2], int(rng.integers(250, 420))
        x, y = int(rng.integers(photo.width - side)), int(rng.integers(photo.height - side))
        boxes.append(photo.crop((x, y, x + side, y + side)).resize((size, size), Image.Resampling.BOX))
    return boxes


def table_of(images: list[Image.Image], checksums: list[str] | None = None) -> pd.DataFrame:
    return quality_table(
        np.stack([measure(image) for image in images]), checksums or list(map(str, range(len(images))))
    )


def lit(function):
    return lambda image: image.point(lambda v: int(np.clip(function(v), 0, 255)))


def blurred(radius: float):
    return lambda image: image.filter(ImageFilter.GaussianBlur(radius * image.width / 32))


def recompressed(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    blurred(2)(image).save(buffer, "JPEG", quality=80)
    return Image.open(buffer).convert("RGB")


def nearly_constant(image: Image.Image) -> Image.Image:
    noise = np.random.default_rng(image.width).normal(120, 1, (image.height, image.width, 3))
    return Image.fromarray(np.rint(noise).astype(np.uint8))


def resized(width: float, height: float):
    return lambda image: image.resize((round(image.width * width), round(image.height * height)))


# the damage, the column that shows it with its direction, and the flag
DAMAGES = {
    "darkened": (lit(lambda v: 0.15 * v), "brightness", -1, "is_dark"),
    "washed out": (lit(lambda v: 255 - 0.15 * (255 - v)), "brightness", 1, "is_bright"),
    "over-exposed": (lit(lambda v: 4 * v + 100), "brightness", 1, "is_bright"),
    "blurred": (blurred(2), "sharpness", -1, "is_blurry"),
    "blurred and recompressed": (recompressed, "sharpness", -1, "is_blurry"),
    "constant": (lambda image: Image.new("RGB", image.size, (90, 140, 30)), "entropy", -1, "is_low_information"),
    "nearly constant": (nearly_constant, "entropy", -1, "is_low_information"),
    "half as large": (resized(0.5, 0.5), "width", -1, "is_odd_size"),
    "a half larger": (resized(1.5, 1.5), "height", 1, "is_odd_size"),
    "four to one": (resized(2, 0.5), "aspect", 1, "is_odd_aspect"),
    "one to four": (resized(0.5, 2), "aspect", -1, "is_odd_aspect"),
}


@pytest.fixture(scope="module")
def photos() -> dict[int, list[Image.Image]]:
    return {32: crops(400, 32), 300: crops(120, 300)}


@pytest.mark.parametrize("size", [32, 300])
@pytest.mark.parametrize("name", DAMAGES)
def test_planted_damage_is_found(photos, name, size):
    damage, column, direction, flag = DAMAGES[name]
    images = list(photos[size])
    chosen = np.random.default_rng(0).choice(len(images), round(DAMAGED * len(images)), replace=False)
    for i in chosen:
        images[i] = damage(images[i])
    damaged = np.isin(np.arange(len(images)), chosen)
    table = table_of(images)
    assert roc_auc_score(damaged, direction * table[column]) >= 0.97
    assert table.loc[damaged, flag].mean() >= 0.9
    assert table.loc[~damaged, flag].mean() <= 0.03  # the whitest of the skies are bright as well


def test_blur_of_a_quarter_of_the_images_is_still_found(photos):
    images = [blurred(2)(image) if i % 4 == 0 else image for i, image in enumerate(photos[32])]
    is_blurry = table_of(images)["is_blurry"].to_numpy()
    assert is_blurry[::4].mean() > 0.9
    assert np.delete(is_blurry, np.s_[::4]).mean() < 0.02


def scans() -> list[Image.Image]:
    """Return grey digits on black, 28 px, as MNIST has them."""
    pixels = np.rint(load_digits().images[:300] * (255 / 16)).astype(np.uint8)
    return [Image.fromarray(one).resize((28, 28), Image.Resampling.BICUBIC).convert("RGB") for one in pixels]


DATASETS = {
    "photographs": lambda: crops(200, 32),
    "digits on black": scans,
    "digits on white": lambda: [lit(lambda v: 255 - v)(one) for one in scans()],
    "photographs at night": lambda: [lit(lambda v: 0.15 * v)(one) for one in crops(200, 32)],
    "photographs in fog": lambda: [lit(lambda v: 255 - 0.15 * (255 - v))(one) for one in crops(200, 32)],
    "photographs out of focus": lambda: [blurred(2)(one) for one in crops(200, 32)],
    "black and white": lambda: [one.convert("1").convert("RGB") for one in crops(200, 32)],
    "lines of text": lambda: [one.resize((320 + i, 20)) for i, one in enumerate(crops(60, 64))],
    "landscapes and portraits": lambda: [
        one.resize((96, 64) if i % 3 else (64, 96)) for i, one in enumerate(crops(60, 64))
    ],
    "many sizes": lambda: [one.resize((32 + i, 40 + i // 2)) for i, one in enumerate(crops(60, 64))],
    "one image": lambda: crops(1, 32),
    "two images": lambda: [crops(1, 32)[0], crops(1, 20)[0]],
}


@pytest.mark.parametrize("name", DATASETS)
def test_what_all_images_have_in_common_is_not_flagged(name):
    table = table_of(DATASETS[name]())
    shares = {flag: table[flag].mean() for flag in FLAGS}
    assert all(share <= 0.02 for share in shares.values()), shares


def test_a_blank_scan_is_flagged_where_all_are_nearly_black():
    images = [Image.new("RGB", (28, 28)), *scans()]
    table = table_of(images)
    assert table["is_low_information"][0]
    assert table["is_dark"][0]
    assert table.loc[1:, ["is_dark", "is_low_information"]].to_numpy().sum() == 0


COPIES = {
    "pairs and threes": (["a", "b", "a", "c", "c", "c"], [1, 0, 1, 1, 1, 1]),
    "nothing to read is no copy": (["", "", "a"], [0, 0, 0]),
    "all apart": (["a", "b", "c"], [0, 0, 0]),
}


@pytest.mark.parametrize("name", COPIES)
def test_exact_duplicates_are_the_first_one_and_its_copies(name):
    checksums, expected = COPIES[name]
    table = table_of(crops(len(checksums), 16), checksums)
    np.testing.assert_array_equal(table["is_exact_duplicate"], np.array(expected, bool))


def test_columns_have_their_names_and_types():
    table = table_of(crops(5, 24))
    assert tuple(table.columns) == COLUMNS
    assert all(table[flag].dtype.kind == "b" for flag in FLAGS)
    assert (table.dtypes[["width", "height"]] == np.int64).all()
    assert table["aspect"].tolist() == [1.0] * 5


def test_an_image_that_cannot_be_read_has_no_measures_and_no_flags():
    measures = np.stack([measure(image) for image in crops(6, 24)])
    whole = quality_thresholds(measures)
    measures = np.concatenate([measures, np.full((1, len(MEASURES)), np.nan)])
    table = quality_table(measures, list("abcdefg"))
    assert table.iloc[6][list(MEASURES)].isna().all()
    assert not table.iloc[6][list(FLAGS)].any()
    assert quality_thresholds(measures) == whole
    assert quality_summary(measures, table)["n_unmeasured"] == 1


def test_the_summary_counts_flags_and_names_their_limits():
    images = [*crops(60, 32), Image.new("RGB", (32, 32)), crops(1, 64)[0]]
    measures = np.stack([measure(image) for image in images])
    table = quality_table(measures, ["x", "x", *map(str, range(60))])
    summary = quality_summary(measures, table)
    assert summary["counts"] == {flag: int(table[flag].sum()) for flag in FLAGS}
    assert summary["counts"]["is_odd_size"] == summary["counts"]["is_low_information"] == 1
    assert summary["counts"]["is_exact_duplicate"] == 2
    assert summary["thresholds"]["is_odd_size"] == pytest.approx({"below": 25.6, "above": 40.0})
    assert summary["thresholds"]["is_dark"]["brightness_below"] == pytest.approx(table["brightness"].median() / 2)
    nothing = np.full((2, len(MEASURES)), np.nan)
    empty = quality_summary(nothing, quality_table(nothing, ["", ""]))
    assert empty["thresholds"]["is_odd_size"] == {"below": None, "above": None}
    assert sum(empty["counts"].values()) == 0
