"""Selections: by rule, by decisions, and by a file of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsi.errors import UsageError
from lsi.export import Selection, select, selection_from_records, selection_of
from lsi.runs.records import decision_records, exclusion_records
from lsi.runs.run import Run
from lsi.runs.subject import Subject
from tests.export.made import made_run

N, K = 12, 3


def run_of_twelve() -> Run:
    """As much of a run as selections read."""
    rng, run = np.random.default_rng(0), Run(Path("run"))
    vars(run)["manifest"] = {"dataset": {"class_names": ["a", "b", "c"], "name": "twelve"}}
    vars(run)["scores"] = pd.DataFrame(
        {"index": np.arange(N) * 7 + 3, "id": [f"{i}.png" for i in range(N)], "lsi": rng.random(N),
         "label_score": rng.random(N), "is_label_issue": rng.random(N) < 0.3,
         "near_duplicate_group": [0, 0, -1, 1, 1, 1, -1, -1, -1, -1, -1, -1]}
    )  # fmt: skip
    given = rng.integers(0, K, N)
    vars(run)["subject"] = Subject(
        "run", "twelve", run.scores["id"].tolist(), list("abcdefghijkl"), ("a", "b", "c"), given
    )
    return run


RUN = run_of_twelve()
decisions = st.dictionaries(
    st.integers(0, N - 1),
    st.one_of(st.tuples(st.sampled_from(["keep", "exclude", "unsure"]), st.none()),
              st.tuples(st.just("relabel"), st.integers(0, K - 1))),
)  # fmt: skip


def changing(choices: dict) -> dict:
    """Return choices whose relabels name another class than the given one: any other is a keep."""
    given = RUN.subject.given
    return {i: (a, (given[i] + 1) % K if c == given[i] else c) for i, (a, c) in choices.items()}


def test_a_share_is_spread_over_each_class_and_holds_no_suspect(tmp_path):
    n = 60
    run = made_run(tmp_path / "run", [f"{i}.png" for i in range(n)], np.arange(n) % 3, ["a", "b", "c"])
    suspects = np.flatnonzero(run.scores["is_label_issue"])
    thin = select(run, keep_share=0.25)
    assert len(thin.kept) == 15
    assert not set(suspects) & set(thin.kept)
    assert np.ptp(np.bincount(thin.kept % 3, minlength=3)[1:]) <= 1, "class a holds suspects alone"
    ranks = np.argsort(np.argsort(run.scores["lsi"].to_numpy()))[thin.kept]
    assert ranks.min() < 0.15 * n < 0.85 * n < ranks.max(), "neither the highest alone nor the lowest"
    assert len(select(run, keep_share=1.0).kept) == n - len(suspects)
    for wrong in ({"keep_share": 0.0}, {"keep_share": 1.5}, {"keep_share": 0.5, "keep_top": 3}):
        with pytest.raises(UsageError, match="keep_share"):
            select(run, **wrong)


def decided(choices: dict) -> pd.DataFrame:
    rows = [{"action": a, "label": np.nan if c is None else float(c), "reviewer": "ann", "time": "t"}
            for a, c in choices.values()]  # fmt: skip
    return pd.DataFrame(rows, index=list(choices), columns=["action", "label", "reviewer", "time"])


def same(one: Selection, other: Selection) -> bool:
    return (np.array_equal(one.kept, other.kept) and np.array_equal(one.removed, other.removed)
            and one.relabelled == other.relabelled)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(decisions)
def test_decisions_and_their_records_come_to_the_same(choices):
    choices = changing(choices)
    table = decided(choices)
    selection = selection_of(RUN, table)
    assert same(selection, selection_from_records(RUN, decision_records(RUN.subject, table)))
    np.testing.assert_array_equal(np.union1d(selection.kept, selection.removed), np.arange(N))
    assert selection.removed.tolist() == sorted(i for i, (a, _) in choices.items() if a == "exclude")
    assert selection.relabelled == {i: c for i, (a, c) in choices.items() if a == "relabel"}


@settings(max_examples=100, deadline=None)
@given(decisions, st.sets(st.integers(0, N - 1)))
def test_what_a_filter_leaves_out_can_be_told_by_records(choices, shown):
    choices = changing(choices)
    table, everything = decided(choices), np.arange(N)
    selection = selection_of(RUN, table).within(np.array(sorted(shown), dtype=np.int64))
    assert set(selection.kept) == shown - set(
        np.flatnonzero([choices.get(i, ("",))[0] == "exclude" for i in everything])
    )
    assert set(selection.relabelled) <= set(selection.kept)
    hidden = np.setdiff1d(selection.removed, selection_of(RUN, table).removed)
    records = decision_records(RUN.subject, table) + exclusion_records(RUN.subject, hidden, "filter")
    assert same(selection, selection_from_records(RUN, records))


@settings(max_examples=50, deadline=None)
@given(st.booleans(), st.booleans(), st.none() | st.integers(1, N))
def test_rules_keep_what_they_say(drop_issues, keep_one, keep_top):
    selection = select(RUN, drop_issues=drop_issues, keep_one=keep_one, keep_top=keep_top)
    table = RUN.scores.iloc[selection.kept]
    assert not (drop_issues and table["is_label_issue"].any())
    groups = table["near_duplicate_group"][table["near_duplicate_group"] >= 0]
    assert not (keep_one and groups.duplicated().any())
    allowed = select(RUN, drop_issues=drop_issues, keep_one=keep_one)
    if keep_top is not None:
        best = RUN.scores.iloc[allowed.kept].nlargest(keep_top, "lsi").index
        assert set(selection.kept) == set(best)


@pytest.mark.parametrize("rule", [{"keep_one": True}, {"drop_leaks": True}, {"keep_one": True, "drop_leaks": True}])
@pytest.mark.parametrize("without", [{"drop_issues": True}, {"keep_share": 0.9}])
def test_what_leaves_as_a_suspect_takes_no_copy_along(tmp_path, rule, without):
    """The held-out copy of a pair would stay, but its label is suspected: the copy with the good label stays then."""
    run = made_run(tmp_path / "run", [f"{i}.png" for i in range(20)], np.arange(20) % 2, ["a", "b"])
    groups, suspects = np.full(20, -1), np.zeros(20, bool)
    groups[[3, 13]], groups[[4, 14]], suspects[13] = 0, 1, True
    vars(run)["scores"] = run.scores.assign(
        near_duplicate_group=groups, is_label_issue=suspects, split=["train"] * 10 + ["test"] * 10
    )
    removed = set(select(run, **rule, **without).removed)
    assert {13, 4} <= removed
    assert 14 not in removed
    assert 3 not in removed or "keep_share" in without


def test_nothing_is_no_number_to_keep():
    with pytest.raises(UsageError, match="keep_top ≥ 1"):
        select(RUN, keep_top=0)
