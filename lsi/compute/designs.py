"""The design matrix of a run and its targets, made of raw features."""

import logging
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float

from lsi.compute.preparation import Prepared
from lsi.compute.raw_features import Pictures, extracted
from lsi.compute.raw_record import RAW_FEATURES, RawFeatures, Where
from lsi.compute.tasks import Targets
from lsi.config import FeatureSettings, Settings
from lsi.data import Dataset
from lsi.data.plan import counted
from lsi.errors import DataError
from lsi.features import FEATURES_VERSION, ViewedImages, fit_standardisation
from lsi.features.design import FILES, VALUES, Design, Recipe, read_design, write_parts
from lsi.hashing import fingerprint, key
from lsi.laplace.design_matrix import GRAM_VERSION, DesignMatrix
from lsi.runs.layout import DESIGNS
from lsi.runs.store import Entry, Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DesignEntry:
    """A stored design matrix with its name in the cache, and the file that Φ lies in.

    `unused` (n, e) holds the columns of ready-made features that the design leaves for its target to have, in the task
    self without images, or with features that no image is read for; None otherwise.
    """

    key: str
    design: Design
    path: Path
    unused: np.ndarray | None = None

    def matrix(self, device: torch.device) -> DesignMatrix:
        """Return Φ with the factor of ΦᵀΦ on a device."""
        design = self.design
        return DesignMatrix.stored(design.values, design.gram_values, design.gram_vectors, device)


def design_of(prepared: Prepared, raw: RawFeatures, settings: Settings, store: Store) -> DesignEntry:
    """Return the design matrix of raw features: from the cache, or standardised and stored.

    Args:
        prepared: the data.
        raw: their raw features.
        settings: standardisation, components, dtype and the seed of a random half.
        store: the cache.
    """
    rows, columns, unused = raw.rows, None, None
    if prepared.task == "self" and (prepared.dataset.images is None or raw.kind in ("given", "embeddings")):
        # one random half of ready-made features predicts the other
        columns, others = _halves(raw.values.shape[1], settings.seed, prepared.dataset.name)
        unused = raw.values[rows][:, others]
    how, dtype = settings.features, settings.score.dtype
    # components of probabilities would leave classes out
    most = 0 if raw.kind == "probabilities" else how.pca
    name = key(
        version=FEATURES_VERSION,
        gram=GRAM_VERSION,
        raw=raw.key,
        rows=fingerprint(rows),
        columns=None if columns is None else fingerprint(columns),
        standardise=how.standardise,
        pca=most,
        dtype=dtype,
    )

    def write(entry: Entry) -> list[str]:
        used = raw.values[rows] if raw.skipped else raw.values
        used = used if columns is None else used[:, columns]
        recipe = Recipe(fit_standardisation(used, most) if how.standardise else None, dtype, columns)
        recipe.write(entry.path(VALUES), raw.values, rows)
        phi = torch.from_numpy(np.load(entry.path(VALUES), mmap_mode="c"))
        gram = DesignMatrix(phi).gram_factor
        write_parts(entry.folder, recipe, rows, (gram.values.numpy(), gram.vectors.numpy()))
        return list(FILES)

    entry = store.get(DESIGNS, name, write)
    return DesignEntry(name, read_design(entry.folder), entry.path(VALUES), unused)


def _halves(n_columns: int, seed: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return two random halves of the features, each in rising order.

    Raises:
        DataError: there is one feature alone.
    """
    if n_columns < 2:
        raise DataError(
            f"{name}: expected two features or more, of which one half predicts the other, got one: give labels, or "
            "more features."
        )
    order = np.random.default_rng(seed).permutation(n_columns)
    return np.sort(order[n_columns // 2 :]), np.sort(order[: n_columns // 2])


def compared_features(raw: RawFeatures, entry: DesignEntry, how: FeatureSettings) -> np.ndarray:
    """Return the features that say which samples are alike: Φ without its bias, and all where Φ holds one half.

    Args:
        raw: the raw features of the samples.
        entry: their design matrix.
        how: standardisation and components.
    """
    if entry.unused is None:
        return entry.design.values[:, :-1]
    values = np.asarray(raw.values[raw.rows])
    return fit_standardisation(values, how.pca).apply(values) if how.standardise else values


def targets_of(
    prepared: Prepared, raw: RawFeatures, entry: DesignEntry, settings: Settings, where: Where
) -> Targets | None:
    """Return what the Gaussian head predicts, a row for each row of the design; None for a classification.

    Args:
        prepared: the data.
        raw: their raw features.
        entry: the design matrix.
        settings: how the other view of an image becomes features, and the seed of the view.
        where: those features are made and kept.

    Raises:
        DataError: the other view of an image cannot be read, or a target is the same in every sample.
    """
    if prepared.task == "classification":
        return None
    dataset, rows = prepared.dataset, raw.rows
    if prepared.task == "regression":
        assert dataset.targets is not None
        values = dataset.targets[rows]
        varies = _which_vary(values, dataset)
        values, names = values[:, varies], tuple(compress(dataset.target_names, varies))
        mean, scale = values.mean(axis=0), values.std(axis=0)
        return Targets((values - mean) / scale, mean, scale, names)
    if prepared.task == "paired":
        assert dataset.targets is not None
        partner = dataset.targets[rows]
    elif entry.unused is not None:
        partner = entry.unused
    else:
        partner = _other_view(prepared, raw, settings, where)
    values = fit_standardisation(partner, settings.features.pca).apply(np.asarray(partner, dtype=np.float64))
    m = values.shape[1]
    return Targets(values, np.zeros(m), np.ones(m))


def _other_view(prepared: Prepared, raw: RawFeatures, settings: Settings, where: Where) -> Float[np.ndarray, "n m"]:
    """Return the features of another view of each image that has features."""
    dataset = prepared.dataset
    view = ViewedImages(dataset.images, 1, settings.seed)
    pictures = Pictures(view, key(samples=prepared.mark, view=1, seed=settings.seed), stamps=dataset.image_stamps)
    other = extracted(pictures, settings.features, where, is_measured=False, like=raw)
    failed = np.intersect1d(raw.rows, list(other.skipped))
    if len(failed):  # zeros in their place would be targets unlike all others
        where.store.entry(RAW_FEATURES, other.key).unseal()
        first = int(failed[0])
        raise DataError(
            f"{counted(len(failed), 'image')} could be read once and not a second time, such as {dataset.ids[first]} "
            f"({other.skipped[first]}): compute again."
        )
    return other.values[raw.rows]


def _which_vary(values: Float[np.ndarray, "n m"], dataset: Dataset) -> Bool[np.ndarray, " m"]:
    """Return which targets differ between samples: one that does not would count as predicted without an error."""
    varies = np.ptp(values, axis=0) > 0
    names = dataset.target_names or tuple(map(str, range(len(varies))))
    constant = ", ".join(name for name, differs in zip(names, varies, strict=True) if not differs)
    if not varies.any():
        raise DataError(f"{dataset.name}: target {names[0]} is the same in every sample: there is nothing to predict.")
    if constant:
        log.warning("left out, as the same in every sample: target %s", constant)
    return varies


def standardisation_facts(design: Design) -> dict[str, Any]:
    """Return what the manifest says of a design's standardisation."""
    how = design.recipe.standardisation
    if how is None:
        return {}
    components = None if how.components is None else how.components.shape[1]
    return {"scale": how.scale, "n_components": components, "explained_variance": how.explained}
