"""What decisions are about: the samples of a dataset by id and content, as one run has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from lsi.data.naming import BOX, ROW

WITH_NOISE = " with noise"  # behind the hash of an image to which noise was added


def without_noise(contents: Sequence[str] | np.ndarray) -> np.ndarray:
    """Return the hashes that contents have without the noise that was added to images, (n,)."""
    return np.array([str(content).removesuffix(WITH_NOISE) for content in contents], dtype=object)


def label_column(columns: Mapping[str, str], targets: Sequence[str]) -> str | None:
    """Return the column of the data that holds the given labels, or the number to predict; None where no one does.

    Args:
        columns: what each column was taken for, by role.
        targets: names of the numbers to predict.
    """
    if targets:
        return targets[0] if len(targets) == 1 else None
    return columns.get("label")


@dataclass(frozen=True)
class Subject:
    """The samples of a run, named so that every other run on the same data finds them.

    Attributes:
        run: the run's name.
        dataset: the dataset's name.
        ids: n texts, unique.
        contents: n hashes of the samples' content.
        class_names: k texts; none where the samples have no classes.
        given: (n,) class indices of the given labels; None where the samples have no classes.
        index: (n,) their rows in the source; None: their positions.
        label_column: the column of the data that holds the given labels, or the number to predict; None: no one does.
        beside: other columns of the data.
    """

    run: str
    dataset: str
    ids: Sequence[str] | np.ndarray
    contents: Sequence[str] | np.ndarray
    class_names: tuple[str, ...] = ()
    given: np.ndarray | None = None
    index: np.ndarray | None = None
    label_column: str | None = None
    beside: frozenset[str] = frozenset()

    @property
    def source_index(self) -> np.ndarray:
        """Rows of the source, (n,)."""
        return np.arange(len(self.ids)) if self.index is None else self.index

    def find(self, ids: Sequence[str], contents: Sequence[str]) -> np.ndarray:
        """Return the positions of samples of this id and content, (s,); −1 where there is none.

        An id that is the number of a row, as samples without a name have one, may be of a time when they had none. The
        number of a box of an image changes where a box before it comes or goes: the one with its content is meant.
        """
        found = self._by_id.get_indexer(pd.Index(np.asarray(ids, dtype=object)))
        for i in np.flatnonzero(found < 0).tolist():
            if ROW.fullmatch(ids[i]):
                found[i] = self._by_row.get(int(ids[i]), -1)
        theirs = np.asarray(self.contents, dtype=object)
        same = theirs[found] == np.asarray(contents, dtype=object) if len(theirs) else np.zeros(len(found), bool)
        found = np.where((found >= 0) & same, found, -1)
        for i in np.flatnonzero(found < 0).tolist():
            if box := BOX.fullmatch(ids[i]):
                found[i] = self._by_box.get((box[1], contents[i]), -1)
        return found

    def name(self, label: int | None) -> str | None:
        """Return the name of a class index; None for none, and where there are no classes."""
        return None if label is None or self.given is None else self.class_names[label]

    def label(self, name: str | None) -> int | None:
        """Return the class index of a name, or None where the run knows no such class."""
        return None if name is None else self._by_name.get(name)

    @cached_property
    def _by_id(self) -> pd.Index:
        return pd.Index(np.asarray(self.ids, dtype=object))

    @cached_property
    def _by_row(self) -> dict[int, int]:
        return {row: position for position, row in enumerate(self.source_index.tolist())}

    @cached_property
    def _by_box(self) -> dict[tuple[str, str], int]:
        """Positions of boxes by image and content, without those that two boxes share."""
        places: dict[tuple[str, str], int] = {}
        for position, (name, content) in enumerate(zip(self.ids, self.contents, strict=True)):
            if box := BOX.fullmatch(name):
                place = box[1], str(content)
                places[place] = -1 if place in places else position
        return places

    @cached_property
    def _by_name(self) -> dict[str, int]:
        return {name: label for label, name in enumerate(self.class_names)}
