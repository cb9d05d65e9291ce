"""Reviews of suspects whose truth is known: how often the interval of wrong labels holds it."""

import numpy as np
import pytest
import torch

from lsi.audit.label_issues import label_issues, self_confidence
from lsi.audit.remaining import estimate_remaining_errors
from lsi.audit.through_noise import judge_labels
from lsi.compute.preparation import prepare
from lsi.config import DataSettings, Settings
from lsi.laplace.design_matrix import DesignMatrix, with_bias
from lsi.laplace.likelihood import Softmax
from lsi.laplace.scores import LeaveOneOut, Method, compute

DECISIONS, SEEDS = (0, 10, 20, 40), 12


@pytest.fixture(scope="module")
def clothes() -> tuple[np.ndarray, np.ndarray]:
    """Pixels (2,000, 784) of clothes and their classes."""
    dataset = prepare(Settings(DataSettings(dataset="fashion"))).dataset
    assert dataset.images is not None
    pixels = np.stack([np.asarray(dataset.images.read(i))[..., 0].ravel() for i in range(len(dataset))])
    return pixels.astype(np.float32) / 255, dataset.labels


def suspects(clothes, n_classes: int, n: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return label scores of the suspects, the lowest first, and which are wrong, of labels with flips."""
    (pixels, labels), rng = clothes, np.random.default_rng(seed)
    classes = np.sort(rng.permutation(10)[:n_classes])
    rows = np.concatenate([rng.permutation(np.flatnonzero(labels == c))[: n // n_classes] for c in classes])
    right = np.searchsorted(classes, labels[rows])
    centred = pixels[rows] - pixels[rows].mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    features = (u * s)[:, :48] / np.sqrt((s[:48] ** 2).sum() / len(rows))
    flipped = rng.random(len(rows)) < share
    given = np.where(flipped, (right + rng.integers(1, n_classes, len(rows))) % n_classes, right)
    design = DesignMatrix(with_bias(torch.from_numpy(features.astype(np.float32))))
    method = Method("auto", "diag", LeaveOneOut("newton_step", 0, (), 0), "none")
    result = compute(Softmax(n_classes), design, torch.from_numpy(given), method, seed)
    again = judge_labels(result.probe, given, result.scores.probabilities)
    score = self_confidence(given, again)
    found = np.flatnonzero(label_issues(given, again, "expected_errors"))
    found = found[np.argsort(score[found], kind="stable")]
    return score[found], (given != right)[found]


@pytest.mark.parametrize(("n_classes", "n", "share"), [(4, 612, 0.06), (10, 1_000, 0.06), (10, 1_000, 0.02)])
def test_the_interval_holds_the_truth_in_nine_of_ten_reviews(clothes, n_classes, n, share):
    """Four classes and good features, ten classes and weak ones, and few wrong labels; the worst are reviewed first."""
    held: dict[int, list[bool]] = {count: [] for count in DECISIONS}
    for seed in range(SEEDS):
        score, wrong = suspects(clothes, n_classes, n, share, seed)
        for count in DECISIONS:
            if count < len(score):
                found = estimate_remaining_errors(score[count:], score[:count], wrong[:count])
                held[count].append(np.floor(found.low) <= wrong[count:].sum() <= np.ceil(found.high))
    assert {count: np.mean(values) >= 0.9 for count, values in held.items()} == dict.fromkeys(DECISIONS, True), held
