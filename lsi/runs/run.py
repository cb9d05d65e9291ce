"""A run is a folder: written by whoever computes, read by whoever looks."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lsi.config import Settings, Task
from lsi.errors import MissingRunError, UsageError
from lsi.files import atomic, read_json, save_array, write_json
from lsi.laplace.design_matrix import DesignMatrix
from lsi.laplace.likelihood import Softmax
from lsi.laplace.objective import Objective
from lsi.runs.store import Entry

KIND = "runs"
MANIFEST, SCORES, PROBABILITIES, LOOKED, PROBE, NEIGHBOURS = (
    "manifest.json",
    "scores.parquet",
    "loo_probabilities.npy",
    "label_probabilities.npy",
    "probe.npz",
    "neighbours.npz",
)
_CAPTIONED = 2  # so many targets fit below an image
FILES = [MANIFEST, SCORES, PROBABILITIES, LOOKED, PROBE, NEIGHBOURS]  # of a classification


@dataclass(frozen=True)
class Run:
    """A finished run; its files are read when they are asked for, and arrays are read-only."""

    folder: Path

    @property
    def name(self) -> str:
        """The folder's name, `<dataset>-<hash>`."""
        return self.folder.name

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Everything needed to repeat the run, and its headline figures."""
        return read_json(self.folder / MANIFEST) or {}

    @cached_property
    def settings(self) -> Settings:
        """The settings it was computed with."""
        return Settings.from_dict(self.manifest["settings"])

    @cached_property
    def scores(self) -> pd.DataFrame:
        """One row a sample; treat as read-only."""
        return pd.read_parquet(self.folder / SCORES)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Leave-one-out class probabilities, (n, k)."""
        return np.load(self.folder / PROBABILITIES, mmap_mode="r")

    @cached_property
    def label_probabilities(self) -> np.ndarray:
        """Class probabilities that labels are judged by, those of the second look, (n, k)."""
        return np.load(self.folder / LOOKED, mmap_mode="r")

    @cached_property
    def neighbours(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions and cosine distances of the nearest other samples, (n, s) each."""
        with np.load(self.folder / NEIGHBOURS) as arrays:
            return arrays["index"], arrays["distance"]

    @property
    def task(self) -> Task:
        """What was learnt: classification, regression, paired or self."""
        return self.manifest.get("task", "classification")

    @property
    def target_names(self) -> list[str]:
        """The names of a regression's targets that the table shows."""
        return [c.removeprefix("target ") for c in self.scores.columns if c.startswith("target ")]

    @property
    def noun(self) -> str:
        """What the samples are, in the plural."""
        if self.manifest["dataset"]["has_images"]:
            return "images"
        return "texts" if "text" in self.scores.columns else "samples"

    @property
    def files(self) -> list[str]:
        """The names of its files."""
        return [name for name in FILES if (self.folder / name).exists()]

    @property
    def class_names(self) -> list[str]:
        """The names of the k classes."""
        return self.manifest["dataset"]["class_names"]

    def captioned(self) -> pd.DataFrame:
        """Return the scores with `given` and `predicted` as texts: class names, numbers, or nothing."""
        table = self.scores.copy()
        if self.task == "classification":
            names = np.array(self.class_names)
            table["given"], table["predicted"] = names[table["given_label"]], names[table["predicted_label"]]
            return table
        names = self.target_names[:_CAPTIONED]
        for column, prefix in (("given", "target"), ("predicted", "loo_prediction")):
            texts = pd.DataFrame({name: table[f"{prefix} {name}"].map("{:.4g}".format) for name in names})
            table[column] = texts.agg(", ".join, axis=1) if names else ""
        return table

    def need_labels(self, what: str) -> None:
        """Raise where the run knows no class labels.

        Raises:
            UsageError: it is no classification.
        """
        if self.task != "classification":
            raise UsageError(f"{what} needs class labels; {self.name} has task {self.task}.")

    def probe_weights(self) -> Tensor:
        """Return V at the MAP, (m, D), float64."""
        with np.load(self.folder / PROBE) as arrays:
            return torch.from_numpy(arrays["weights"])

    def objective(self, phi: Tensor) -> Objective:
        """Return the probe's objective for its features Φ (bias column included).

        Raises:
            UsageError: the run is no classification.
        """
        self.need_labels("A softmax probe")
        labels = torch.from_numpy(self.scores["given_label"].to_numpy().astype(np.int64))
        return Objective(
            Softmax(len(self.class_names)), DesignMatrix(phi), labels, self.manifest["probe"]["prior_precision"]
        )


def write_run(
    entry: Entry,
    manifest: dict[str, Any],
    table: pd.DataFrame,
    arrays: dict[str, np.ndarray],
    weights: dict[str, np.ndarray],
    near: tuple[np.ndarray, np.ndarray],
) -> list[str]:
    """Write a run's files, the manifest last, and return their names; `arrays` become one file each."""
    with atomic(entry.path(SCORES)) as temporary:
        table.to_parquet(temporary, index=False)
    for name, values in arrays.items():
        save_array(entry.path(f"{name}.npy"), values)
    with atomic(entry.path(PROBE)) as temporary, temporary.open("wb") as file:
        np.savez(file, **weights)  # type: ignore[arg-type]
    with atomic(entry.path(NEIGHBOURS)) as temporary, temporary.open("wb") as file:
        np.savez(file, index=near[0], distance=near[1])
    write_json(entry.path(MANIFEST), manifest)
    return [MANIFEST, SCORES, *(f"{name}.npy" for name in arrays), PROBE, NEIGHBOURS]


def list_runs(cache: Path) -> list[Run]:
    """Return the finished runs in a cache, the newest first."""
    folders = [p.parent for p in (cache / KIND).glob(f"*/{MANIFEST}")]
    return [Run(f) for f in sorted(folders, key=lambda f: (f / MANIFEST).stat().st_mtime, reverse=True)]


def find_run(cache: Path, name: str) -> Run:
    """Return a run by its folder, its name, the start of its name, or "latest".

    Raises:
        MissingRunError: none or several fit.
    """
    if (Path(name) / MANIFEST).is_file():
        return Run(Path(name))
    runs = list_runs(cache)
    if name == "latest" and runs:
        return runs[0]
    fitting = [r for r in runs if r.name == name] or [r for r in runs if r.name.startswith(name)]
    if len(fitting) == 1:
        return fitting[0]
    known = ", ".join(r.name for r in runs[:5]) or "none yet: start one with `python -m lsi compute`"
    raise MissingRunError(f"{'Several runs fit' if fitting else 'No run is called'} {name!r}. Runs: {known}.")


def is_run_name(name: str) -> bool:
    """Say whether a text can be the name of a run's folder, and nothing else."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) is not None and ".." not in name
