import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy.special import ndtr
from sklearn.datasets import load_sample_image

from lsi.features import MEASURES, measure


def measured(image: Image.Image) -> dict[str, float]:
    return dict(zip(MEASURES, measure(image).tolist(), strict=True))


def grey(values) -> Image.Image:
    return Image.fromarray(np.asarray(values, dtype=np.uint8)).convert("RGB")


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.fromarray(load_sample_image("china.jpg"))


HALVES = np.repeat([[0, 255]], 8, axis=0).repeat(4, axis=1)
NOISE = np.random.default_rng(0).normal(128, 40, (64, 64)).clip(0, 255)
CASES = {
    "black": (grey(np.zeros((8, 8))), {"brightness": 0, "contrast": 0, "sharpness": -np.log(3), "entropy": 0}),
    "white": (grey(np.full((8, 8), 255)), {"brightness": 1, "contrast": 0, "sharpness": -np.log(3), "entropy": 0}),
    "half black": (grey(HALVES), {"brightness": 0.5, "contrast": 0.5, "entropy": 1, "width": 8, "height": 8}),
    "all levels": (grey(np.arange(256).reshape(16, 16)), {"brightness": 0.5, "entropy": 8}),
    "pure green is luma 0.587": (Image.new("RGB", (4, 4), (0, 255, 0)), {"brightness": 150 / 255}),
    "one pixel": (grey([[51]]), {"brightness": 0.2, "sharpness": 0, "entropy": 0, "width": 1, "height": 1}),
    "two rows": (grey(HALVES[:2]), {"contrast": 0.5, "sharpness": 0, "width": 8, "height": 2}),
    "a thread": (grey(np.full((1, 3_000), 51)), {"brightness": 0.2, "sharpness": 0, "width": 3_000, "height": 1}),
}


@pytest.mark.parametrize("name", CASES)
def test_measures_are_those_of_their_definitions(name):
    image, expected = CASES[name]
    assert {k: v for k, v in measured(image).items() if k in expected} == pytest.approx(expected, abs=1e-6)


def test_the_sharpness_of_white_noise_is_ln_5():
    assert measured(grey(NOISE))["sharpness"] == pytest.approx(np.log(5), abs=0.03)


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0])
def test_edges_twice_as_broad_have_2_ln_2_less_sharpness(sigma):
    across = np.arange(-60, 60)
    narrow, broad = (grey(np.tile(np.rint(255 * ndtr(across / s)), (20, 1))) for s in (sigma, 2 * sigma))
    assert measured(narrow)["sharpness"] - measured(broad)["sharpness"] == pytest.approx(2 * np.log(2), abs=0.3)


@pytest.mark.parametrize("side", [257, 320, 400, 640])
def test_a_photo_and_its_thumbnail_measure_alike(photo, side):
    image = photo.resize((side, round(side * photo.height / photo.width)), Image.Resampling.LANCZOS)
    thumbnail = photo.resize((256, 171), Image.Resampling.LANCZOS)
    a, b = measured(image), measured(thumbnail)
    assert a["width"] == side
    assert a["brightness"] == pytest.approx(b["brightness"], abs=0.005)
    assert a["contrast"] == pytest.approx(b["contrast"], abs=0.01)
    assert a["entropy"] == pytest.approx(b["entropy"], abs=0.1)
    assert a["sharpness"] == pytest.approx(b["sharpness"], abs=0.25)


def test_blur_takes_sharpness_and_darkness_does_not(photo):
    plain = measured(photo)["sharpness"]
    assert plain > 0.9
    for factor in (0.3, 0.15):
        assert measured(photo.point(lambda v, f=factor: v * f))["sharpness"] == pytest.approx(plain, abs=0.4)
    blurred = [measured(photo.filter(ImageFilter.GaussianBlur(r)))["sharpness"] for r in (0, 2, 4, 8, 16, 32)]
    assert blurred[:4] == sorted(blurred[:4], reverse=True)
    assert max(blurred[2:]) < -1.0  # however strong a blur is, rounding does not pass as sharp
