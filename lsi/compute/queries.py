"""What can be asked of a finished run: its map, explanations, groups, a report. The run alone answers.

No data set is read, no backbone loaded and no lock of a computation taken; only a missing map is computed.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from lsi.errors import ConvergenceError, UsageError
from lsi.export import Selection, check_selection, final_labels, select, selection_of
from lsi.laplace.explanation import Explanation, explain_label
from lsi.laplace.loo import leave_group_out, leave_one_out
from lsi.laplace.posterior import Full, Kron
from lsi.laplace.probe import Probe, fit
from lsi.laplace.ridge import Ridge, fit_ridge
from lsi.laplace.scores import posterior_of
from lsi.laplace.scores.evaluate import size_of
from lsi.laplace.scores.structures import resolve
from lsi.runs import model
from lsi.runs.run import Run

if TYPE_CHECKING:
    from lsi.export.report import Check


def explain_sample(run: Run, position: int, other_label: int | None = None) -> Explanation:
    """Return which training samples support and which contradict a label, and what each other label would cost.

    Args:
        run: a run with class labels.
        position: row of the sample in the run's table.
        other_label: what the given label is compared with; by default the one that is suggested, and where that is the
            given one, the likeliest other one.

    Raises:
        UsageError: the run knows no class labels.
        DataError: its design matrix is not there.
    """
    run.need_labels("An explanation of a label")
    if other_label is None:
        other_label = _suggested_instead(run, position)
    kept = model.posterior_of(run)
    weights = model.weights_of(run)
    return explain_label(model.objective_of(run), weights, run.probabilities, position, other_label, kept)


def _suggested_instead(run: Run, position: int) -> int | None:
    """Return the class that is suggested for a sample, None where that is the given one."""
    given, suggested = (int(run.scores[c].iloc[position]) for c in ("given_label", "suggested_label"))
    return None if suggested == given else suggested


@dataclass(frozen=True)
class ClassifierFit:
    """The probe of a classification with its posterior: one factor for whatever is asked of it."""

    probe: Probe
    posterior: Full | Kron

    def group_information(self, positions: np.ndarray) -> float:
        """Return the LSI in nats of leaving these rows out together, by one Newton step."""
        return float(leave_group_out(self.probe, self.posterior, torch.from_numpy(positions)).lsi)

    def information_apart(self, positions: np.ndarray) -> float:
        """Return the sum of the LSI in nats of leaving each of these rows out alone, under the same posterior."""
        removals = leave_one_out(self.probe, self.posterior, torch.from_numpy(positions))
        return float(sum(removal.closed.terms.lsi.double().sum() for removal in removals))


@dataclass(frozen=True)
class RegressionFit:
    """The Gaussian head of a run without classes."""

    head: Ridge

    def group_information(self, positions: np.ndarray) -> float:
        """Return the LSI in nats of leaving these rows out together, exact."""
        return self.head.group_lsi(torch.from_numpy(positions))

    def information_apart(self, positions: np.ndarray) -> float:
        """Return the sum of the LSI in nats of leaving each of these rows out alone, exact."""
        return sum(self.head.group_lsi(torch.from_numpy(positions[i : i + 1])) for i in range(len(positions)))


def refit_of_run(run: Run) -> ClassifierFit | RegressionFit:
    """Fit the run's probe on its stored design, from its stored weights, and factor its posterior.

    Raises:
        DataError: the design matrix is not there.
        ConvergenceError: the probe did not converge.
        UsageError: its full posterior does not fit into the memory that is free.
    """
    if run.task == "classification":
        probe = fit(model.objective_of(run), model.weights_of(run))
        facts = run.manifest["leave_one_out"]
        steps = facts.get("steps") or _steps_of_before(facts["structure"])
        return ClassifierFit(probe, posterior_of(probe, resolve(steps, size_of(probe))))
    facts, targets = run.manifest["probe"], torch.from_numpy(model.targets_of(run))
    phi = run.design_matrix.values
    return RegressionFit(fit_ridge(phi, targets, facts["prior_precision"], facts["noise_variance"]))


def _steps_of_before(structure: str) -> str:
    """Return whose leave-one-out steps a run of before took, which did not write it down."""
    return "auto" if structure == "diag" else structure


@dataclass(frozen=True)
class Influence:
    """Which samples pull a prediction towards its target and which away from it.

    `proponents` and `opponents` are positions, the strongest first; `support` (n,) is the pull of every sample in
    standardised units, positive towards the target.
    """

    proponents: np.ndarray
    opponents: np.ndarray
    support: np.ndarray


def influence_on_target(head: Ridge, position: int, count: int) -> Influence:
    """Return the samples that pull the prediction for one sample most.

    Args:
        head: the fitted head.
        position: row of the sample.
        count: how many to return on either side, at most.
    """
    support = head.support(position).numpy()
    order = np.argsort(support, kind="stable")
    proponents, opponents = order[::-1][:count], order[:count]
    return Influence(proponents[support[proponents] > 0], opponents[support[opponents] < 0], support)


def report_of_run(run: Run, positions: np.ndarray | None, decisions: pd.DataFrame, standing: Run | None = None) -> str:
    """Return the report of a run as HTML; the curation check is of the decisions, or else of leaving out suspects.

    Args:
        run: the run.
        positions: (n, 2) of its map, or None.
        decisions: those in force, indexed by position, with columns action and label.
        standing: the run with what still stands of the decisions that it started from, which an export is of.

    Raises:
        DataError: the design matrix is not there.
    """
    from lsi.export.report import render  # loads Plotly, which nothing else on the command line needs

    check = _check_of(standing or run, decisions) if run.task == "classification" else None
    return render(run, check=check, positions=positions, decisions=decisions)


def _check_of(run: Run, decisions: pd.DataFrame) -> "Check | None":
    """Return the check of the decisions, or of leaving out suspects where they change nothing; None without any."""
    from lsi.export.report import Check

    selection, what = selection_of(run, decisions), "Curated by the decisions of the reviewers."
    if not _changes(run, selection):
        selection, what = select(run, drop_issues=True), "Curated by leaving out every suspected label."
    if not _changes(run, selection):
        return None
    try:
        return Check(what, check_selection(run, selection))
    except (UsageError, ConvergenceError) as error:  # the rest of the report needs no check
        return Check(what, None, str(error))


def _changes(run: Run, selection: Selection) -> bool:
    """Say whether a selection leaves samples out, or labels other than those that the run learned."""
    is_new = final_labels(run, selection) != run.scores["given_label"].to_numpy()
    return bool(len(selection.removed) or is_new.any())
