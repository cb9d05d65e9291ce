"""Features of images by a pool of Ray Data's actors, each with its own backbone, batch for batch as on one machine.

A row of the dataset is a batch of images, so that every image is computed beside the same others as without Ray.
Batches come back in their order; what an actor that died had not given is computed by another.
"""

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import torch

from lsi import errors
from lsi.engine.cluster import Cluster
from lsi.errors import LsiError
from lsi.features.extract import Batches, Embedding, Rows

_REASON, _REFUSED = "reason", "refused"


class Embedder:
    """An actor of the pool."""

    def __init__(self, what: Any, threads: int) -> None:
        import ray

        self._threads = threads
        images, how, start = ray.get(what[0])
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._embedding, self._start = Embedding(images, how, device), start

    def __call__(self, row: dict[str, np.ndarray]) -> dict[str, Any]:
        """Return the rows of one batch and why an image could not be read, "" where it could; or what is refused."""
        torch.set_num_threads(self._threads)  # of the thread that is asked, which is not the one that set up
        start = self._start + int(row["id"][0]) * self._embedding.how.batch_size
        try:
            rows, failures = self._embedding.batch_at(start)
        except LsiError as error:  # as a row: Ray would wrap it in two of its own
            return {_REFUSED: np.array([type(error).__name__, str(error)], dtype=object)}
        reasons = [failures.get(start + i, "") for i in range(len(rows["features"]))]
        return {**rows, _REASON: np.array(reasons, dtype=object)}


def batches_of(cluster: Cluster) -> Batches:
    """Return what gives the batches of an embedding from a position on, computed on a cluster."""

    def batches(embedding: Embedding, done: int) -> Iterator[tuple[Rows, dict[int, str]]]:
        import ray

        n, size = len(embedding.images), embedding.how.batch_size
        count = -(-(n - done) // size)
        if count <= 0:
            return
        what = [ray.put((embedding.images, embedding.how, done))]
        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        workers = max(1, min(cluster.n_workers, count))
        # items lie in memory: reading a range would wait for a core, and the actors hold them all
        items = [{"id": i} for i in range(count)]
        found = ray.data.from_items(items, override_num_blocks=count).map_batches(
            Embedder, fn_constructor_args=(what, cluster.cores), batch_size=1, num_cpus=cluster.cores,
            num_gpus=1 if cluster.has_gpus else None, compute=ray.data.ActorPoolStrategy(size=workers),
        )  # fmt: skip
        start = done
        for batch in found.iter_batches(batch_size=None, batch_format="numpy"):
            rows = dict(cast(Rows, batch))
            if _REFUSED in rows:
                kind, message = map(str, rows[_REFUSED])
                raise getattr(errors, kind)(message)
            reasons = rows.pop(_REASON)
            yield rows, {start + i: str(reason) for i, reason in enumerate(reasons) if reason}
            start += len(reasons)

    return batches
