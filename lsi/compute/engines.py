"""Where a classification is computed: on this machine or on a cluster, and whether it fits."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lsi.compute.designs import DesignEntry
from lsi.config import EngineSettings
from lsi.errors import UsageError
from lsi.laplace.design_matrix import Design, rows_of
from lsi.laplace.loo import peak_by_class
from lsi.memory import budget_bytes
from lsi.probabilities import KEPT_CLASSES

log = logging.getLogger(__name__)

_PROGRAM = 600 * 2**20  # interpreter and libraries
_ARRAYS = 12  # of the size of a shard, held at once
_COLUMNS = 40  # numbers of 8 bytes a sample has in tables
_SQUARES = 8  # of the size of D² and k², held at once
_FORMS = 10  # of the size of the weights


@contextmanager
def design_on(where: EngineSettings, entry: DesignEntry, device: torch.device) -> Iterator[Design]:
    """Give Φ where it is to be computed on: here, or on the workers of a Ray cluster.

    Args:
        where: which engine.
        entry: the stored design matrix.
        device: that this machine computes on.

    Raises:
        UsageError: Ray is not installed, or there is no cluster.
    """
    if where.engine == "local":
        yield entry.matrix(device)
        return
    from lsi.engine.cluster import joined
    from lsi.engine.ray_design import RayDesign

    with joined(where.ray_address) as cluster:
        yield RayDesign.start(entry.path, cluster, entry.matrix(torch.device("cpu")).gram_factor)


def needed_bytes(n_samples: int, n_columns: int, n_classes: int) -> int:
    """Return about how much memory the scores of a classification take with structure kron, Φ's file aside.

    Args:
        n_samples: n.
        n_columns: D.
        n_classes: k.
    """
    shard = rows_of(n_classes) * n_classes * 8
    squares = n_columns**2 + n_classes**2
    kept = min(4 * n_classes, 8 * KEPT_CLASSES) * 2
    return (
        _PROGRAM
        + _ARRAYS * shard
        + 8 * (_SQUARES * squares + _FORMS * n_columns * n_classes)
        + peak_by_class(n_samples, n_classes, n_columns)
        + n_samples * (8 * _COLUMNS + kept)
    )


def check_fits(n_samples: int, n_columns: int, n_classes: int) -> None:
    """Raise before anything is fitted where the scores would not fit into the memory that may be taken.

    Args:
        n_samples: n.
        n_columns: D.
        n_classes: k.

    Raises:
        UsageError: they would not; says how much is needed.
    """
    needed, budget = needed_bytes(n_samples, n_columns, n_classes), budget_bytes()
    log.info("about %.1f GiB of %.1f GiB that may be taken", needed / 2**30, budget / 2**30)
    if needed > budget:
        raise UsageError(
            f"{n_samples:,} samples of {n_classes:,} classes and {n_columns:,} columns need about "
            f"{needed / 2**30:.1f} GiB, and {budget / 2**30:.1f} GiB may be taken: give more with --memory, compute a "
            "subset, or fewer features (--pca)."
        )
