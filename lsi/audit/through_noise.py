"""Class probabilities by a probe that is fitted through the noise of the labels.

A probe fitted to the labels as they are learns how they err: where half a class gets the same wrong name, that name is
probable there, and no longer conspicuous. Here a given label y is what annotators made of a right class z, with
P(y | z) = N[z, y]. The probe says P(z | x), and both are fitted by expectation-maximisation, started with the
probabilities without suspects:

    E    R_iz = p_iz N[z, y_i] / Σ_c p_ic N[c, y_i]            what each label stands for
    M    W = argmin −Σ_i Σ_z R_iz ln softmax(Wφ_i)_z + ½λ‖W‖²,      N[z, y] ∝ Σ_{i: y_i = y} R_iz

with p the leave-one-out probabilities by one Newton step each, so that no label vouches for itself. These are
underconfident, and explain as doubt what is noise: N is held to as large a share of wrong labels as confident learning
counts. The probability of the given label as the right one is p_i[y_i]; N is not multiplied back in, as it is high
where errors are frequent.

Source: Dawid and Skene (1979) for the model of annotators; Goldberger and Ben-Reuven, "Training deep neural networks
using a noise adaptation layer" (2017), for a classifier in it. Leave-one-out in the E step is our own.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lsi.audit.label_issues import MOST_VALUES, label_issues
from lsi.audit.noise_model import fit_noise
from lsi.audit.without_suspects import leave_one_out_probabilities, probabilities_without_suspects
from lsi.laplace.likelihood import SoftLabels
from lsi.laplace.objective import Objective
from lsi.laplace.probe import Probe, fit
from lsi.probabilities import Probabilities

ROUNDS = 4  # of expectation and maximisation: more gain little
_MOST_WRONG = 0.95  # of a class's labels, where its share is raised
MOST_PRODUCTS = 1e8  # n·k²: beyond, four fits take minutes on two cores


def judge_labels(
    probe: Probe,
    labels: Int[np.ndarray, " n"],
    seen: "Float[np.ndarray, 'n k'] | Probabilities",
    confirmed: Bool[np.ndarray, " n"] | None = None,
    structure: str = "auto",
) -> Probabilities:
    """Return the class probabilities that labels are judged by: without suspects, then through the noise.

    Where n·k² is beyond 10⁸ (10,000 samples of 100 classes), or n·k beyond 2·10⁷, those without suspects are all, and
    suspects are as many as the noise model expects: of many classes with few samples confident learning counts most.

    Args:
        probe: fitted on the given labels as they are.
        labels: given labels 0 … k − 1.
        seen: leave-one-out class probabilities by that probe, from which the suspects come.
        confirmed: (n,) which labels are right for certain: they are no suspects; None: none.
        structure: of the posteriors that leave-one-out takes: full, kron or auto.

    Raises:
        ConvergenceError: a probe did not converge.
    """
    is_through_noise = goes_through_noise(*Probabilities.of(seen).shape)
    rule = "low_self_confidence" if is_through_noise else "expected_errors"
    suspects = label_issues(labels, seen, rule, confirmed)
    first = probabilities_without_suspects(probe, suspects, structure=structure)
    if not is_through_noise:
        return first
    return probabilities_through_noise(probe, labels, first, confirmed, structure)


def goes_through_noise(n_labels: int, n_classes: int) -> bool:
    """Say whether labels are judged through their noise, which takes too long where n·k or n·k² is large."""
    return n_labels * n_classes <= MOST_VALUES and n_labels * n_classes**2 <= MOST_PRODUCTS


def probabilities_through_noise(
    probe: Probe,
    labels: Int[np.ndarray, " n"],
    first: Probabilities,
    confirmed: Bool[np.ndarray, " n"] | None = None,
    structure: str = "auto",
) -> Probabilities:
    """Return leave-one-out class probabilities by a probe that is fitted through the noise, (n, k).

    Args:
        probe: fitted on the given labels as they are.
        labels: given labels 0 … k − 1.
        first: class probabilities to begin with, all classes of them.
        confirmed: (n,) which labels are right for certain: they stand for themselves; None: none.
        structure: of the posteriors that leave-one-out takes: full, kron or auto.

    Raises:
        ConvergenceError: a probe did not converge.
    """
    objective, device = probe.objective, probe.weights.device
    p, given = torch.from_numpy(first.dense()).to(device, torch.float64), torch.from_numpy(labels).to(device)
    counted = label_issues(labels, first, confirmed=confirmed)
    share = max(float(counted.mean()), float(fit_noise(first.dense(), labels, confirmed=confirmed).p_wrong.mean()))
    noise = torch.from_numpy(fit_noise(first.dense(), labels, share, confirmed).noise).to(p)
    certain = torch.from_numpy(np.zeros(len(labels), bool) if confirmed is None else confirmed).to(device)
    likelihood, found = SoftLabels(objective.n_outputs), first
    for _ in range(ROUNDS):
        hidden = _hidden(p, given, noise, certain)
        through = Objective(likelihood, objective.design, hidden, objective.prior_precision)
        probe = fit(through, probe)
        found = leave_one_out_probabilities(probe, structure)
        p = torch.from_numpy(found.dense()).to(p)
        noise = _transitions(_hidden(p, given, noise, certain), given, share)
    return found


def _hidden(
    p: Float[Tensor, "n k"], given: Int[Tensor, " n"], noise: Float[Tensor, "k k"], certain: Bool[Tensor, " n"]
) -> Float[Tensor, "n k"]:
    """Return the probability of each right class behind each given label, R."""
    joint = p * noise.T[given]
    joint = joint / joint.sum(dim=1, keepdim=True).clamp_min(torch.finfo(joint.dtype).tiny)
    return torch.where(certain[:, None], torch.nn.functional.one_hot(given, p.shape[1]).to(joint), joint)


def _transitions(hidden: Float[Tensor, "n k"], given: Int[Tensor, " n"], share: float) -> Float[Tensor, "k k"]:
    """Return N of the labels with one more of each right class, nine tenths of it right, the rest spread evenly.

    Args:
        hidden: R.
        given: the given labels.
        share: of wrong labels that N says at least, as far as no class is wrong in more than 95 %.
    """
    k = hidden.shape[1]
    counts = torch.zeros(k, k, dtype=hidden.dtype, device=hidden.device).index_add_(0, given, hidden).T
    counts = counts + 0.1 / k + 0.9 * torch.eye(k).to(hidden)
    noise = counts / counts.sum(dim=1, keepdim=True)
    wrong = 1 - noise.diagonal()
    scale = torch.clamp(share / (hidden.mean(dim=0) @ wrong).clamp_min(1e-12), min=1.0)
    raised = torch.minimum(wrong * scale, wrong.clamp_min(_MOST_WRONG))
    noise = noise * (raised / wrong.clamp_min(1e-12))[:, None]
    return noise.diagonal_scatter(1 - raised)
