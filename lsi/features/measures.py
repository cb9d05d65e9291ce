"""What is measured on each image besides its features: light, contrast, sharpness, information and size."""

import numpy as np
from jaxtyping import Float
from PIL import Image

MEASURES = ("brightness", "contrast", "sharpness", "entropy", "width", "height")
SIDE = 256
_LEVELS = np.arange(256) / 255


def measure(image: Image.Image) -> Float[np.ndarray, " 6"]:
    """Return the measures of an RGB image, in the order of MEASURES.

    `width` and `height` are pixels of the image itself. The rest is measured on its luma (ITU-R 601), averaged down to
    at most 256 px a side, so that a photograph and its thumbnail have about the same values:

        brightness  mean, 0 … 1
        contrast    standard deviation, 0 … 0.5
        entropy     of the histogram over 256 levels, 0 … 8 bits
        sharpness   ln((L + 1) / (G + V/100 + 3)), of luma in 0 … 255 the mean squared Laplacian L, the mean squared
                    gradient G, and the variance V

    L/G is the mean squared spatial frequency of the edges, in radians per pixel: the gradient normalises the Laplacian,
    so that neither contrast nor light changes sharpness much. For edges blurred by a Gaussian of σ px it is about
    −2 ln σ, for white noise ln 5; photographs have about 1, CIFAR-10's images about 0.7, a constant image −ln 3. Where
    a blur leaves hardly any edges, the steps of rounding to 256 levels would count as sharp ones; V and the constants
    prevent that. Averaging over boxes keeps sharpness continuous in the size of the image, as other filters do not.
    """
    luma = image.convert("L")
    scale = SIDE / max(image.size)
    if scale < 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        luma = luma.resize(size, Image.Resampling.BOX, reducing_gap=2.0)
    shares = np.array(luma.histogram()) / (luma.width * luma.height)
    brightness = float(shares @ _LEVELS)
    contrast = float(np.sqrt(shares @ (_LEVELS - brightness) ** 2))
    present = shares[shares > 0]
    entropy = max(0.0, -float(present @ np.log2(present)))
    return np.array([brightness, contrast, _sharpness(luma, contrast), entropy, image.width, image.height])


def _sharpness(luma: Image.Image, contrast: float) -> float:
    if min(luma.size) < 3:  # no pixel has neighbours on all sides
        return 0.0
    values = np.asarray(luma, dtype=np.float32)
    down, right = values[1:] - values[:-1], values[:, 1:] - values[:, :-1]
    laplacian = (down[1:] - down[:-1])[:, 1:-1] + (right[:, 1:] - right[:, :-1])[1:-1]
    edges = _mean_square(down) + _mean_square(right) + (255 * contrast) ** 2 / 100
    return float(np.log((_mean_square(laplacian) + 1) / (edges + 3)))


def _mean_square(values: np.ndarray) -> float:
    return float(np.einsum("ij,ij->", values, values)) / values.size
