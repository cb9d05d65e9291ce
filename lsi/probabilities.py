"""Class probabilities of many samples: of all classes, or of the likeliest of each sample where n·k is large.

Everything that reads them asks for rows, blocks of rows, the probability of given classes or the likeliest classes, and
never needs to know in which of the two layouts they are held.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, Shaped

from lsi.files import new_array, save_array

DENSE_BYTES = 512 * 2**20  # beyond so many bytes in float32 only the likeliest classes are kept
KEPT_CLASSES = 32
_BLOCK_BYTES = 32 * 2**20
_CLASSES = "{}_classes.npy"


@dataclass(frozen=True, eq=False)
class Probabilities:
    """Probabilities of n samples over k classes.

    Attributes:
        values: (n, k) of all classes; or (n, t) of the classes that are kept of each sample, falling. A class that is
            not kept has an equal part of what is missing to 1.
        n_classes: k.
        classes: (n, t) which classes are kept, each once in a row; None: all, in their order. A sample's given class is
            always among them, in the last place where it is not among the t likeliest.
    """

    values: Float[np.ndarray, "n t"]
    n_classes: int
    classes: Int[np.ndarray, "n t"] | None = None

    @classmethod
    def of(cls, values: "Float[np.ndarray, 'n k'] | Probabilities") -> "Probabilities":
        """Return the probabilities themselves, or an (n, k) array as such."""
        return values if isinstance(values, Probabilities) else cls(np.asarray(values), values.shape[1])

    @classmethod
    def allocate(cls, n: int, n_classes: int, dtype: str = "float64", folder: Path | None = None) -> "Probabilities":
        """Return room for n samples, all classes where they fit, to be filled by `put`.

        Args:
            n: number of samples.
            n_classes: k.
            dtype: of the values where all classes are kept; the kept ones of many classes are float32.
            folder: where files are mapped into memory that hold the likeliest classes; None: they lie in memory.
        """
        if 4 * n * n_classes <= DENSE_BYTES or n_classes <= KEPT_CLASSES:
            return cls(np.zeros((n, n_classes), dtype), n_classes)
        shape = (n, KEPT_CLASSES)
        if folder is None:
            return cls(np.zeros(shape, np.float32), n_classes, np.zeros(shape, np.int32))
        folder.mkdir(parents=True, exist_ok=True)
        values = new_array(folder / "values.npy", "float32", shape)
        return cls(values, n_classes, new_array(folder / "classes.npy", "int32", shape))

    @property
    def n_kept(self) -> int | None:
        """How many classes of a sample are kept; None: all."""
        return None if self.classes is None else self.classes.shape[1]

    def put_part(self, rows: "slice | Int[np.ndarray, ' b']", part: "Probabilities") -> None:
        """Keep the probabilities of some samples that are held in the same layout.

        Args:
            rows: which samples, (b,).
            part: their probabilities.
        """
        self.values[rows] = part.values
        if self.classes is not None:
            assert part.classes is not None
            self.classes[rows] = part.classes

    def put(self, rows: "slice | Int[np.ndarray, ' b']", probabilities: np.ndarray, given: np.ndarray) -> None:
        """Keep the probabilities of some samples.

        Args:
            rows: which samples, (b,).
            probabilities: of all classes, (b, k).
            given: (b,) their given classes.
        """
        if self.classes is None:
            self.values[rows] = probabilities
            return
        kept = likeliest_of(probabilities, self.classes.shape[1])
        missing = ~(kept == given[:, None]).any(axis=1)
        kept[missing, -1] = given[missing]
        self.classes[rows] = kept
        self.values[rows] = np.take_along_axis(probabilities, kept, axis=1)

    @property
    def shape(self) -> tuple[int, int]:
        """The number of samples n and the number of classes k."""
        return len(self.values), self.n_classes

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, chosen: "slice | Shaped[np.ndarray, ' b'] | list[int]") -> Float[np.ndarray, "b k"]:
        """Return the probabilities of all classes of some samples, chosen by a slice, a mask or positions."""
        values = np.asarray(self.values[chosen])
        if self.classes is None:
            return values
        rest = np.maximum(1 - values.sum(axis=1, dtype=np.float64), 0) / max(1, self.n_classes - values.shape[1])
        dense = np.repeat(rest.astype(values.dtype)[:, None], self.n_classes, axis=1)
        np.put_along_axis(dense, np.asarray(self.classes[chosen]).astype(np.int64), values, axis=1)
        return dense

    def dense(self) -> Float[np.ndarray, "n k"]:
        """Return the probabilities of all classes of all samples: for few samples or few classes."""
        return np.asarray(self.values) if self.classes is None else self.rows(slice(None))

    def blocks(self) -> Iterator[tuple[slice, Float[np.ndarray, "b k"]]]:
        """Yield slices of the samples and the probabilities of all classes of each, some 32 MB at a time."""
        size = max(1, _BLOCK_BYTES // (4 * self.n_classes))
        for start in range(0, len(self), size):
            rows = slice(start, min(start + size, len(self)))
            yield rows, self.rows(rows)

    def of_classes(self, classes: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Return each sample's probability of one class, (n,) float64; that of its given class is always kept."""
        result = np.empty(len(self), dtype=np.float64)
        for rows, block in self.blocks():
            result[rows] = block[np.arange(len(block)), classes[rows]]
        return result

    def likeliest(
        self, count: int, chosen: "slice | Shaped[np.ndarray, ' b'] | list[int]" = slice(None)
    ) -> Int[np.ndarray, "b t"]:
        """Return the likeliest classes of some samples, falling, (b, count), fewer where fewer are kept."""
        if self.classes is None:
            return likeliest_of(np.asarray(self.values[chosen]), count)
        values, classes = np.asarray(self.values[chosen]), np.asarray(self.classes[chosen])
        order = np.argsort(-values, axis=1, kind="stable")[:, :count]  # the given class may stand out of order
        return np.take_along_axis(classes, order, axis=1)

    def save(self, folder: Path, stem: str) -> list[str]:
        """Write them as `<stem>.npy`, in float32, with `<stem>_classes.npy` beside it where classes are chosen.

        Args:
            folder: where the files go.
            stem: name of the files.

        Returns:
            The names of the files.
        """
        of_values, of_classes = files_of(stem)
        parts: dict[str, np.ndarray] = {of_values: self.values.astype(np.float32, copy=False)}
        if self.classes is not None:
            parts[of_classes] = self.classes.astype(np.int32, copy=False)
        for name, array in parts.items():
            save_array(folder / name, array)
        return list(parts)

    @classmethod
    def read(cls, folder: Path, stem: str, n_classes: int) -> "Probabilities":
        """Return what `save` wrote, memory-mapped.

        Args:
            folder: where the files lie.
            stem: name of the files.
            n_classes: k.
        """
        of_values, of_classes = (folder / name for name in files_of(stem))
        values = np.load(of_values, mmap_mode="r")
        return cls(values, n_classes, np.load(of_classes, mmap_mode="r") if of_classes.is_file() else None)


def files_of(stem: str) -> tuple[str, str]:
    """Return the names of the files that probabilities may have."""
    return f"{stem}.npy", _CLASSES.format(stem)


def likeliest_of(probabilities: Float[np.ndarray, "b k"], count: int) -> Int[np.ndarray, "b t"]:
    """Return the likeliest classes of each row, falling, `count` or as many as there are."""
    k = probabilities.shape[1]
    if count >= k:
        return np.argsort(-probabilities, axis=1, kind="stable")
    chosen = np.argpartition(-probabilities, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(probabilities, chosen, axis=1), axis=1, kind="stable")
    return np.take_along_axis(chosen, order, axis=1)
