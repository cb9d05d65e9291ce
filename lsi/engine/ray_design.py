"""Φ on the workers of a Ray cluster, each of which keeps its range of samples in memory.

A worker holds a `DesignMatrix` of its range and is asked for sums and maps over its shards, so the maths is the same as
on one machine. A call says everything that it needs: a worker that died reads its range again and answers as before.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from lsi.engine.cluster import Cluster
from lsi.errors import LsiError, UsageError
from lsi.laplace.design_matrix import MOST_ROWS, Design, DesignMatrix, GramFactor, ShardSum

ATTEMPTS = 8
_AHEAD = 2  # calls that wait at a worker while one is worked on
_CHUNK = 4  # shards a call of a map
_SENT = 4  # targets whose parts are kept at the workers
_NAMES = itertools.count()
FEWEST_SAMPLES = 64  # of a worker


@dataclass(frozen=True)
class Part:
    """Which samples of its range a worker works on.

    Attributes:
        name: of the choice, by which a worker knows it again.
        kept: (s,) positions in the range; None: all.
        offset: position of the first of them among all chosen samples.
        count: how many they are.
    """

    name: int
    kept: Int[Tensor, " s"] | None
    offset: int
    count: int


class Worker:
    """Holds Φ of the samples from `start` up to `stop` in memory; lives in a process of its own."""

    def __init__(self, path: str, start: int, stop: int, threads: int) -> None:
        torch.set_num_threads(threads)
        self._values = torch.from_numpy(np.array(np.load(path, mmap_mode="r")[start:stop]))
        self._designs: dict[int, DesignMatrix] = {}

    def sum(self, part: Part, targets: Tensor, call: tuple[ShardSum, tuple[Any, ...], int]) -> tuple[Tensor, ...]:
        """Return the sums of a function over the shards of a part.

        Args:
            part: which samples.
            targets: of the part.
            call: the function, its arguments and how many samples a shard has.
        """
        function, arguments, rows = call
        return self._design(part).sum_shards(function, targets, *arguments, rows=rows)

    def map(
        self, part: Part, targets: Tensor, call: tuple[Callable[..., Any], tuple[Any, ...], int], rows: slice
    ) -> list[tuple[slice, Any]]:
        """Return what a function gives for some of a part's shards, with the samples that each holds.

        Args:
            part: which samples.
            targets: of the part.
            call: the function, its arguments and how many samples a shard has.
            rows: positions in the part.
        """
        function, arguments, size = call
        design = self._design(part)
        offset = part.offset + rows.start
        if design.kept is None:
            some = DesignMatrix(design.values[rows], offset=offset)
        else:
            some = DesignMatrix(design.values, kept=design.kept[rows], offset=offset)
        return list(some.map_shards(function, targets[rows], *arguments, rows=size))

    def add(self, one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the sums of two tuples of tensors."""
        return tuple(a + b for a, b in zip(one, other, strict=True))

    def take(self, index: Int[Tensor, " b"]) -> Float[Tensor, "b d"]:
        """Return Φ of some samples of the range."""
        return self._values[index]

    def _design(self, part: Part) -> DesignMatrix:
        if part.name not in self._designs:
            if len(self._designs) >= _SENT:
                self._designs.pop(next(iter(self._designs)))
            self._designs[part.name] = DesignMatrix(self._values, None, part.kept, part.offset)
        return self._designs[part.name]


@dataclass(frozen=True)
class Held:
    """A worker and the range of samples that it holds."""

    actor: Any
    start: int
    stop: int


class RayDesign(Design):
    """Φ (n, D) on workers.

    Attributes:
        workers: who holds which samples.
    """

    def __init__(self, workers: list[Held], parts: list[Part], dtype: torch.dtype, n_columns: int) -> None:
        self.workers = workers
        self._parts, self._dtype, self._n_columns = parts, dtype, n_columns
        self._sent: list[tuple[Tensor, list[Any]]] = []

    @classmethod
    def start(cls, path: Path, cluster: Cluster, gram_factor: GramFactor | None = None) -> "RayDesign":
        """Start workers that read Φ from a file which every machine of the cluster can read.

        Args:
            path: of the .npy file.
            cluster: how many workers there are.
            gram_factor: of ΦᵀΦ, where it is at hand.
        """
        import ray

        n, d = (values := np.load(path, mmap_mode="r")).shape
        count = max(1, min(cluster.n_workers, n // FEWEST_SAMPLES))
        edges = [n * i // count for i in range(count + 1)]
        remote = ray.remote(num_cpus=cluster.cores, max_restarts=-1, max_task_retries=-1)(Worker)
        workers = [
            Held(remote.remote(str(path.resolve()), low, high, cluster.cores), low, high)
            for low, high in itertools.pairwise(edges)
        ]
        name = next(_NAMES)
        parts = [Part(name, None, w.start, w.stop - w.start) for w in workers]
        design = cls(workers, parts, torch.from_numpy(values[:0].copy()).dtype, d)
        if gram_factor is not None:
            vars(design)["gram_factor"] = gram_factor
        return design

    @property
    def shape(self) -> tuple[int, int]:
        """The number of samples n and the number of columns D."""
        return sum(part.count for part in self._parts), self._n_columns

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of Φ."""
        return self._dtype

    @property
    def device(self) -> torch.device:
        """The device that results lie on."""
        return torch.device("cpu")

    def rows(self, chosen: Shaped[Tensor, " s"]) -> "RayDesign":
        """Return the design of some of the samples, by mask or by rising index; the workers keep what they hold."""
        index = chosen.nonzero()[:, 0] if chosen.dtype == torch.bool else chosen
        name, offset, parts = next(_NAMES), 0, []
        for part in self._parts:
            own = index[(index >= part.offset) & (index < part.offset + part.count)] - part.offset
            parts.append(Part(name, own if part.kept is None else part.kept[own], offset, len(own)))
            offset += len(own)
        return RayDesign(self.workers, parts, self._dtype, self._n_columns)

    def take(self, index: "Int[Tensor, ' b'] | slice") -> Float[Tensor, "b d"]:
        """Return Φ of a few samples, by index or slice."""
        chosen = torch.arange(len(self))[index] if isinstance(index, slice) else index
        result = torch.empty(len(chosen), self._n_columns, dtype=self._dtype)
        for worker, part in zip(self.workers, self._parts, strict=True):
            inside = (chosen >= part.offset) & (chosen < part.offset + part.count)
            if bool(inside.any()):
                own = chosen[inside] - part.offset
                own = own if part.kept is None else part.kept[own]
                result[inside] = _get(lambda w=worker, o=own: w.actor.take.remote(o))
        return result

    def sum_shards(
        self, function: ShardSum, targets: Tensor, *arguments: Any, rows: int = MOST_ROWS
    ) -> tuple[Tensor, ...]:
        """Return the sums over all shards: each worker its own, added in a tree of workers.

        Args:
            function: of a module; returns a tuple of tensors.
            targets: (n, …) of all samples.
            *arguments: the same for every shard.
            rows: how many samples a shard has.
        """

        def ask() -> Any:
            import ray

            call = ray.put((function, arguments, rows))
            busy = [i for i, part in enumerate(self._parts) if part.count]
            sums = {i: self.workers[i].actor.sum.remote(self._parts[i], self._targets(targets)[i], call) for i in busy}
            while len(busy) > 1:
                for one, other in zip(busy[::2], busy[1::2], strict=False):
                    sums[one] = self.workers[one].actor.add.remote(sums[one], sums.pop(other))
                busy = busy[::2]
            return sums[busy[0]]

        return _get(ask)

    def map_shards(
        self, function: Callable[..., Any], targets: Tensor, *arguments: Any, rows: int = MOST_ROWS
    ) -> Iterator[tuple[slice, Any]]:
        """Yield slices of the samples, as workers have done them, and what the function returns.

        Args:
            function: of a module, so that it can be sent to another process.
            targets: (n, …) of all samples.
            *arguments: the same for every shard.
            rows: how many samples a shard has.
        """
        import ray

        call = ray.put((function, arguments, rows))
        todo = [self._calls(i, targets, call, rows) for i in range(len(self.workers))]
        running: dict[Any, tuple[int, Callable[[], Any]]] = {}

        def more(i: int) -> None:
            ask = next(todo[i], None)
            if ask is not None:
                running[ask()] = (i, ask)

        for _ in range(_AHEAD):
            for i in range(len(todo)):
                more(i)
        while running:
            (done, *_), _ = ray.wait(list(running), num_returns=1)
            i, ask = running.pop(done)
            more(i)
            yield from _get(ask, done)

    def _calls(self, i: int, targets: Tensor, call: Any, rows: int) -> Iterator[Callable[[], Any]]:
        """Yield what asks a worker for a few shards of its part after another."""
        part, step = self._parts[i], rows * _CHUNK
        for start in range(0, part.count, step):
            where = slice(start, min(start + step, part.count))
            yield lambda w=where: self.workers[i].actor.map.remote(part, self._targets(targets)[i], call, w)

    def _targets(self, targets: Tensor) -> list[Any]:
        """Return the references of each worker's targets, which are sent once."""
        import ray

        for known, references in self._sent:
            if known is targets:
                return references
        references = [ray.put(targets[p.offset : p.offset + p.count].clone()) for p in self._parts]
        self._sent = [*self._sent[-_SENT:], (targets, references)]
        return references


def _get(ask: Callable[[], Any], reference: Any = None) -> Any:
    """Return what a call gives; where a worker or a machine died, ask again.

    Raises:
        UsageError: it died again and again.
    """
    import ray
    from ray.exceptions import ObjectLostError, RayActorError, RayError, RayTaskError, WorkerCrashedError

    for attempt in range(ATTEMPTS):
        try:
            return ray.get(ask() if reference is None or attempt else reference)
        except RayTaskError as error:
            if isinstance(error.cause, LsiError):
                raise error.cause from error
            if not isinstance(error.cause, RayError):
                raise
            last: Exception = error
        except (RayActorError, ObjectLostError, WorkerCrashedError) as error:
            last = error
    raise UsageError(f"Workers of the Ray cluster died {ATTEMPTS} times in one step: {last}")
