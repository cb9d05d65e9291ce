"""The probe of a run as the maths has it: objective, weights and posterior, read back from the run's files."""

import numpy as np
import torch

from lsi.laplace.kronecker import Kronecker
from lsi.laplace.likelihood import Softmax
from lsi.laplace.objective import Objective
from lsi.laplace.posterior import Kron
from lsi.runs.layout import COVARIANCE, PROBE, TARGETS
from lsi.runs.reading import arrays_of, told
from lsi.runs.run import Run


def objective_of(run: Run) -> Objective:
    """Return the objective that the run's probe minimises.

    Raises:
        UsageError: the run is no classification.
        DataError: its design matrix is not there.
    """
    run.need_labels("A softmax probe")
    labels = torch.from_numpy(run.scores["given_label"].to_numpy().astype(np.int64))
    return Objective(Softmax(len(run.class_names)), run.design_matrix, labels, run.manifest["probe"]["prior_precision"])


def weights_of(run: Run) -> torch.Tensor:
    """Return V at the MAP of a classification, (m, D), float64."""
    with arrays_of(run.folder / PROBE) as arrays:
        weights = torch.from_numpy(arrays["class_weights"])
    return Softmax(len(weights)).contract(weights.T).T.contiguous()


def posterior_of(run: Run) -> torch.Tensor | Kron | None:
    """Return the posterior of a classification as far as it was kept.

    Returns:
        P⁻¹ of the probe's weights, (p, p) float32, memory-mapped; with structure kron its factors; None where P⁻¹ was
        too large to keep.
    """
    path = run.folder / COVARIANCE
    if path.is_file():
        return torch.from_numpy(np.load(path, mmap_mode="c"))
    with arrays_of(run.folder / PROBE) as arrays:
        if "output_basis" not in arrays:
            return None
        values, basis = (torch.from_numpy(arrays[name]).double() for name in ("output_values", "output_basis"))
    likelihood, design = Softmax(len(basis)), run.design_matrix
    gram, prior = design.gram_factor, run.manifest["probe"]["prior_precision"]
    form = Kronecker(likelihood.contract(basis.T).T, gram.vectors, values, gram.values, len(design), prior)
    return Kron(likelihood, form, basis)


def targets_of(run: Run) -> np.ndarray:
    """Return what a Gaussian head was to predict, standardised, (n, m), float64."""
    with told(run.folder / TARGETS):
        return np.load(run.folder / TARGETS)
