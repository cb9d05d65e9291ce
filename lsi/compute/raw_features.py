"""Raw features of every sample: ready-made, from the cache, or by a backbone."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from lsi.compute.preparation import Prepared
from lsi.config import DataSettings, FeatureSettings
from lsi.errors import DataError, UsageError
from lsi.features import (
    FEATURES_VERSION,
    TEXT_ENCODER,
    Backbone,
    bfloat16_is_fast,
    embed,
    extract,
    load_backbone,
    plan,
    weights_of_text_encoder,
)
from lsi.files import read_json, save_array, write_json
from lsi.hashing import key
from lsi.progress import Progress
from lsi.runs.store import Entry, Store

RAW_FEATURES = "features"  # kind of the cache's entries


@dataclass(frozen=True)
class RawFeatures:
    """What a backbone gives, before anything is standardised.

    Attributes:
        values: (n, r), a row for each sample of the dataset; rows of unreadable images are zero.
        skipped: positions of the samples that could not be read, with the reason.
        backbone: its name; "given" for ready-made features.
        facts: what the manifest says of the extraction.
        key: of the cache's entry, or the data's fingerprint for ready-made features.
    """

    values: np.ndarray
    skipped: dict[int, str]
    backbone: str
    facts: dict[str, Any]
    key: str

    @property
    def rows(self) -> np.ndarray:
        """Rows of the samples that could be read."""
        return np.setdiff1d(np.arange(len(self.values)), list(self.skipped))


def raw_features(
    prepared: Prepared, how: FeatureSettings, device: torch.device, store: Store, progress: Progress
) -> RawFeatures:
    """Return raw features of every sample: ready-made, from the cache, or extracted.

    Args:
        prepared: the data.
        how: backbone and image size.
        device: where the backbone runs.
        store: the cache.
        progress: told how far the extraction is.

    Raises:
        UsageError: there is no such backbone, or it does not fit the data.
        DataError: no image could be read.
    """
    dataset = prepared.dataset
    if dataset.features is not None:
        return RawFeatures(np.asarray(dataset.features), {}, "given", {}, prepared.mark)
    if dataset.images is None:
        return _embedded(prepared, how, device, store, progress)
    return extracted(dataset.images, prepared.mark, how, (device, store, progress))


def check_readable(raw: RawFeatures, data_settings: DataSettings) -> None:
    """Raise where images could not be read and the settings ask to fail then.

    Raises:
        DataError: the first of them, with its reason.
    """
    if raw.skipped and data_settings.on_error == "fail":
        reason = raw.skipped[min(raw.skipped)]
        raise DataError(f"{len(raw.skipped)} of {len(raw.values)} images could not be read; the first: {reason}.")


def _backbone(name: str, images: Any) -> Backbone:
    if name == "auto":
        small = plan(images, load_backbone("pixels"), None, 1).size <= 16
        name = "pixels" if small else "efficientnet_lite0"
    return load_backbone(name)


def extracted(images: Any, mark: str, how: FeatureSettings, where: tuple[torch.device, Store, Progress]) -> RawFeatures:
    """Return the raw features of images, from the cache, or extracted.

    Args:
        images: n images, read one by one.
        mark: a hash of what they are.
        how: backbone and image size.
        where: the device that the backbone runs on, the cache, and what is told how far the extraction is.

    Raises:
        UsageError: there is no such backbone.
        DataError: no image could be read.
    """
    device, store, progress = where
    backbone = _backbone(how.backbone, images)
    planned = plan(images, backbone, how.image_size, how.batch_size)
    if how.precision == "auto" and bfloat16_is_fast(device):
        planned = replace(planned, bfloat16_from=backbone.bfloat16_from)
    facts = {"weights": backbone.weights_hash, "image_size": planned.size, "channels": planned.channels,
             "bfloat16_from": planned.bfloat16_from}  # fmt: skip
    name = key(
        version=FEATURES_VERSION,
        images=mark,
        backbone=backbone.name,
        transform=(backbone.mean, backbone.std),
        device=device.type,
        **facts,
    )

    def write(entry: Entry) -> list[str]:
        failures = extract(images, planned, entry.folder, device, progress)
        write_json(entry.path("skipped.json"), failures)
        return ["features.npy", "skipped.json"]

    entry = store.get(RAW_FEATURES, name, write)
    skipped = {int(i): reason for i, reason in (read_json(entry.path("skipped.json")) or {}).items()}
    values = np.load(entry.path("features.npy"), mmap_mode="r")
    return RawFeatures(values, skipped, backbone.name, facts, name)


def _embedded(
    prepared: Prepared, how: FeatureSettings, device: torch.device, store: Store, progress: Progress
) -> RawFeatures:
    """Return the raw features of texts."""
    if how.backbone not in ("auto", TEXT_ENCODER):
        raise UsageError(f"These data are text: use --backbone auto or {TEXT_ENCODER}.")
    texts, weights = prepared.dataset.text, weights_of_text_encoder()
    assert texts is not None
    name = key(version=FEATURES_VERSION, texts=prepared.mark, backbone=TEXT_ENCODER, weights=weights,
               device=device.type)  # fmt: skip

    def write(entry: Entry) -> list[str]:
        save_array(entry.path("features.npy"), embed(texts, str(device), progress))
        return ["features.npy"]

    entry = store.get(RAW_FEATURES, name, write)
    return RawFeatures(np.load(entry.path("features.npy"), mmap_mode="r"), {}, TEXT_ENCODER, {"weights": weights}, name)
