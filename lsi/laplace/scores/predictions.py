"""What is kept of leave-one-out predictions: each sample's given and likeliest class, and as many others as fit."""

from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from lsi.probabilities import Probabilities


@dataclass(frozen=True)
class Predictions:
    """Leave-one-out predictions of n samples.

    Attributes:
        probabilities: over all classes, or the likeliest.
        predicted_label: (n,) the likeliest class.
        p_given: (n,) probability of the given label, float64.
        p_predicted: (n,) that of the likeliest class.
        margin: (n,) probability of the given label less that of the likeliest other one, in [−1, 1].
    """

    probabilities: Probabilities
    predicted_label: Int[np.ndarray, " n"]
    p_given: Float[np.ndarray, " n"]
    p_predicted: Float[np.ndarray, " n"]
    margin: Float[np.ndarray, " n"]

    @classmethod
    def allocate(cls, probabilities: Probabilities) -> "Predictions":
        """Return room for as many predictions as there are probabilities."""
        n = len(probabilities)
        return cls(probabilities, np.zeros(n, np.int64), *(np.zeros(n) for _ in range(3)))

    def put(self, rows: "slice | Int[np.ndarray, ' b']", part: "Predictions") -> None:
        """Set the predictions of some samples.

        Args:
            rows: which samples, (b,).
            part: their predictions.
        """
        self.probabilities.put_part(rows, part.probabilities)
        for f in fields(self)[1:]:
            getattr(self, f.name)[rows] = getattr(part, f.name)


def predictions_of(means: Float[Tensor, "b k"], given: Int[Tensor, " b"], n_kept: int | None) -> Predictions:
    """Return what is kept of the predicted probabilities of a batch.

    Args:
        means: (b, k), on any device.
        given: the given labels, (b,); not read where all classes are kept.
        n_kept: how many of the likeliest classes are kept; None: all.
    """
    p_given = means.gather(1, given[:, None])[:, 0]
    highest, predicted = means.max(dim=1)
    others = means.scatter(1, given[:, None], -1.0).amax(dim=1)
    figures = (f.double().cpu().numpy() for f in (p_given, highest, p_given - others))
    return Predictions(kept_probabilities(means, given, n_kept), predicted.cpu().numpy(), *figures)


def kept_probabilities(
    means: Float[Tensor, "b k"], given: Shaped[Tensor, "b ..."], n_kept: int | None
) -> Probabilities:
    """Return probabilities in the layout that keeps all classes or so many, the given one always among them.

    Args:
        means: (b, k), on any device.
        given: the given labels, (b,); not read where all classes are kept.
        n_kept: how many of the likeliest classes are kept; None: all.
    """
    if n_kept is None:
        return Probabilities(means.double().cpu().numpy(), means.shape[1])
    values, classes = means.topk(n_kept, dim=1)
    missing = ~(classes == given[:, None]).any(dim=1)
    classes[missing, -1] = given[missing]
    values[missing, -1] = means[missing, given[missing]]
    return Probabilities(values.float().cpu().numpy(), means.shape[1], classes.to(torch.int32).cpu().numpy())
