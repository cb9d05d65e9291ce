"""What can be asked of a finished run: features, images, map, explanations, groups, report.

Answers come from the cache where they are there, and are computed from the run's own settings where they are not.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lsi.compute.inputs import Prepared, features_of, prepare, targets_of
from lsi.data import Dataset, Images
from lsi.export import check_selection, select, selection_of
from lsi.features.projection import project
from lsi.files import save_array
from lsi.hashing import fingerprint, key
from lsi.laplace.design_matrix import with_bias
from lsi.laplace.explanation import Explanation, explain_label
from lsi.laplace.loo import leave_group_out
from lsi.laplace.posterior import Full, Kron
from lsi.laplace.probe import Probe, fit
from lsi.laplace.ridge import Ridge, fit_ridge
from lsi.laplace.scores import posterior_of
from lsi.memory import keep_freed_memory
from lsi.progress import Progress
from lsi.runs.run import Run
from lsi.runs.store import Entry, Store

PROJECTION = "projection.npy"


@lru_cache(maxsize=4)
def _prepared(found: Run) -> Prepared:
    """Return the data behind a run, read once for whatever is asked of it."""
    return prepare(found.settings)


def features_of_run(found: Run, cache: Path) -> Tensor:
    """Return Φ of a run (bias column included), from the cache, or computed again."""
    keep_freed_memory()
    return with_bias(torch.from_numpy(features_of(found.settings, _prepared(found), Store(cache), Progress()).values))


def explain_sample(found: Run, cache: Path, position: int, other_label: int | None = None) -> Explanation:
    """Say who speaks for and against the label of the sample at this position (row of the table) of a run."""
    found.need_labels("An explanation of a label")
    objective = found.objective(features_of_run(found, cache))
    loo = torch.from_numpy(np.array(found.probabilities))
    return explain_label(objective, found.probe_weights(), loo, position, other_label)


@dataclass(frozen=True)
class Softmaxed:
    """The probe of a classification, and its posterior: one factor for whatever is asked of it."""

    probe: Probe
    posterior: Full | Kron

    def group_information(self, positions: np.ndarray) -> float:
        """Return the LSI in nats of leaving these rows out together, by one Newton step."""
        return float(leave_group_out(self.probe, self.posterior, torch.from_numpy(positions)).terms.lsi)


@dataclass(frozen=True)
class Linear:
    """The Gaussian head of a run without classes."""

    head: Ridge

    def group_information(self, positions: np.ndarray) -> float:
        """Return the LSI in nats of leaving these rows out together, exact."""
        return self.head.group_lsi(torch.from_numpy(positions))


def fitted_run(found: Run, cache: Path, phi: Tensor) -> Softmaxed | Linear:
    """Return what a run fitted on its features Φ, from where it ended."""
    if found.task == "classification":
        probe = fit(found.objective(phi), found.probe_weights())
        return Softmaxed(probe, posterior_of(probe))
    prepared, store = _prepared(found), Store(cache)
    features = features_of(found.settings, prepared, store, Progress())
    targets = targets_of(found.settings, prepared, features, store, Progress())
    assert targets is not None
    about = found.manifest["probe"]
    head = fit_ridge(phi, torch.from_numpy(targets.values), about["prior_precision"], about["noise_variance"])
    return Linear(head)


def speakers(head: Ridge, position: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return who draws the prediction for a sample most to its target, who most away, and how far each draws."""
    support = head.support(position).numpy()
    order = np.argsort(support, kind="stable")
    to, away = order[::-1][:count], order[:count]
    return to[support[to] > 0], away[support[away] < 0], support


def projection_of_run(found: Run, cache: Path, progress: Progress | None = None) -> np.ndarray:
    """Return the UMAP positions of a run's samples, (n, 2), from the cache where they are."""
    progress = progress or Progress()

    def compute_projection(entry: Entry) -> list[str]:
        progress.report("projection", 0, 1)
        phi = features_of_run(found, cache)[:, :-1].numpy()
        save_array(entry.path(PROJECTION), project(phi, found.settings.seed))
        return [PROJECTION]

    entry = Store(cache).get("projections", projection_key(found), compute_projection)
    progress.report("done", 1, 1)
    return np.load(entry.path(PROJECTION))


def cached_projection(found: Run, cache: Path) -> np.ndarray | None:
    """Return the UMAP positions if they are computed, else None, at once."""
    entry = Store(cache).entry("projections", projection_key(found))
    return np.load(entry.path(PROJECTION)) if entry.is_complete() else None


def projection_key(found: Run) -> str:
    """Return the hash of what a run's projection depends on."""
    features, how = found.manifest["features"], found.manifest["settings"]["features"]
    rows = fingerprint(found.scores["index"].to_numpy())
    halved = found.task == "self" and not found.manifest["dataset"]["has_images"]  # then Φ is half of the features
    more = {"half": True} if halved else {}
    return key(features=features["key"], how=how, rows=rows, seed=found.settings.seed, **more)


def images_of_run(found: Run) -> Dataset:
    """Return the dataset behind a run, its rows in the order of the table, to read images from."""
    dataset = _prepared(found).dataset
    positions = {int(source): i for i, source in enumerate(dataset.source_index)}
    return dataset.take(np.array([positions[int(i)] for i in found.scores["index"]]))


def report_of_run(
    found: Run, images: Images | None, phi: Tensor, positions: np.ndarray | None, decided: pd.DataFrame
) -> str:
    """Return the report of a run as HTML; the curation check is of the decisions, or else of leaving out suspects.

    Args:
        found: the run.
        images: reads image i of the run's table, or None.
        phi: Φ of the run.
        positions: of its map, or None.
        decided: the decisions in force.
    """
    from lsi.export.report import Check, render  # loads Plotly, which nothing else on the command line needs

    selection, what = selection_of(found, decided), "Curated by the decisions of the reviewers."
    if not len(selection.removed) and not selection.relabelled:
        selection, what = select(found, drop_issues=True), "Curated by leaving out every suspected label."
    check = None
    if found.task == "classification" and (len(selection.removed) or selection.relabelled):
        check = Check(what, check_selection(found, phi, selection))
    return render(found, images, check=check, positions=positions)
