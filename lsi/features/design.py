"""The design matrix Φ that a probe sees, stored with everything that made it out of raw features."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from lsi.errors import DataError
from lsi.features.standardise import Standardisation
from lsi.files import atomic, new_array, read_json, write_json
from lsi.hashing import fingerprint

VALUES, PARTS, FACTS = "design.npy", "design.npz", "design.json"
FILES = (VALUES, PARTS, FACTS)
_SHARD = 8192


@dataclass(frozen=True)
class Recipe:
    """How raw features become Φ: some of their columns, standardised, in a dtype, with a constant 1 appended.

    Attributes:
        standardisation: applied to the chosen columns; None: they stay as they are.
        dtype: of Φ, float32 or float64.
        columns: (d,) which columns of the raw features are taken, rising; None: all of them.
    """

    standardisation: Standardisation | None
    dtype: str
    columns: Int[np.ndarray, " d"] | None = None

    def apply(self, raw: Float[np.ndarray, "n r"]) -> Float[np.ndarray, "n D"]:
        """Return Φ of raw features, bias column included; the same rows in the same number give the same bits.

        Raises:
            DataError: the raw features have another number of columns.
        """
        if len(raw) == 0 and raw.ndim == 2:  # no row is as wide as any
            return self.apply(np.zeros((1, raw.shape[1]), raw.dtype))[:0]
        return np.concatenate(list(self._pieces(raw)))

    def write(self, path: Path, raw: Float[np.ndarray, "n r"], rows: Int[np.ndarray, " s"]) -> None:
        """Write Φ of some rows of raw features as .npy, piece by piece.

        Args:
            path: of the file.
            raw: raw features, memory-mapped or not.
            rows: which rows, in this order.
        """
        out = None
        with atomic(path) as temporary:
            for start, piece in zip(range(0, len(rows), _SHARD), self._pieces(raw, rows), strict=True):
                if out is None:
                    out = new_array(temporary, piece.dtype, (len(rows), piece.shape[1]))
                out[start : start + len(piece)] = piece
            assert out is not None
            out.flush()
            del out

    def _pieces(self, raw: np.ndarray, rows: np.ndarray | None = None) -> Iterator[np.ndarray]:
        expected = self._n_raw()
        width, takes_some = raw.shape[-1], self.columns is not None
        fits = expected is None or (width >= expected if takes_some else width == expected)
        if raw.ndim != 2 or not fits:
            raise DataError(f"Expected raw features of shape (n, {expected}), got {raw.shape}.")
        count = len(raw) if rows is None else len(rows)
        for start in range(0, count, _SHARD):
            chosen = slice(start, start + _SHARD)
            piece = np.asarray(raw[chosen] if rows is None else raw[rows[chosen]])
            piece = piece if self.columns is None else piece[:, self.columns]
            piece = piece if self.standardisation is None else self.standardisation.apply(piece)
            piece = piece.astype(self.dtype, copy=False)
            yield np.concatenate([piece, np.ones((len(piece), 1), piece.dtype)], axis=1)

    def _n_raw(self) -> int | None:
        if self.columns is not None:
            return int(self.columns.max(initial=-1)) + 1
        return None if self.standardisation is None else len(self.standardisation.mean)


@dataclass(frozen=True)
class Design:
    """A stored design matrix.

    Attributes:
        values: Φ (n, D), bias column included, memory-mapped: what is written to it stays in memory.
        recipe: how it was made from raw features, and how those of new samples become rows like these.
        rows: (n,) rows of the raw features that it was made from, those of unreadable images left out.
        gram_values: (D,) eigenvalues of ΦᵀΦ, float64, rising.
        gram_vectors: (D, D) its eigenvectors as columns.
        fingerprint: hash of Φ.
    """

    values: Float[np.ndarray, "n D"]
    recipe: Recipe
    rows: Int[np.ndarray, " n"]
    gram_values: Float[np.ndarray, " D"]
    gram_vectors: Float[np.ndarray, "D D"]
    fingerprint: str


def write_parts(folder: Path, recipe: Recipe, rows: Int[np.ndarray, " n"], gram: tuple[np.ndarray, np.ndarray]) -> None:
    """Write what belongs to a design whose Φ lies in `folder` already.

    Args:
        folder: where Φ lies.
        recipe: how Φ was made.
        rows: (n,) rows of the raw features.
        gram: eigenvalues (D,) and eigenvectors (D, D) of ΦᵀΦ.
    """
    how = recipe.standardisation
    parts = {"rows": rows, "gram_values": gram[0], "gram_vectors": gram[1]}
    if recipe.columns is not None:
        parts["columns"] = recipe.columns
    if how is not None:
        parts |= {"mean": how.mean} | ({} if how.components is None else {"components": how.components})
    with atomic(folder / PARTS) as temporary, temporary.open("wb") as file:
        np.savez(file, **parts)  # type: ignore[arg-type]
    facts = {} if how is None else {"scale": how.scale, "explained": how.explained}
    values = np.load(folder / VALUES, mmap_mode="r")
    write_json(folder / FACTS, {"dtype": recipe.dtype, "fingerprint": fingerprint(values), "standardisation": facts})


def read_design(folder: Path) -> Design:
    """Return the design that lies in a folder, Φ memory-mapped.

    Raises:
        DataError: there is none, or it is damaged.
    """
    facts = read_json(folder / FACTS) or {}
    try:
        values = np.load(folder / VALUES, mmap_mode="c")
        with np.load(folder / PARTS) as arrays:
            parts = {name: arrays[name] for name in arrays.files}
        how = None
        if facts["standardisation"]:
            scale, explained = facts["standardisation"]["scale"], facts["standardisation"]["explained"]
            how = Standardisation(parts["mean"], scale, parts.get("components"), explained)
        recipe = Recipe(how, facts["dtype"], parts.get("columns"))
        return Design(values, recipe, parts["rows"], parts["gram_values"], parts["gram_vectors"], facts["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder}: the design matrix is missing or damaged ({type(error).__name__}: {error}). "
            "Compute the run again: what is still in the cache is used."
        ) from error
