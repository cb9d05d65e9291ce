"""The paper's preset against the paper's protocol."""

import numpy as np
from scipy.stats import spearmanr

import lsi
from tests import reference
from tests.cases import noisy_digits


def test_preset_ranks_as_retraining_by_sgd_with_laplace_torch_does():
    problem = noisy_digits(share=0.1, n=600)
    samples = np.sort(np.random.default_rng(0).choice(600, 60, replace=False))
    truth = reference.paper_protocol(problem.features, problem.labels, samples)
    scores = lsi.score(problem.features, problem.labels, preset="paper")
    assert scores.structure == "diag"
    assert spearmanr(scores.lsi[samples], truth).statistic >= 0.98
    assert np.corrcoef(np.log(scores.lsi[samples]), np.log(truth))[0, 1] >= 0.98
