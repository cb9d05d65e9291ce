"""What is learnt from the features, and what each sample's part in it is: one function a kind of target.

Both give the same: columns of the table, one row a sample, and what the manifest says of the probe.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float

from lsi.audit.calibration import Calibration, calibrate
from lsi.audit.label_issues import (
    has_rates_of_classes,
    label_issues,
    residual_issues,
    self_confidence,
    suggested_labels,
)
from lsi.audit.through_noise import goes_through_noise, judge_labels
from lsi.config import ScoreSettings, Structure, Task
from lsi.data import Dataset
from lsi.errors import UsageError
from lsi.laplace.design_matrix import Design, DesignMatrix
from lsi.laplace.likelihood import Softmax
from lsi.laplace.posterior import Full, Kron
from lsi.laplace.probe import Probe
from lsi.laplace.scores import LeaveOneOut, Method, Scores, compute, score_ridge, structure_of
from lsi.probabilities import Probabilities

Stage = Callable[[str], AbstractContextManager[None]]
SHOWN_TARGETS = 8
KEPT_BYTES = 64 * 2**20  # a covariance of up to 4,096 weights


@dataclass(frozen=True)
class Targets:
    """What a Gaussian head predicts: `values` (n, m), standardised; a target in its own units is values·scale + mean.

    `names` (m) are empty where the targets are embeddings, which nobody reads one by one.
    """

    values: Float[np.ndarray, "n m"]
    mean: Float[np.ndarray, " m"]
    scale: Float[np.ndarray, " m"]
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class TaskResult:
    """What scoring gives.

    Attributes:
        table: one row a sample, the columns of its scores.
        manifest: the parts of the manifest that tell of the probe and of leave-one-out.
        arrays: what a run keeps as one file each, by its name.
        weights: what a run keeps of the probe, by name.
        probabilities: class probabilities, by name.
        calibration: of the label scores, where it was asked for.
    """

    table: pd.DataFrame
    manifest: dict[str, Any]
    arrays: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]
    probabilities: dict[str, Probabilities] = field(default_factory=dict)
    calibration: Calibration | None = None


def task_of(asked: str, dataset: Dataset) -> Task:
    """Return the task itself, or what "auto" means for these data.

    Raises:
        UsageError: classification without labels.
    """
    if asked == "auto":
        return "classification" if dataset.is_labelled else "self"
    if asked == "classification" and not dataset.is_labelled:
        raise UsageError(f"{dataset.name} has no labels to learn: use task=self, or give --labels.")
    return asked  # type: ignore[return-value]


def classify(
    dataset: Dataset,
    design: Design,
    score: ScoreSettings,
    seed: int,
    stage: Stage,
    confirmed: Bool[np.ndarray, " n"] | None = None,
) -> TaskResult:
    """Return LSI under the softmax likelihood, and label issues by probabilities through the noise of the labels.

    Args:
        dataset: samples with labels.
        design: Φ (n, D), bias column included.
        score: how.
        seed: of the choice of λ and of planted flips.
        stage: times a stage by its name.
        confirmed: (n,) labels that a person has confirmed: they are never suspected; None: none.
    """
    with stage("probe and leave-one-out"):
        labels = torch.from_numpy(dataset.labels).to(design.device)
        loo = LeaveOneOut(score.loo, score.refit_top, (), score.certify)
        method = Method(score.prior_precision, score.structure, loo, score.preset)
        result = compute(Softmax(len(dataset.class_names)), design, labels, method, seed)
    scores, probe, structure = result.scores, result.probe, structure_of(result.posterior)
    with stage("labels through the noise"):
        confirmed = np.zeros(len(dataset), bool) if confirmed is None else confirmed
        judged = judge_labels(probe, dataset.labels, scores.probabilities, confirmed, structure)
    calibration = None
    if score.calibrate:
        with stage("planted flips"):
            calibration = calibrate(probe, dataset.labels, judged, seed, structure, confirmed)
    table = scores.to_frame()
    table["is_label_issue"] = label_issues(dataset.labels, judged, "expected_errors", confirmed)
    table["label_score"], table["suggested_label"] = self_confidence(dataset.labels, judged), suggested_labels(judged)
    if calibration is not None:
        table["p_wrong"] = calibration.p_wrong
    probabilities = {"loo_probabilities": scores.probabilities, "label_probabilities": judged}
    weights = {"class_weights": probe.logit_weights.cpu().numpy()} | _kept_form(result.posterior)
    arrays = _kept_covariance(result.posterior)
    facts = _facts(scores, probe, structure) | {"labels_judged": _how_judged(len(dataset), len(dataset.class_names))}
    return TaskResult(table, facts, arrays, weights, probabilities, calibration)


def _how_judged(n: int, k: int) -> dict[str, str]:
    """Return what the manifest says of how n labels of k classes are judged."""
    return {
        "label_probabilities": "through the noise" if goes_through_noise(n, k) else "without suspects",
        "rule": "expected_errors" if has_rates_of_classes(n, k) else "expected_errors at one rate",
    }


def _kept_covariance(posterior: Full | Kron) -> dict[str, np.ndarray]:
    """Return P⁻¹ as (p, p) float32 where it is small: with it explanations take a tenth of the time."""
    if isinstance(posterior, Kron) or posterior.covariance.numel() * 4 > KEPT_BYTES:
        return {}
    m, d = posterior.shape
    return {"posterior_covariance": posterior.covariance.reshape(m * d, m * d).float().cpu().numpy()}


def _kept_form(posterior: Full | Kron) -> dict[str, np.ndarray]:
    """Return B's eigenvalues (m,) and its eigenvectors in logits (k, m) of a kron posterior, float32."""
    if not isinstance(posterior, Kron):
        return {}
    parts = {"output_values": posterior.form.output_values, "output_basis": posterior.logit_basis}
    return {name: value.float().cpu().numpy() for name, value in parts.items()}


def _facts(scores: Scores, probe: Probe, steps: Structure) -> dict[str, Any]:
    """Return what the manifest says of a softmax probe and its leave-one-out."""
    choice, certified = scores.prior_choice, scores.loo_residual[np.isfinite(scores.loo_residual)]
    prior_choice = None
    if choice is not None:
        prior_choice = {
            "grid": choice.grid,
            "loo_log_likelihood": choice.log_likelihood,
            "n_samples": choice.n_samples,
            "folds": choice.folds,
            "at_edge": choice.at_edge,
            "n_failed": choice.n_failed,
        }
    return {
        "probe": {
            "prior_precision": scores.prior_precision,
            "n_params": scores.n_params,
            "converged": scores.converged,
            "stalled": probe.stalled,
            "newton_decrement": scores.newton_decrement,
            "gradient_norm": probe.gradient_norm,
            "newton_steps": probe.n_newton_steps,
            "loss": probe.loss,
        },
        "prior_choice": prior_choice,
        "leave_one_out": {
            "structure": scores.structure,
            "steps": steps,  # of which posterior leave-one-out takes its steps: diag takes those of full, or of kron
            "n_refitted": int(scores.refitted.sum()),
            "n_certified": len(certified),
            "largest_residual": float(certified.max()) if len(certified) else None,
            "largest_covariance_error": float(scores.covariance_error.max()),
        },
    }


@dataclass(frozen=True)
class RegressionTask:
    """What a Gaussian head is asked: its `targets`, and whether an unusual residual makes a target suspect."""

    targets: Targets
    can_be_suspect: bool


def regress(
    dataset: Dataset, design: DesignMatrix, task: RegressionTask, score: ScoreSettings, seed: int, stage: Stage
) -> TaskResult:
    """Return LSI under the Gaussian likelihood, everything exact.

    Args:
        dataset: the samples.
        design: Φ (n, D), bias column included.
        task: what is predicted.
        score: how; only λ says anything here.
        seed: of the samples that λ and σ² are chosen on.
        stage: times a stage by its name.
    """
    targets = task.targets
    with stage("probe and leave-one-out"):
        prior = None if score.prior_precision == "auto" else score.prior_precision
        values = torch.from_numpy(targets.values).to(design.values.device)
        result = score_ridge(design.values, values, prior, None, seed)
        scores, head = result.scores, result.head
    table = scores.to_frame()
    table["given_label"] = table["predicted_label"] = table["suggested_label"] = np.zeros(len(dataset), np.int64)
    residuals = scores.targets - scores.loo_predictions
    table["loo_residual_norm"] = np.linalg.norm(residuals * targets.scale, axis=1)
    for i, name in enumerate(targets.names[:SHOWN_TARGETS]):
        table[f"target {name}"] = scores.targets[:, i] * targets.scale[i] + targets.mean[i]
        table[f"loo_prediction {name}"] = scores.loo_predictions[:, i] * targets.scale[i] + targets.mean[i]
    unusual = residual_issues(scores.standardised_residual)
    table["is_label_issue"] = unusual if task.can_be_suspect else np.zeros(len(dataset), bool)
    spread = float(((scores.targets - scores.targets.mean(axis=0)) ** 2).sum())
    manifest = {
        "probe": {
            "prior_precision": scores.prior_precision,
            "noise_variance": scores.noise_variance,
            "n_params": scores.n_params,
            "converged": True,
            "newton_decrement": 0.0,
        },
        "prior_choice": {"at_edge": scores.at_edge} if prior is None else None,
        "leave_one_out": {"structure": "exact", "n_refitted": 0, "n_certified": 0, "largest_residual": None},
        "targets": {
            "names": list(targets.names),
            "n_targets": targets.values.shape[1],
            "loo_r2": 1 - float((residuals**2).sum()) / max(spread, 1e-300),
        },
    }
    weights = {"weights": head.weights.cpu().numpy(), "target_mean": targets.mean, "target_scale": targets.scale}
    return TaskResult(table, manifest, {"targets": targets.values}, weights)
