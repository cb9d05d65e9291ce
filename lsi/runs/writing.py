"""Writing a run's folder."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from lsi.files import atomic, save_array, write_json
from lsi.probabilities import Probabilities
from lsi.runs.layout import DECIDED, MANIFEST, NEIGHBOURS, PROBE, SAMPLES, SCORES, UNLABELLED
from lsi.runs.store import Entry


@dataclass(frozen=True)
class RunContent:
    """What a run's folder holds, before it is written.

    Attributes:
        manifest: everything needed to repeat the run, and its headline figures.
        scores: one row a sample.
        samples: what tells later whether an image is still the same, one row a sample; None without images.
        arrays: arrays of a file each, by name.
        weights: what is kept of the probe, by name.
        unlabelled: one row a sample without a label, with what is predicted for it; None where there are none.
        probabilities: class probabilities, by the stem of their files.
        neighbours: positions (n, s) and distances (n, s) of the nearest other samples.
        decided: the decisions that it started from, as records; None where it started from none.
    """

    manifest: dict[str, Any]
    scores: pd.DataFrame
    samples: pd.DataFrame | None
    arrays: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]
    neighbours: tuple[np.ndarray, np.ndarray]
    unlabelled: pd.DataFrame | None = None
    probabilities: dict[str, Probabilities] = field(default_factory=dict)
    decided: list[dict[str, Any]] | None = None


def write_run(entry: Entry, content: RunContent) -> list[str]:
    """Write a run's files, the manifest last, and return their names."""
    tables = {SCORES: content.scores, SAMPLES: content.samples, UNLABELLED: content.unlabelled}
    tables = {name: table for name, table in tables.items() if table is not None}
    for name, table in tables.items():
        with atomic(entry.path(name)) as temporary:
            table.to_parquet(temporary, index=False)
    for name, values in content.arrays.items():
        save_array(entry.path(f"{name}.npy"), values)
    of_probabilities = [n for stem, p in content.probabilities.items() for n in p.save(entry.folder, stem)]
    index, distance = content.neighbours
    for name, arrays in {PROBE: content.weights, NEIGHBOURS: {"index": index, "distance": distance}}.items():
        with atomic(entry.path(name)) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
    before = []
    if content.decided is not None:
        facts = {"run": content.manifest["decided"]["parent"], "dataset": content.manifest["dataset"]["name"]}
        write_json(entry.path(DECIDED), facts | {"decisions": content.decided})
        before = [DECIDED]
    write_json(entry.path(MANIFEST), content.manifest)
    return [
        *before,
        *tables,
        *(f"{name}.npy" for name in content.arrays),
        *of_probabilities,
        PROBE,
        NEIGHBOURS,
        MANIFEST,
    ]
