"""Features that no image is read for: vectors and probabilities from a file, and those of texts."""

import numpy as np

from lsi.compute.preparation import Prepared
from lsi.compute.raw_record import RAW_FEATURES, RawFeatures, Where
from lsi.config import FeatureSettings
from lsi.errors import UsageError
from lsi.features import (
    FEATURES_VERSION,
    TEXT_ENCODER,
    Source,
    embed,
    join_embeddings,
    join_probabilities,
    weights_of_text_encoder,
)
from lsi.files import save_array
from lsi.hashing import file_checksum, fingerprint, key
from lsi.runs.store import Entry


def joined_features(prepared: Prepared, how: FeatureSettings) -> RawFeatures:
    """Return vectors or logarithms of probabilities from a file, in the order of the samples.

    Args:
        prepared: the data.
        how: which file.

    Raises:
        UsageError: the settings or the task do not go with them.
        DataError: the file does not fit.
    """
    dataset, kind = prepared.dataset, "embeddings" if how.embeddings else "probabilities"
    if prepared.image_noise is not None:
        raise UsageError(f"corrupt_data changes images, and {kind} from a file do not see it: leave one of them out.")
    source = Source(dataset.source_index, prepared.source_length, prepared.is_apart, prepared.other_ids)
    if how.embeddings:
        joined = join_embeddings(how.embeddings, prepared.loaded_ids, prepared.chosen, source)
    else:
        assert how.probabilities is not None
        if prepared.task != "classification":
            raise UsageError(f"probabilities need class labels, and the task is {prepared.task}: give embeddings.")
        loaded, kept = prepared.loaded_classes, dataset.class_names
        joined = join_probabilities(how.probabilities, prepared.loaded_ids, prepared.chosen, loaded, source, kept)
    notes, name = list(joined.notes), how.files[kind].name
    if kind == "probabilities":
        notes += _about_probabilities(joined.values, dataset.labels, joined.has_vector, name)
    word = {"embeddings": "embedding", "probabilities": "probabilities"}[kind]
    skipped = {int(i): f"no {word} in {name}" for i in np.flatnonzero(~joined.has_vector)}
    mark = key(version=FEATURES_VERSION, kind=kind, values=fingerprint(joined.values), skipped=sorted(skipped))
    facts = {"file": {"name": name, "hash": file_checksum(how.files[kind])}, "notes": notes}
    return RawFeatures(joined.values, skipped, f"{kind} of {name}", facts, mark, kind)


def _about_probabilities(logarithms: np.ndarray, labels: np.ndarray, has_vector: np.ndarray, name: str) -> list[str]:
    agree = logarithms.argmax(axis=1)[has_vector] == labels[has_vector]
    notes = ["near duplicates are not looked for: images of the same probabilities need not look alike"]
    if agree.all():
        notes.append(f"{name} agrees with every label: are these probabilities out of fold? A model trained on a "
                     "label does not doubt it")  # fmt: skip
    return notes


def text_features(prepared: Prepared, how: FeatureSettings, where: Where) -> RawFeatures:
    """Return the raw features of texts.

    Args:
        prepared: the data.
        how: the settings, which can name the one encoder there is.
        where: features are made and kept.

    Raises:
        UsageError: settings are about another backbone, or about pixels.
    """
    if how.backbone not in ("auto", TEXT_ENCODER):
        raise UsageError(f"These data are text: use --backbone auto or {TEXT_ENCODER}.")
    refuse_pixels(how, "These data are text")
    texts, weights = prepared.dataset.text, weights_of_text_encoder()
    assert texts is not None
    name = key(version=FEATURES_VERSION, texts=prepared.mark, backbone=TEXT_ENCODER, weights=weights,
               device=where.device.type)  # fmt: skip

    def write(entry: Entry) -> list[str]:
        save_array(entry.path("features.npy"), embed(texts, str(where.device), where.progress))
        return ["features.npy"]

    entry = where.store.get(RAW_FEATURES, name, write)
    return RawFeatures(np.load(entry.path("features.npy"), mmap_mode="r"), {}, TEXT_ENCODER, {"weights": weights}, name)


def refuse_pixels(how: FeatureSettings, why: str, has_images: bool = False) -> None:
    """Raise where settings are about pixels and none are read.

    Args:
        how: the settings.
        why: none are read, as a message begins.
        has_images: whether a backbone could read some.

    Raises:
        UsageError: they are.
    """
    values = {"--image-size": how.image_size, "--mean": how.mean, "--std": how.std}
    named = [option for option, value in values.items() if value]
    if named:
        instead = ", or name a --backbone that reads the images" if has_images else ""
        them = "it" if len(named) == 1 else "them"
        raise UsageError(f"{why}, so {' and '.join(named)} can mean nothing: leave {them} out{instead}.")
