import numpy as np
import torch
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from lsi.audit.label_issues import label_issues
from lsi.audit.without_suspects import probabilities_without_suspects
from lsi.laplace.design_matrix import DesignMatrix, with_bias
from lsi.laplace.likelihood import Softmax
from lsi.laplace.objective import Objective
from lsi.laplace.probe import fit
from lsi.laplace.scores import LeaveOneOut, evaluate
from tests import reference
from tests.cases import SMALL, noisy_digits


def test_suspects_are_predicted_by_a_probe_without_them_and_the_rest_left_out_of_it():
    problem, prior = SMALL["three_classes"]
    phi = np.hstack([problem.features, np.ones((len(problem.features), 1))])
    probe = fit(Objective(Softmax(3), DesignMatrix(torch.from_numpy(phi)), torch.from_numpy(problem.labels), prior))
    suspects = np.zeros(len(phi), bool)
    suspects[[2, 11, 40]] = True
    found = probabilities_without_suspects(probe, suspects).dense()
    theta = reference.fit(phi[~suspects], problem.labels[~suspects], prior, k=3)
    np.testing.assert_allclose(found[suspects], softmax(phi[suspects] @ theta.T, axis=1), atol=1e-7)
    for i in (0, 30):
        kept = ~suspects & (np.arange(len(phi)) != i)
        other = reference.fit(phi[kept], problem.labels[kept], prior, theta, k=3)
        np.testing.assert_allclose(found[i], softmax(other @ phi[i]), atol=0.02)


def test_without_suspects_it_is_the_first_look():
    problem, prior = SMALL["three_classes"]
    phi = with_bias(torch.from_numpy(problem.features))
    probe = fit(Objective(Softmax(3), DesignMatrix(phi), torch.from_numpy(problem.labels), prior))
    first = evaluate(probe, ("full",), LeaveOneOut(certify=0))[0].loo_probabilities
    for suspects in (np.zeros(len(phi), bool), np.ones(len(phi), bool)):
        np.testing.assert_allclose(probabilities_without_suspects(probe, suspects).dense(), first, atol=1e-6)


def test_it_finds_more_wrong_labels_than_the_first():
    gains = []
    for seed in range(3):
        problem = noisy_digits(share=0.3, seed=seed, n=800)
        phi = with_bias(torch.from_numpy(problem.features))
        probe = fit(Objective(Softmax(10), DesignMatrix(phi), torch.from_numpy(problem.labels), 1.0))
        first = evaluate(probe, ("full",), LeaveOneOut(certify=0))[0].loo_probabilities
        again = probabilities_without_suspects(probe, label_issues(problem.labels, first)).dense()
        n = np.arange(len(phi))
        gains.append(
            roc_auc_score(problem.flipped, -again[n, problem.labels])
            - roc_auc_score(problem.flipped, -first[n, problem.labels])
        )
    assert min(gains) > 0
