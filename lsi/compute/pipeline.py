"""The only module that knows the order of the stages.

dataset → noise → features → probe → posterior → leave-one-out → scores → issues, duplicates, projection
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from lsi.audit.duplicates import Duplicates, Neighbours, near_duplicates, neighbours, no_duplicates
from lsi.audit.quality import quality_summary, quality_table
from lsi.compute.decided import Decided
from lsi.compute.designs import DesignEntry, compared_features, design_of, standardisation_facts, targets_of
from lsi.compute.engines import check_fits, design_on
from lsi.compute.measured import measures_of
from lsi.compute.preparation import Prepared, prepare, with_pixel_range
from lsi.compute.raw_features import check_differ, check_readable, check_same_files, contents, raw_features
from lsi.compute.raw_record import RawFeatures, Where, notes_on_skipped, skipped_records
from lsi.compute.tasks import RegressionTask, Targets, TaskResult, classify, regress
from lsi.compute.unlabelled import predict_unlabelled
from lsi.config import EMBEDDED, Settings
from lsi.data import Dataset, Plan
from lsi.data.formats import readers
from lsi.devices import as_device, choose_device
from lsi.features import FEATURES_VERSION, versions_of_weights
from lsi.files import mark_cache
from lsi.hashing import fingerprint, fingerprint_of_texts, key
from lsi.memory import keep_freed_memory, limit_memory, parse_memory
from lsi.progress import Progress
from lsi.runs.images import describe_images, file_facts
from lsi.runs.layout import KIND
from lsi.runs.listing import has_design
from lsi.runs.manifest import calibration_summary, make_manifest, make_table
from lsi.runs.run import Run
from lsi.runs.store import Store
from lsi.runs.writing import RunContent, write_run

log = logging.getLogger(__name__)

SCORES_VERSION = 15  # rises when the same settings give other numbers or files
# settings that change no result, by their group
NO_EFFECT = {"features": ("batch_size",), "where": ("engine", "ray_address")}


@dataclass
class Stages:
    """The stages of a run: each reports its start to `progress`, and leaves its `seconds`."""

    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time a stage and report its start."""
        log.info("%s", name)
        self.progress.report(name, 0, 1)
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 3)


def run(
    settings: Settings,
    cache: Path,
    progress: Progress | None = None,
    announce: Callable[[Plan], None] | None = None,
) -> Run:
    """Compute a run, or return the one that is there.

    Args:
        settings: everything it depends on; relative paths are those of the working folder.
        cache: where everything computed is kept.
        progress: told how far it is.
        announce: told how the data are read, before anything is computed.

    Raises:
        LsiError: with what was expected, what came, and what to do.
    """
    keep_freed_memory()
    if settings.where.engine == "local":  # what else computes may have what this machine lacks
        as_device(settings.device)
    limit_memory(parse_memory(settings.where.memory))
    settings, store = _with_preset(settings).resolved(), Store(cache)
    if (cache / KIND).is_dir():  # of a version that did not mark it, and it may lie among the data
        mark_cache(cache)
    stages = Stages(progress or Progress())
    with stages("dataset"):
        prepared = prepare(settings, cache, stages.progress, announce)
    files = contents(settings.features)
    name = f"{prepared.dataset.name}-{run_key(settings, prepared, files)}"
    entry = store.get(
        KIND, name, lambda e: write_run(e, _compute(settings, prepared, files, store, stages)), has_design
    )
    stages.progress.report("done", 1, 1)
    return Run(entry.folder)


def run_key(settings: Settings, prepared: Prepared, files: dict[str, str] | None = None) -> str:
    """Return the hash of what a run's result depends on: every setting but NO_EFFECT, files they name, and the data.

    Args:
        settings: of the run.
        prepared: the data.
        files: what `contents` gives of the settings; None: it is asked.
    """
    dataset, values = prepared.dataset, settings.resolved().to_dict()
    for group, names in NO_EFFECT.items():
        values[group] = {k: v for k, v in values[group].items() if k not in names}
    del values["decisions"]  # what they come to counts
    if settings.score.structure in ("full", "kron"):
        del values["where"]["memory"]  # else it may choose the structure, or whose steps diag takes
    decided: dict[str, Any] = {}
    if prepared.decided is not None:  # rows that left are in the lists of every export
        gone = sorted(record["index"] for record in prepared.decided.records if record["action"] == "exclude")
        decided = {"decided": prepared.decided.mark, "excluded": gone}
    beside = dataset.unlabelled
    arrays = {"labels": dataset.labels, "true_label": dataset.true_label, "targets": dataset.targets}
    return key(
        scores=SCORES_VERSION,
        features=FEATURES_VERSION,
        settings=values | {"device": choose_device(settings.device)},
        files=contents(settings.features) if files is None else files,
        weights=None if settings.features.vectors else versions_of_weights(settings.features.backbone),
        samples=dataset.fingerprint,
        places=_mark_of_places(dataset),
        source_length=prepared.source_length,
        readers=None if dataset.images is None else readers(),  # what could not be read may be readable here
        text=None if dataset.text is None else fingerprint(*map(str, dataset.text)),
        metadata=_mark_of_columns(dataset),
        unlabelled=beside and (beside.fingerprint, _mark_of_columns(beside), _mark_of_places(beside)),
        names=(dataset.name, dataset.class_names, dataset.target_names),
        task=prepared.task,
        **decided,
        **{name: None if array is None else fingerprint(array) for name, array in arrays.items()},
    )


def _mark_of_columns(dataset: Dataset) -> str | None:
    """Return a hash of the columns that the data bring, None where they bring none."""
    columns = dataset.metadata
    return None if columns is None else fingerprint_of_texts(columns.columns, *(columns[c] for c in columns))


def _mark_of_places(dataset: Dataset) -> str | None:
    """Return a hash of the files that images have of their own, which a run reads them from; None without images."""
    if dataset.images is None:
        return None
    shared = {str(path) for path in dataset.files}
    places = (stamp[0] if stamp else "" for stamp in map(dataset.images.stamp, range(len(dataset.images))))
    return fingerprint_of_texts("" if place.rpartition("#")[0] in shared else place for place in places)


@dataclass(frozen=True)
class _Features:
    """What the stage of features leaves: raw ones, image quality, design and targets, and those without a label."""

    raw: RawFeatures
    measures: np.ndarray | None
    entry: DesignEntry
    targets: Targets | None
    beside: RawFeatures | None


def _features(settings: Settings, prepared: Prepared, files: dict[str, str], where: Where) -> _Features:
    """Return the features of all samples, made by what the files held when the run was named."""
    how, apart = settings.features, prepared.beside
    raw = raw_features(prepared, how, where)
    check_readable(raw, settings.data)
    check_differ(raw, prepared.dataset.name)
    beside = None if apart is None else raw_features(apart, how, where, raw)
    if beside is not None:
        check_readable(beside, settings.data)
    measures = measures_of(prepared, raw, where.store, where.progress)
    entry = design_of(prepared, raw, settings, where.store)
    targets = targets_of(prepared, raw, entry, settings, where)
    check_same_files(how, files)
    return _Features(raw, measures, entry, targets, beside)


def _compute(
    settings: Settings, prepared: Prepared, files: dict[str, str], store: Store, stages: "Stages"
) -> RunContent:
    device = torch.device(choose_device(settings.device))
    with stages("features"):
        prepared = with_pixel_range(prepared, stages.progress)
        found = _features(settings, prepared, files, Where(device, store, stages.progress, settings.where))
    raw, entry, targets = found.raw, found.entry, found.targets
    dataset, dropped = prepared.dataset.take(raw.rows), ()
    confirmed = prepared.decided and prepared.decided.confirmed[raw.rows]
    if targets is None:
        dataset, dropped = dataset.without_empty_classes()
        result = _classified(settings, dataset, entry, device, stages, confirmed)
    else:
        task = RegressionTask(targets, can_be_suspect=prepared.task != "self")
        result = regress(dataset, entry.matrix(device), task, settings.score, settings.seed, stages)
    if prepared.decided is not None:
        _with_decided(result.table, prepared.decided, raw.rows)
    with stages("near duplicates"):
        compared = compared_features(raw, entry, settings.features)
        nearest, groups = _near(compared, settings.seed, is_blind=raw.kind == "probabilities")
    with stages("label issues and summaries"):
        corrupted = prepared.corrupted[raw.rows]
        samples = _samples(prepared, raw.rows)
        quality, quality_facts = _quality(found.measures, raw.rows, samples)
        table = make_table(dataset, result.table, corrupted, groups, quality)
        manifest = make_manifest(dataset, prepared.task, table, corrupted, device) | result.manifest
        manifest["decided"] = prepared.decided and prepared.decided.facts
        manifest["calibration"] = calibration_summary(result.calibration, table)
    unlabelled, skipped = None, skipped_records(raw, prepared.dataset)
    if prepared.beside is not None and found.beside is not None:
        with stages("samples without a label"):
            unlabelled, images, more = predict_unlabelled(
                prepared.beside, entry, result.weights["class_weights"], found.beside
            )
        names = manifest["dataset"]["metadata"]  # the data's own columns are called as in the scores
        unlabelled.columns = [*unlabelled.columns[: unlabelled.shape[1] - len(names)], *names]
        samples, skipped = _one_after_the_other(samples, images), skipped + more
    manifest["dataset"] |= {"skipped": skipped, "plan": _plan(prepared, notes_on_skipped(raw, skipped, dropped))}
    manifest |= {"settings": settings.to_dict(), "features": _feature_facts(raw, entry), "quality": quality_facts,
                 "near_duplicates": {"threshold": groups.threshold}, "images": _image_facts(prepared),
                 "seconds": stages.seconds}  # fmt: skip
    pairs, arrays = (nearest.index, nearest.distance), dict(result.arrays)
    if prepared.dataset.images is None:
        arrays["contents"] = np.array(prepared.dataset.checksums, dtype="S")[raw.rows]
    records = prepared.decided and prepared.decided.records
    return RunContent(manifest, table, samples, arrays, result.weights, pairs, unlabelled, result.probabilities,
                      records)  # fmt: skip


def _near(features: np.ndarray, seed: int, *, is_blind: bool) -> tuple[Neighbours, Duplicates]:
    """Return nearest neighbours and groups of near duplicates; none of these where features show no likeness."""
    nearest = neighbours(features, seed=seed)
    return nearest, no_duplicates(nearest) if is_blind else near_duplicates(nearest, features)


def _one_after_the_other(first: pd.DataFrame | None, second: pd.DataFrame | None) -> pd.DataFrame | None:
    parts = [part for part in (first, second) if part is not None]
    return pd.concat(parts, ignore_index=True) if parts else None


def _with_decided(table: pd.DataFrame, decided: Decided, rows: np.ndarray) -> None:
    """Add what was decided before to a table of scores: what the data say, and what no longer is suspected."""
    if decided.label_in_data is not None:
        table["label_in_data"] = decided.label_in_data[rows]
    table["is_confirmed"] = decided.confirmed[rows]
    table["is_label_issue"] &= ~table["is_confirmed"]


def _classified(
    settings: Settings,
    dataset: Dataset,
    entry: DesignEntry,
    device: torch.device,
    stages: "Stages",
    confirmed: np.ndarray | None,
) -> TaskResult:
    """Return the scores of a classification, computed where the settings say, once it is known to fit."""
    dataset.check_trainable()
    check_fits(len(dataset), entry.design.values.shape[1], len(dataset.class_names))
    with design_on(settings.where, entry, device) as design:
        return classify(dataset, design, settings.score, settings.seed, stages, confirmed)


def _feature_facts(raw: RawFeatures, entry: DesignEntry) -> dict[str, Any]:
    """Return what the manifest says of features and design matrix."""
    return {
        "key": raw.key,
        "design": entry.key,
        "design_fingerprint": entry.design.fingerprint,
        "backbone": raw.backbone,
        "n_features": entry.design.values.shape[1] - 1,
        **({} if entry.unused is None else {"n_unused": entry.unused.shape[1]}),
        **raw.facts,
        **standardisation_facts(entry.design),
    }


def _plan(prepared: Prepared, left_out: list[str]) -> dict[str, Any] | None:
    """Return how the data were read, with what only reading the images could tell."""
    plan = prepared.dataset.plan
    if plan is None:
        return None
    notes = [] if prepared.survey is None else prepared.survey.lines()
    return replace(plan, notes=(*plan.notes, *notes, *left_out)).to_dict()


def _samples(prepared: Prepared, rows: np.ndarray) -> pd.DataFrame | None:
    """Return what tells later whether an image is still the same, a row for each row of the table."""
    if prepared.dataset.images is None:
        return None
    noisy = None if prepared.image_noise is None else prepared.image_noise.noisy
    table = describe_images(prepared.dataset, noisy)
    table["position"] = np.arange(len(table))
    return table.iloc[rows].reset_index(drop=True)


def _quality(
    measures: np.ndarray | None, rows: np.ndarray, samples: pd.DataFrame | None
) -> tuple[pd.DataFrame | None, dict[str, Any] | None]:
    """Return the columns of image quality, and what the manifest says of them; nothing where there are no images."""
    if measures is None or samples is None:
        return None, None
    quality = quality_table(measures[rows], samples["checksum"].tolist())
    return quality, quality_summary(measures[rows], quality)


def _image_facts(prepared: Prepared) -> dict[str, Any]:
    noise = prepared.image_noise
    added: dict[str, Any] = {} if noise is None else {"sigma": noise.sigma, "seed": noise.seed}
    if prepared.survey is not None and prepared.survey.n_deep:
        added["pixel_range"] = prepared.survey.pixel_range.to_dict()
    return {"files": file_facts(prepared.dataset.files), **added}


def _with_preset(settings: Settings) -> Settings:
    """Return the settings with what the paper's preset implies filled in: raw features of a ResNet-18."""
    if settings.score.preset != "paper":
        return settings
    chosen = settings.features
    automatic = (
        chosen.backbone == "auto"
        and chosen.vectors is None
        and settings.data.dataset not in EMBEDDED
        and settings.data.data is None
    )
    backbone = "resnet18" if automatic else chosen.backbone
    return replace(settings, features=replace(chosen, backbone=backbone, standardise=False, pca=0))
