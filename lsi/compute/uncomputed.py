"""Data as a run without scores, for exports that need the data and decisions alone."""

from pathlib import Path

import numpy as np
import pandas as pd

from lsi.compute.preparation import Prepared, prepare
from lsi.config import DataSettings, Settings
from lsi.data import Dataset
from lsi.errors import DataError, unreadable_passed_over
from lsi.files import atomic, save_array, write_json
from lsi.progress import Progress
from lsi.runs.images import describe_images, file_facts
from lsi.runs.layout import CONTENTS, MANIFEST, SAMPLES, SCORES
from lsi.runs.manifest import dataset_facts, with_metadata
from lsi.runs.run import Run


def data_as_run(
    settings: DataSettings, cache: Path, folder: Path, progress: Progress | None = None, decided_on: str | None = None
) -> Run:
    """Write data as a run that has samples and labels and no scores, and return it.

    It holds the samples that a computation would hold: images that cannot be read are left out.

    Args:
        settings: which data.
        cache: where checksums of images are kept.
        folder: where to write; its name becomes the run's.
        progress: told how many images have been read.
        decided_on: name of the run that the decisions to apply were made on; None where they name none.

    Raises:
        DataError: the data do not fit, or no image can be read.
    """
    everything = Settings(data=settings).resolved()
    prepared = prepare(everything, cache, progress)
    rows = _readable(prepared.dataset, progress)
    if not len(rows):
        raise DataError(f"{prepared.dataset.name}: none of the images could be read: check the paths and the files.")
    dataset = prepared.dataset.take(rows)
    if prepared.task == "classification":
        dataset, _ = dataset.without_empty_classes()
    table = _table(dataset)
    with atomic(folder / SCORES) as temporary:
        table.to_parquet(temporary, index=False)
    if dataset.images is None:
        save_array(folder / CONTENTS, np.array(dataset.checksums, dtype="S"))
    else:
        samples = describe_images(prepared.dataset, None)
        samples["position"] = np.arange(len(samples))
        with atomic(folder / SAMPLES) as temporary:
            samples.iloc[rows].to_parquet(temporary, index=False)
    write_json(folder / MANIFEST, _manifest(everything, prepared, dataset, table) | {"run": decided_on})
    return Run(folder)


def _readable(dataset: Dataset, progress: Progress | None) -> np.ndarray:
    """Return the positions of the samples whose image can be read, (s,); all where there are none."""
    if dataset.images is None:
        return np.arange(len(dataset))
    good = np.zeros(len(dataset), dtype=bool)
    for i in range(len(dataset)):
        with unreadable_passed_over():
            dataset.images.read(i)
            good[i] = True
        if progress is not None and i % 256 == 0:
            progress.report("reading", i, len(dataset), "images")
    return np.flatnonzero(good)


def _table(dataset: Dataset) -> pd.DataFrame:
    """Return what a run's table holds beside its scores."""
    columns: dict[str, np.ndarray | list] = {"index": dataset.source_index, "id": dataset.ids.astype(str)}
    columns["given_label"] = dataset.labels
    if dataset.split is not None:
        columns["split"] = dataset.split
    if dataset.text is not None:
        columns["text"] = [str(text) for text in dataset.text]
    return with_metadata(pd.DataFrame(columns), dataset.metadata)


def _manifest(settings: Settings, prepared: Prepared, dataset: Dataset, table: pd.DataFrame) -> dict:
    plan = prepared.dataset.plan
    facts = dataset_facts(dataset, prepared.task, table)
    facts["plan"] = None if plan is None else plan.to_dict()
    return {
        "name": dataset.name,
        "task": prepared.task,
        "dataset": facts,
        "settings": settings.to_dict(),
        "images": {"files": file_facts(dataset.files)},
    }
