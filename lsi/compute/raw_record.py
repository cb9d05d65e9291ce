"""What raw features are, and where they are made: the records that everything about features shares."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch

from lsi.config import EngineSettings
from lsi.data import Dataset
from lsi.data.plan import counted
from lsi.progress import Progress
from lsi.runs.store import Store

RAW_FEATURES = "features"  # kind of the cache's entries


@dataclass(frozen=True)
class RawFeatures:
    """What a backbone gives, before anything is standardised.

    Attributes:
        values: (n, r), a row for each sample of the dataset; rows of samples without features are zero.
        skipped: positions of the samples without features, with the reason.
        backbone: its name; "given" for ready-made features, the file's name for those of a file of their own.
        facts: what the manifest says of the extraction.
        key: of the cache's entry, or of the content of ready-made features.
        kind: what they are: a backbone's, part of the data, or joined from a file.
        quality: (n, 6) what was measured on the images while they were read; None where they were not.
    """

    values: np.ndarray
    skipped: dict[int, str]
    backbone: str
    facts: dict[str, Any]
    key: str
    kind: Literal["extracted", "given", "embeddings", "probabilities"] = "extracted"
    quality: np.ndarray | None = None

    @property
    def rows(self) -> np.ndarray:
        """Rows of the samples that have features."""
        return np.setdiff1d(np.arange(len(self.values)), list(self.skipped))


@dataclass(frozen=True)
class Where:
    """Where features are made and kept.

    Attributes:
        device: that the backbone runs on.
        store: the cache.
        progress: told how far an extraction is.
        engine: this machine, or a cluster.
    """

    device: torch.device
    store: Store
    progress: Progress
    engine: EngineSettings = field(default_factory=EngineSettings)


def skipped_records(raw: RawFeatures, dataset: Dataset) -> list[dict[str, str]]:
    """Return id and reason of the samples without features, as a manifest keeps them."""
    return [{"id": str(dataset.ids[i]), "reason": reason} for i, reason in sorted(raw.skipped.items())]


def notes_on_skipped(raw: RawFeatures, skipped: list[dict[str, str]], dropped: tuple[str, ...]) -> list[str]:
    """Return sentences on samples without features and on classes that only these were of.

    Args:
        raw: the features.
        skipped: what `skipped_records` gave.
        dropped: names of the classes.
    """
    was_read, notes = raw.kind == "extracted", []
    if skipped:
        first, why = skipped[0], "that could not be read" if was_read else "without a vector"
        notes.append(f"left out: {len(skipped):,} {why} (first: {first['id']}: {first['reason']})")
    if dropped:
        which = "readable samples" if was_read else "samples that have a vector"
        notes.append(f"{counted(len(dropped), 'class')} without {which} left out ({', '.join(dropped[:5])}).")
    return notes
