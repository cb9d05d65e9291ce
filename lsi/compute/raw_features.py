"""Raw features of every sample: ready-made, from the cache, or by a backbone."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lsi.compute.known_features import Content, fill, known_rows
from lsi.compute.preparation import Prepared
from lsi.compute.raw_record import RAW_FEATURES, RawFeatures, Where
from lsi.compute.ready_features import joined_features, refuse_pixels, text_features
from lsi.config import DataSettings, EngineSettings, FeatureSettings
from lsi.data.checksums import stamps_of
from lsi.data.crops import cuts_of
from lsi.data.formats import readers
from lsi.data.images import BEHIND, ChosenImages, pixel_limits
from lsi.data.plan import counted
from lsi.errors import DataError, UsageError
from lsi.features import (
    FEATURES_VERSION,
    Backbone,
    bfloat16_is_fast,
    extract,
    hash_of_model,
    load_backbone,
    plan,
)
from lsi.features.extract import STAGE, Batches, Plan
from lsi.features.vector_files import ids_beside
from lsi.files import read_json, write_json
from lsi.hashing import file_checksum, fingerprint, key
from lsi.references import kind_of_backbone, split_file
from lsi.runs.store import Entry

_ROUNDING, _COMPARED = 1e-6, 8192  # of features of one image in several batches; rows that are compared at once


def raw_features(
    prepared: Prepared, how: FeatureSettings, where: Where, like: RawFeatures | None = None
) -> RawFeatures:
    """Return raw features of every sample: ready-made, from the cache, or extracted.

    Args:
        prepared: the data.
        how: backbone and image size, or a file of ready vectors.
        where: they are made and kept.
        like: of other samples, which these are to be made as: by the same backbone, at the same size.

    Raises:
        UsageError: there is no such backbone, or it does not fit the data.
        DataError: no image could be read, or a file of vectors does not fit.
    """
    dataset = prepared.dataset
    if how.vectors is not None:
        return joined_features(prepared, how)
    if dataset.features is not None and (dataset.images is None or how.backbone == "auto"):
        if how.backbone != "auto":
            raise UsageError(f"{dataset.name} holds ready-made features and no images: leave --backbone out.")
        if prepared.image_noise is not None:
            raise UsageError(
                "corrupt_data changes images, and the data's own features do not see it: name a --backbone that reads "
                "the images, or leave corrupt_data out."
            )
        refuse_pixels(how, f"{dataset.name} holds ready-made features", dataset.images is not None)
        return RawFeatures(np.asarray(dataset.features), {}, "given", {}, prepared.mark, "given")
    if dataset.images is None:
        return text_features(prepared, how, where)
    pictures = Pictures(dataset.images, prepared.mark, _made_of(prepared), dataset.image_stamps)
    return extracted(pictures, how, where, like=like)


def check_readable(raw: RawFeatures, data_settings: DataSettings) -> None:
    """Raise where samples have no features and the settings ask to fail then.

    Raises:
        DataError: the first of them, with its reason.
    """
    if raw.skipped and data_settings.on_error == "fail":
        reason = raw.skipped[min(raw.skipped)]
        what = "images could not be read" if raw.kind == "extracted" else "samples have no vector"
        raise DataError(f"{len(raw.skipped)} of {len(raw.values)} {what}; the first: {reason}.")


def contents(how: FeatureSettings) -> dict[str, str]:
    """Return hashes of what lies in the files that features are made with, by setting; "" for a file that is not there.

    A function of one's own is called: what it returns and its source file are its content.

    Raises:
        UsageError: the function cannot be called.
    """
    found = {name: hash_of_model(path) if name == "backbone" else file_checksum(path)
             for name, path in how.files.items() if path.is_file()}  # fmt: skip
    found = dict.fromkeys(how.files, "") | found
    ids = None if how.vectors is None else ids_beside(split_file(how.vectors)[0])
    if ids is not None:
        found["ids"] = f"{ids.name}:{file_checksum(ids)}"
    if how.vectors is None and how.backbone_kind == "function":
        found["backbone"] = load_backbone(how.backbone, how.weights).weights_hash
    return found


def check_same_files(how: FeatureSettings, before: dict[str, str]) -> None:
    """Raise where what features are made with is no longer what a run is named by.

    Args:
        how: which backbone, or which file of vectors.
        before: what `contents` gave when the run was named.

    Raises:
        DataError: a file has changed, or a function gives other weights than before.
    """
    now = contents(how)
    changed = [name for name in {**before, **now} if now.get(name) != before.get(name)]  # one may come or go
    if changed:
        named = [str(how.files.get(name, how.vectors if name == "ids" else how.backbone)) for name in changed]
        raise DataError(f"{', '.join(named)} changed while features were computed: {_advice(how.backbone)}")


def check_differ(raw: RawFeatures, name: str) -> None:
    """Raise where the features tell no sample from another.

    Args:
        raw: the features.
        name: of the data, for the message.

    Raises:
        DataError: there are fewer than two samples, or all have the same features up to rounding.
    """
    rows = raw.rows
    if len(rows) < 2:
        raise DataError(f"{name}: expected at least two samples that can be read, got {len(rows)}.")
    first = np.asarray(raw.values[rows[0]], dtype=np.float64)
    limit = _ROUNDING * max(1e-300, float(np.abs(first).max(initial=0.0)))
    parts = (raw.values[rows[i : i + _COMPARED]] for i in range(0, len(rows), _COMPARED))
    if all(np.abs(part - first).max(initial=0.0) <= limit for part in parts):
        raise DataError(
            f"{name}: all {len(rows):,} samples have the same features: they do not differ, or the backbone sees no "
            "difference. There is nothing to learn."
        )


def _backbone(how: FeatureSettings, images: Any) -> tuple[Backbone, list[str]]:
    """Return the backbone with mean and deviation as the settings say, and what there is to say of them."""
    name = how.backbone
    if name == "auto":
        small = plan(images, load_backbone("pixels"), None, 1).size <= 16
        name = "pixels" if small else "efficientnet_lite0"
    found = load_backbone(name, how.weights)
    if found.module is None and (how.mean or how.std):
        raise UsageError("The backbone pixels takes values as they are: leave mean and std out.")
    notes = []
    if not found.is_scale_known and not (how.mean and how.std):
        notes.append(f"{found.name} does not say what its pixel values should be: mean and standard deviation of "
                     "ImageNet are used where --mean and --std give no others")  # fmt: skip
    mean, std = ((v * 3 if len(v) == 1 else v) if v else None for v in (how.mean, how.std))
    return replace(found, mean=mean or found.mean, std=std or found.std), notes


@dataclass(frozen=True)
class Pictures:
    """Images, and what they are.

    Attributes:
        images: n images, read one by one.
        mark: a hash of what they are.
        made_of: the content of each image, and what else its pixels depend on; None: not to be told from others.
        stamps: (n, 2) size and time of change when they were looked at, as `stamps_of` gives them; None: not known.
    """

    images: Any
    mark: str
    made_of: tuple[tuple[str, ...], Any] | None = None
    stamps: np.ndarray | None = None

    def check_unchanged(self) -> None:
        """Raise where a file has changed since it was looked at.

        Raises:
            DataError: it has: what was computed may be of the one or the other.
        """
        if self.stamps is None:
            return
        changed = np.flatnonzero((stamps_of(self.images) != self.stamps).any(axis=1))
        if len(changed):
            stamp = self.images.stamp(int(changed[0]))
            first = "" if stamp is None else f", such as {stamp[0].replace(BEHIND, ' with ')}"
            raise DataError(f"{counted(len(changed), 'image')} changed while features were computed{first}: compute "
                            "again.")  # fmt: skip


def extracted(
    pictures: Pictures, how: FeatureSettings, where: Where, is_measured: bool = True, like: RawFeatures | None = None
) -> RawFeatures:
    """Return the raw features of images, from the cache, or extracted.

    Images that failed are tried again once more kinds can be read here; the features of the others are copied.

    Args:
        pictures: the images.
        how: backbone, image size, and mean and deviation of its pixels.
        where: they are made and kept.
        is_measured: whether the quality of the images is measured while they are read.
        like: of other images, whose backbone, size and channels these are to have.

    Raises:
        UsageError: there is no such backbone.
        DataError: no image could be read, or one changed meanwhile, or the backbone since `like` was made.
    """
    images = pictures.images
    backbone, planned, notes = _planned(images, how, where, like)
    planned = replace(planned, is_measured=is_measured)
    facts = {"weights": backbone.weights_hash, "image_size": planned.size, "channels": planned.channels,
             "bfloat16_from": planned.bfloat16_from}  # fmt: skip
    made_with = {
        "version": FEATURES_VERSION,
        "backbone": backbone.name,
        "transform": (backbone.mean, backbone.std),
        "device": where.device.type,
        "is_measured": is_measured,
        **facts,
    }
    name, arrays = (
        key(images=pictures.mark, readers=readers(), **made_with),
        ("features", *(["quality"] if is_measured else [])),
    )
    of, content = pictures.made_of, None
    if of is not None:
        content = Content(key(pixels=of[1], **made_with), of[0])

    def compute(chosen: Any, folder: Path) -> dict[int, str]:
        with _batches_on(where.engine) as batches:
            return extract(chosen, planned, folder, where.device, where.progress, batches)

    def write(entry: Entry) -> list[str]:
        names = ["skipped.json", *(f"{array}.npy" for array in arrays)]
        known = None if content is None else known_rows(where.store, RAW_FEATURES, content, arrays)
        if known is None or len(known.missing) == len(images):
            failures = compute(images, entry.folder)
        else:
            failures, new = {}, ChosenImages(images, known.missing)
            where.progress.report(STAGE, len(images) - len(new), len(images), "images")
            fill(entry, arrays, known, lambda folder: failures.update(compute(new, folder)))
            failures = {int(known.missing[i]): reason for i, reason in failures.items()}
        pictures.check_unchanged()
        write_json(entry.path("skipped.json"), failures)
        return [*names, *([] if content is None else content.write(entry))]

    entry = where.store.get(RAW_FEATURES, name, write)
    skipped = {int(i): reason for i, reason in (read_json(entry.path("skipped.json")) or {}).items()}
    values = np.load(entry.path("features.npy"), mmap_mode="r")
    quality = np.load(entry.path("quality.npy")) if is_measured else None
    scale = {} if backbone.module is None else {"mean": backbone.mean, "std": backbone.std}
    resize = f"bicubic to {planned.size} × {planned.size} px, without a crop; values in 0 … 1"
    facts |= {"transform": {"resize": resize, **scale}, "notes": notes}
    return RawFeatures(values, skipped, backbone.name, facts, name, quality=quality)


def _planned(
    images: Any, how: FeatureSettings, where: Where, like: RawFeatures | None
) -> tuple[Backbone, Plan, list[str]]:
    """Return the backbone, how it reads the images, and what there is to say of that."""
    like = like if like is not None and like.kind == "extracted" else None
    if like is not None and how.backbone == "auto":
        how = replace(how, backbone=like.backbone)
    backbone, notes = _backbone(how, images)
    if like is None:
        planned = plan(images, backbone, how.image_size, how.batch_size)
    else:  # whatever these images are: none of them may be readable
        _check_same_weights(backbone, like)
        planned = Plan(backbone, like.facts["image_size"], like.facts["channels"], how.batch_size)
    if how.precision == "auto" and bfloat16_is_fast(where.device):
        planned = replace(planned, bfloat16_from=backbone.bfloat16_from)
    return backbone, planned, notes


def _check_same_weights(backbone: Backbone, like: RawFeatures) -> None:
    if backbone.weights_hash != like.facts["weights"]:
        raise DataError(
            f"The weights of {backbone.name} changed while features were computed: {_advice(backbone.name)}"
        )


def _advice(backbone: str) -> str:
    if kind_of_backbone(backbone) == "function":
        return "compute again; a function that draws them at random must set the seed, as with torch.manual_seed(0)."
    return "compute again."


@contextmanager
def _batches_on(where: EngineSettings) -> Iterator[Batches | None]:
    """Give what computes features of images batch by batch on the workers of a Ray cluster; None: on this machine."""
    if where.engine == "local":
        yield None
        return
    from lsi.engine.cluster import joined
    from lsi.engine.ray_features import batches_of

    with joined(where.ray_address) as cluster:
        yield batches_of(cluster)


def _made_of(prepared: Prepared) -> tuple[tuple[str, ...], Any] | None:
    """Return the content of each image and the range its pixels are read by; None where noise was added to some."""
    if prepared.image_noise is not None or prepared.survey is None:
        return None
    survey = prepared.survey
    deep = survey.read_by if survey.n_deep or survey.n_clear else None
    limits = pixel_limits(prepared.dataset.images)
    contents, cuts = prepared.dataset.image_contents, cuts_of(prepared.dataset.images)
    if any(cuts):
        contents = tuple(content and fingerprint(content, cut) for content, cut in zip(contents, cuts, strict=True))
    return contents, (deep, limits) if limits else deep
