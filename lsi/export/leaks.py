"""Leaks: samples that look like one of another split, so that what is tested on was learned from."""

import numpy as np
import pandas as pd

from lsi.data.sources.splits import held_out, same_split
from lsi.runs.reading import knows_duplicates
from lsi.runs.run import Run


def why_no_duplicates(run: Run) -> str:
    """Return why near duplicates were not looked for in a run, as a sentence; "" where they were."""
    if knows_duplicates(run.manifest):
        return ""
    return f"Near duplicates were not looked for: {run.noun} of the same probabilities need not be alike."


def has_splits(table: pd.DataFrame) -> bool:
    """Say whether a table of samples holds more than one split, and near duplicates were looked for."""
    return {"split", "near_duplicate_group"} <= set(table.columns) and len(
        set(map(same_split, table["split"].astype(str).unique()))
    ) > 1


def leaks(table: pd.DataFrame) -> pd.DataFrame:
    """Return the samples of near-duplicate groups that lie in several splits, group by group.

    Args:
        table: of the run's samples; without a column `split` nothing can leak.
    """
    if not has_splits(table):
        return table.iloc[:0]
    grouped = table[table["near_duplicate_group"] >= 0]
    splits = grouped["split"].astype(str).map(same_split)
    several = splits.groupby(grouped["near_duplicate_group"]).transform("nunique") > 1
    return grouped[several].sort_values(["near_duplicate_group", "index"], kind="stable")


def leaks_to_drop(table: pd.DataFrame) -> np.ndarray:
    """Return the positions of leaks that can go: what is held out stays, and what looks like it leaves training.

    Test stays before validation, and validation before everything else. Where no split of a group is held out more
    than the others, nothing of it goes: which one leaks into which cannot be told.

    Args:
        table: of the run's samples, indexed by position.
    """
    found = leaks(table)
    if found.empty:
        return np.zeros(0, dtype=np.int64)
    rank = found["split"].astype(str).map(held_out)
    highest = rank.groupby(found["near_duplicate_group"]).transform("max")
    return np.sort(found.index[rank < highest].to_numpy(dtype=np.int64))


def leak_table(table: pd.DataFrame, class_names: list[str]) -> pd.DataFrame:
    """Return one row a leak: group, split, index, id, the given label's name where there are classes, and can_go.

    Args:
        table: of the run's samples, indexed by position.
        class_names: k texts; empty where there are no classes.
    """
    found = leaks(table)
    rows = found.reindex(columns=["near_duplicate_group", "split", "index", "id"])
    rows = rows.rename(columns={"near_duplicate_group": "group"})
    if class_names:
        rows["given_name"] = np.array(class_names, dtype=object)[found["given_label"].to_numpy(dtype=np.int64)]
    rows["can_go"] = found.index.isin(leaks_to_drop(table))
    return rows
