"""A run is a folder that stands on its own: written by whoever computes, read by whoever looks."""

from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from lsi.config import Settings, Task
from lsi.data import Dataset, load
from lsi.data.thumbnails import UNRECORDED
from lsi.environment import data_root_of
from lsi.errors import DataError, UsageError
from lsi.files import read_json
from lsi.hashing import fingerprint, key
from lsi.probabilities import Probabilities, files_of
from lsi.runs.images import RunImages
from lsi.runs.layout import (
    BESIDE,
    CONTENTS,
    DECIDED,
    DESIGN,
    DESIGNS,
    FILES,
    LABEL_PROBABILITIES,
    MANIFEST,
    NEIGHBOURS,
    PROBABILITIES,
    PROBE,
    SAMPLES,
    SCORES,
    SOMETIMES,
    TITLE,
    UNLABELLED,
)
from lsi.runs.numbers import side_by_side
from lsi.runs.reading import arrays_of, table_of, told, written_by
from lsi.runs.subject import WITH_NOISE, Subject, label_column

if TYPE_CHECKING:  # torch takes seconds to import, and most readers of a run need none of it
    from lsi.features.design import Design
    from lsi.laplace.design_matrix import DesignMatrix

_CAPTIONED = 2  # so many targets fit below an image


@dataclass(frozen=True)
class Run:
    """A finished run; its files are read when they are asked for, and arrays are read-only."""

    folder: Path

    @property
    def name(self) -> str:
        """The folder's name, `<dataset>-<hash>`."""
        return self.folder.name

    @property
    def title(self) -> str:
        """What people call the run; "" where nobody has given it a title."""
        return str((read_json(self.folder / TITLE) or {}).get("title", ""))

    @property
    def subject_name(self) -> str:
        """The name of its dataset, which decisions belong to."""
        return self.manifest["dataset"].get("name") or self.name.rpartition("-")[0]

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Everything needed to repeat the run, and its headline figures."""
        return read_json(self.folder / MANIFEST) or {}

    @cached_property
    def settings(self) -> Settings:
        """The settings it was computed with.

        Raises:
            DataError: another version of the program wrote them, with settings that this one does not know.
        """
        try:
            return Settings.from_dict(self.manifest["settings"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"{self.name}: {written_by(self.manifest)}, whose settings this one cannot read."
            ) from error

    @cached_property
    def scores(self) -> pd.DataFrame:
        """One row a sample; treat as read-only.

        `predicted_label` is the likeliest class by the probe without the sample, which accuracies count;
        `suggested_label` that by the probabilities that labels are judged by, which a suspected label differs from.
        """
        table = table_of(self.folder / SCORES).rename(columns=self._data_columns)
        if "suggested_label" in table.columns or "predicted_label" not in table.columns:
            return table
        return table.assign(suggested_label=table["predicted_label"])  # no classes, or of a version with one

    def asked(self, group: str) -> dict[str, Any]:
        """Return a group of its settings, such as data, as they were kept; empty where a version before kept none."""
        return (self.manifest.get("settings") or {}).get(group) or {}

    @property
    def has_scores(self) -> bool:
        """Whether anything was computed; not so of data that were only read, for an export."""
        return "lsi" in self.scores.columns

    @cached_property
    def unlabelled(self) -> pd.DataFrame:
        """One row a sample without a label, left out of the fit: index, id, predicted_label, confidence, metadata.

        Its images follow those of the scored samples in `images`. Without rows where every sample has a label.
        """
        path = self.folder / UNLABELLED
        if path.is_file():
            return table_of(path).rename(columns=self._data_columns)
        return pd.DataFrame({"index": [], "id": [], "predicted_label": [], "confidence": []})

    @property
    def metadata_names(self) -> list[str]:
        """The names of the columns of the data, as the table of scores has them."""
        return list(self._data_columns.values())

    @cached_property
    def _data_columns(self) -> dict[str, str]:
        """The names of the data's columns in the run's files, and in its tables, which differ in runs of before."""
        stored = self.manifest.get("dataset", {}).get("metadata") or []
        names = {name: name for name in stored}
        for name in SOMETIMES.intersection(stored):
            while names[name] in SOMETIMES or names[name] in stored:
                names[name] += BESIDE
        return names

    @property
    def metadata(self) -> list[str]:
        """The names of the columns of the data that stand in `scores` beside what was computed."""
        return [c for c in self.metadata_names if c in self.scores.columns]

    @property
    def plan_lines(self) -> list[str]:
        """How the data were read, as sentences; none where they come with a package or the run is of before."""
        return list((self.manifest["dataset"].get("plan") or {}).get("lines", ()))

    @cached_property
    def probabilities(self) -> Probabilities:
        """Leave-one-out class probabilities of n samples over k classes."""
        self.need_labels("A class probability")
        with told(self.folder / f"{PROBABILITIES}.npy"):
            return Probabilities.read(self.folder, PROBABILITIES, len(self.class_names))

    @cached_property
    def label_probabilities(self) -> Probabilities:
        """Class probabilities that labels are judged by, those behind `label_score`."""
        self.need_labels("A class probability")
        with told(self.folder / f"{LABEL_PROBABILITIES}.npy"):
            return Probabilities.read(self.folder, LABEL_PROBABILITIES, len(self.class_names))

    @property
    def judged(self) -> Probabilities:
        """The class probabilities that labels are judged by; in runs of before these are the leave-one-out ones."""
        has_own = (self.folder / files_of(LABEL_PROBABILITIES)[0]).is_file()
        return self.label_probabilities if has_own else self.probabilities

    @cached_property
    def design_folder(self) -> Path:
        """Where the run's design matrix lies: in its own folder where the run was copied, else in the cache."""
        copied = self.folder / DESIGN
        return copied if copied.is_dir() else self.folder.parent.parent / DESIGNS / str(self.design_key)

    @property
    def design_key(self) -> str | None:
        """The name of the design matrix in the cache; None in runs of versions that stored none."""
        return self.manifest["features"].get("design")

    @cached_property
    def projection_key(self) -> str:
        """The name of the run's map in the cache: a hash of its design matrix, its rows and its seed."""
        rows = fingerprint(self.scores["index"].to_numpy())
        whole = {"whole": True} if "n_unused" in self.manifest["features"] else {}
        return key(design=self.design_key, rows=rows, seed=self.settings.seed, **whole)

    @cached_property
    def design(self) -> "Design":
        """Φ that the probe was fitted on, with what made it.

        Raises:
            DataError: it is not there.
        """
        from lsi.features.design import read_design

        if self.design_key is None:
            version = self.manifest.get("versions", {}).get("lsi", "unknown")
            raise DataError(
                f"{self.name} was written by an earlier version ({version}) that stored no design matrix: "
                "compute it again with the same settings."
            )
        return read_design(self.design_folder)

    @cached_property
    def images(self) -> RunImages | None:
        """The images behind the run, compared with what was computed when they are read; None where it has none.

        Raises:
            DataError: the run is of a version that kept no record of its images.
        """
        if not self.manifest["dataset"]["has_images"]:
            return None
        path = self.folder / SAMPLES
        if not path.is_file():
            raise DataError(f"{self.name} was written by an earlier version that {UNRECORDED}.")
        shown = [t[["id", "index"]] for t in (self.scores, self.unlabelled) if len(t)]
        table = pd.concat([pd.concat(shown, ignore_index=True), table_of(path)], axis=1)
        return RunImages(table, self.manifest["images"], self._open_data)

    @cached_property
    def subject(self) -> Subject:
        """The samples as decisions name them: by id and content."""
        labelled = self.task == "classification"
        plan = self.manifest["dataset"].get("plan") or {}
        column = label_column(plan.get("columns") or {}, self.target_names)
        return Subject(
            self.name,
            self.subject_name,
            self.scores["id"].astype(str).to_numpy(dtype=object),
            self._contents(),
            tuple(self.class_names) if labelled else (),
            self.scores["given_label"].to_numpy() if labelled else None,
            self.scores["index"].to_numpy(),
            column,
            frozenset(self.manifest["dataset"].get("metadata") or ()) - {column},
        )

    @cached_property
    def decided_before(self) -> list[dict[str, Any]]:
        """The decisions that the run started from, as records, of samples that left too; none for most runs."""
        return (read_json(self.folder / DECIDED) or {}).get("decisions", [])

    def with_decided_before(self, records: list[dict[str, Any]]) -> "Run":
        """Return the run as if it had started from these decisions: those of its own that still stand, say."""
        run = copy(self)
        vars(run)["decided_before"] = records
        return run

    @property
    def parent(self) -> str | None:
        """The name of the run whose decisions this one started from, where that is known."""
        return (self.manifest.get("decided") or {}).get("parent")

    def _contents(self) -> np.ndarray:
        """Return a hash of each sample's content, noise that was added to its image included."""
        samples, contents, n = self.folder / SAMPLES, self.folder / CONTENTS, len(self.scores)
        if samples.is_file():
            table = table_of(samples, ["checksum", "noisy"]).iloc[:n]
            noise = np.where(table["noisy"].to_numpy(dtype=bool), WITH_NOISE, "").astype(object)
            return table["checksum"].to_numpy(dtype=object) + noise
        if contents.is_file():
            return np.load(contents).astype(str).astype(object)
        if "text" in self.scores.columns:  # a run of before that kept no hashes; nor did the following
            return np.array([fingerprint("", text) for text in self.scores["text"]], dtype=object)
        return np.full(n, self.manifest["dataset"].get("fingerprint", ""), dtype=object)

    def _open_data(self) -> Dataset:
        return load(self.settings.data, data_root_of(self.folder), download=False)

    @cached_property
    def neighbours(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions and distances of the nearest other samples, (n, s) each."""
        with arrays_of(self.folder / NEIGHBOURS) as arrays:
            return arrays["index"], arrays["distance"]

    @property
    def task(self) -> Task:
        """What was learnt: classification, regression, paired or self."""
        return self.manifest.get("task", "classification")

    @property
    def target_names(self) -> list[str]:
        """The names of a regression's targets that the table shows."""
        names = (c.removeprefix("target ") for c in self.scores.columns if c.startswith("target "))
        return [name for name in names if f"loo_prediction {name}" in self.scores]  # else a column of the data

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
        """Return the scores with `given` and `predicted` (or suggested) as texts: class names, numbers, or nothing."""
        if self.task != "classification":
            return self.scores.assign(**dict(zip(("given", "predicted"), self._targets_written, strict=True)))
        names, table = np.array(self.class_names, dtype=object), self.scores
        return table.assign(given=names[table["given_label"]], predicted=names[table["suggested_label"]])

    @cached_property
    def _targets_written(self) -> tuple[list[str], list[str]]:
        names, table = self.target_names[:_CAPTIONED], self.scores
        given, predicted = (table[[f"{prefix} {name}" for name in names]] for prefix in ("target", "loo_prediction"))
        return side_by_side(given, 7), side_by_side(predicted, 4)

    def caption_codes(self) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Return what is written below a sample: codes of what was given and of what is predicted, and their texts."""
        if self.task == "classification":
            return self.scores["given_label"].to_numpy(), self.scores["suggested_label"].to_numpy(), self.class_names
        given, predicted = self._targets_written
        codes, texts = pd.factorize(np.array([*given, *predicted], dtype=object))
        return codes[: len(given)], codes[len(given) :], [str(text) for text in texts]

    def need_labels(self, what: str) -> None:
        """Raise where the run knows no class labels.

        Raises:
            UsageError: it is no classification.
        """
        if self.task != "classification":
            raise UsageError(f"{what} needs class labels; {self.name} has task {self.task}.")

    @cached_property
    def design_matrix(self) -> "DesignMatrix":
        """The stored design as the probe reads it, with the factor of ΦᵀΦ.

        Raises:
            DataError: it is not there.
        """
        from lsi.laplace.design_matrix import DesignMatrix

        return DesignMatrix.stored(self.design.values, self.design.gram_values, self.design.gram_vectors)

    def predict(self, raw_features: ArrayLike) -> np.ndarray:
        """Apply the run's probe to raw features, as its backbone gives them.

        Args:
            raw_features: (s, r), of any samples; for runs on ready-made features or probabilities rows like theirs.

        Returns:
            Class probabilities (s, k), or predicted targets (s, m) in their own units where there are no classes;
            float64. On the run's own raw features they are those of its fit, bit for bit on the same machine.

        Raises:
            DataError: the raw features are not like those of the run, or the design matrix is not there.
        """
        import torch

        from lsi.laplace.likelihood import Softmax
        from lsi.laplace.objective import predict
        from lsi.runs.raw_rows import raw_rows

        classes = self.class_names if self.asked("features").get("probabilities") else None
        raw = raw_rows(raw_features, self.design, self.manifest["features"].get("n_unused"), classes)
        phi = torch.from_numpy(self.design.recipe.apply(raw))
        with arrays_of(self.folder / PROBE) as arrays:
            if self.task == "classification":
                return predict(Softmax(len(self.class_names)), phi, torch.from_numpy(arrays["class_weights"])).numpy()
            weights = torch.from_numpy(arrays["weights"])
            return (phi.double() @ weights.T).numpy() * arrays["target_scale"] + arrays["target_mean"]
