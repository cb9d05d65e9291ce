"""What the probe says of samples without a label, which take no part in its fit."""

import numpy as np
import pandas as pd
import torch

from lsi.compute.designs import DesignEntry
from lsi.compute.preparation import Prepared
from lsi.compute.raw_record import RawFeatures, skipped_records
from lsi.laplace.likelihood import Softmax
from lsi.laplace.objective import predict
from lsi.runs.images import describe_images
from lsi.runs.manifest import with_metadata


def predict_unlabelled(
    beside: Prepared, entry: DesignEntry, weights: np.ndarray, raw: RawFeatures
) -> tuple[pd.DataFrame, pd.DataFrame | None, list[dict[str, str]]]:
    """Return what is predicted for samples without a label.

    Args:
        beside: the samples.
        entry: the design matrix of the labelled samples, whose recipe makes features of these.
        weights: of the probe in logits, W (k, D).
        raw: features of the samples without a label, made as those of the labelled ones.

    Returns:
        One row a sample that could be read: index, id, predicted_label, confidence (the probability of that label),
        text where it has one, and the data's own columns; what tells later whether its image is the same, or None
        without images; and the samples that could not be read, with their reasons.
    """
    dataset = beside.dataset.take(raw.rows)
    probabilities = np.zeros((0, len(weights)))
    if len(raw.rows):
        phi = torch.from_numpy(entry.design.recipe.apply(np.asarray(raw.values)[raw.rows]))
        probabilities = predict(Softmax(len(weights)), phi, torch.from_numpy(weights)).numpy()
    table = pd.DataFrame(
        {
            "index": dataset.source_index,
            "id": dataset.ids.astype(str),
            "predicted_label": probabilities.argmax(axis=1),
            "confidence": probabilities.max(axis=1),
        }
    )
    if dataset.text is not None:
        table["text"] = [str(text) for text in dataset.text]
    images = None if dataset.images is None else describe_images(dataset, None).assign(position=0)
    return with_metadata(table, dataset.metadata), images, skipped_records(raw, beside.dataset)
