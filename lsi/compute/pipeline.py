"""The only module that knows the order of the stages.

dataset → noise → features → probe → posterior → leave-one-out → scores → issues, duplicates, projection
"""

import logging
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from lsi.audit.duplicates import near_duplicates, neighbours
from lsi.compute.inputs import Prepared, features_of, prepare, targets_of
from lsi.compute.tasks import classify, regress
from lsi.config import Settings
from lsi.devices import choose_device
from lsi.hashing import fingerprint, key
from lsi.laplace.design_matrix import with_bias
from lsi.memory import keep_freed_memory
from lsi.progress import Progress
from lsi.runs.manifest import calibration_summary, make_manifest, make_table
from lsi.runs.run import KIND, Run, write_run
from lsi.runs.store import Entry, Store

log = logging.getLogger(__name__)

SCORES_VERSION = 4  # rises when the same settings give other numbers or files


@dataclass
class Timings:
    """Seconds spent in each stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, progress: Progress) -> Iterator[None]:
        """Time a stage and report its start."""
        log.info("%s", name)
        progress.report(name, 0, 1)
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 3)


def run(settings: Settings, cache: Path, progress: Progress | None = None) -> Run:
    """Compute a run, or return the one that is there.

    Raises:
        LsiError: with what was expected, what came, and what to do.
    """
    keep_freed_memory()
    progress, store, timings = progress or Progress(), Store(cache), Timings()
    settings = _with_preset(settings)
    with timings.stage("dataset", progress):
        prepared = prepare(settings)
    name = f"{prepared.dataset.name}-{run_key(settings, prepared)}"
    entry = store.get(KIND, name, lambda e: _compute(settings, prepared, store, e, progress, timings))
    progress.report("done", 1, 1)
    return Run(entry.folder)


def run_key(settings: Settings, prepared: Prepared) -> str:
    """Return the hash of everything that a run's result depends on."""
    values = settings.to_dict()
    content = (prepared.dataset.fingerprint, fingerprint(prepared.dataset.labels, prepared.dataset.source_index))
    where = settings.data.data and settings.data.data.resolve()  # images are read from there again later
    more = {}
    if prepared.task != "classification":
        targets = prepared.dataset.targets
        more = {"task": prepared.task, "targets": None if targets is None else fingerprint(targets),
                "names": prepared.dataset.target_names}  # fmt: skip
    return key(version=SCORES_VERSION, content=content, score=values["score"], features=values["features"],
               noise=values["noise"], seed=settings.seed, where=where, on_error=settings.data.on_error,
               device=choose_device(settings.device), **more)  # fmt: skip


def _compute(
    settings: Settings, prepared: Prepared, store: Store, entry: Entry, progress: Progress, timings: Timings
) -> list[str]:
    task = prepared.task
    with timings.stage("features", progress):
        features = features_of(settings, prepared, store, progress)
        targets = targets_of(settings, prepared, features, store, progress)
    dataset = prepared.dataset.take(features.kept)
    device = torch.device(choose_device(settings.device))
    phi = with_bias(torch.from_numpy(features.values).to(device))

    def stage(name: str) -> AbstractContextManager[None]:
        return timings.stage(name, progress)

    if targets is None:
        dataset.check_trainable()
        judged = classify(dataset, phi, settings.score, settings.seed, stage)
    else:
        judged = regress(dataset, phi, targets, settings.score, settings.seed, stage, suspects=task != "self")
    with stage("near duplicates"):
        near = neighbours(features.values, seed=settings.seed)
        groups = near_duplicates(near)
    with stage("label issues and summaries"):
        corrupted = prepared.corrupted[features.kept]
        table = make_table(dataset, judged.columns, corrupted, groups)
        about = {"backbone": features.backbone, "n_features": features.values.shape[1], **features.facts}
        skipped = [{"id": str(prepared.dataset.ids[i]), "reason": why} for i, why in sorted(features.skipped.items())]
        manifest = make_manifest(dataset, task, table, corrupted, device) | judged.about
    manifest["dataset"]["skipped"] = skipped
    manifest["calibration"] = None if judged.calibration is None else calibration_summary(judged.calibration, table)
    manifest |= {
        "settings": settings.to_dict(),
        "features": {"key": dataset.fingerprint, **about},
        "near_duplicates": {"threshold": groups.threshold},
        "seconds": timings.seconds,
    }
    return write_run(entry, manifest, table, judged.arrays, judged.weights, (near.index, near.distance))


def _with_preset(settings: Settings) -> Settings:
    """Return the settings with what the paper's preset implies filled in: raw features of a ResNet-18."""
    if settings.score.preset != "paper":
        return settings
    chosen = settings.features
    automatic = chosen.backbone == "auto" and settings.data.dataset != "digits" and settings.data.data is None
    backbone = "resnet18" if automatic else chosen.backbone
    return replace(settings, features=replace(chosen, backbone=backbone, standardise=False, pca=0))
