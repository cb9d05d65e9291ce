from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsi.errors import UsageError
from lsi.runs.decisions import Decision, Reviews
from lsi.runs.subject import Subject
from lsi.ui import samples
from lsi.ui.columns import ColumnFilter
from lsi.ui.filters import DECISIONS, Filter, Lasso, decision_codes, in_polygon
from lsi.ui.flags import FLAGS
from lsi.ui.paths import below_data_roots
from lsi.ui.wording import plain

TABLE = pd.DataFrame(
    {
        "id": ["a/1.png", "a/2.png", "b/3.png", "b/4.png"],
        "given": ["cat", "cat", "dog", "dog"],
        "predicted": ["cat", "dog", "dog", "cat"],
        "lsi_rank": [1, 2, 3, 4],
        "is_label_issue": [False, True, False, True],
        "near_duplicate_group": [-1, 0, 0, -1],
        "split": ["train", "test", "train", "train"],
        "camera": ["A", None, "B", "A"],
        "iso": ["100", "3200", None, "200"],
        "a:b&c=d ": [1.5, 2.5, 3.5, 4.5],
        "is_dark": [True, False, False, False],
        "is_blurry": [False, False, True, False],
        "given_label": [0, 0, 1, 1],
        "true_label": [0, 1, 1, 1],
        "label_in_data": ["cat", "cat", "dog", "cat"],
    }
)
DECIDED = pd.DataFrame({"action": ["exclude"], "label": [None], "disputed": [True]}, index=[1])
POSITIONS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [5.0, 5.0]])
SQUARE = ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))
SAID = pd.DataFrame({"sample": [0, 2, 2], "kind": ["tag", "tag", "note"], "text": ["blurry", "x y", "blurry"]})
WIDE = ((-0.5, -0.5), (2.0, -0.5), (2.0, 2.0), (-0.5, 2.0))


@pytest.mark.parametrize(
    ("chosen", "rows"),
    [
        (Filter(), [0, 1, 2, 3]),
        (Filter(classes=("dog",)), [2, 3]),
        (Filter(disputed=True), [1]),
        (Filter(differs=True), [1, 3]),
        (Filter(predicted=("dog",)), [1, 2]),
        (Filter(low=0.5), [0, 1]),
        (Filter(high=0.25), [3]),
        (Filter(issues=True), [1, 3]),
        (Filter(decision=("exclude",)), [1]),
        (Filter(decision=("undecided",)), [0, 2, 3]),
        (Filter(split=("test",)), [1]),
        (Filter(duplicates=True), [1, 2]),
        (Filter(group=0), [1, 2]),
        (Filter(text="A/"), [0, 1]),
        (Filter(text="("), []),
        (Filter(tags=("blurry",)), [0]),
        (Filter(tags=("blurry", "x y")), [0, 2]),
        (Filter(noted=True), [2]),
        (Filter(new=True), [0, 1, 2, 3]),
        (Filter(tags=("blurry",), noted=True), []),
        (Filter(lassos=(Lasso("set", SQUARE),)), [0]),
        (Filter(lassos=(Lasso("set", WIDE), Lasso("subtract", SQUARE))), [1, 2]),
        (Filter(lassos=(Lasso("set", SQUARE), Lasso("add", WIDE))), [0, 1, 2]),
        (Filter(lassos=(Lasso("subtract", SQUARE),)), [1, 2, 3]),
        (Filter(lassos=(Lasso("subtract", SQUARE), Lasso("subtract", WIDE))), [3]),
        (Filter(lassos=(Lasso("add", SQUARE),)), [0]),
        (Filter(classes=("cat",), issues=True), [1]),
        (Filter(quality=("is_dark",)), [0]),
        (Filter(quality=("is_dark", "is_blurry")), [0, 2]),
        (Filter(quality=("is_bright",)), [0, 1, 2, 3]),
        (Filter(columns=(ColumnFilter("camera", ("A",)),)), [0, 3]),
        (Filter(columns=(ColumnFilter("camera", ("A", "")),)), [0, 1, 3]),
        (Filter(columns=(ColumnFilter("camera", ("",)),)), [1]),
        (Filter(columns=(ColumnFilter("iso", (), 150.0, None),)), [1, 3]),
        (Filter(columns=(ColumnFilter("iso", (), None, 200.0), ColumnFilter("camera", ("A",)))), [0, 3]),
        (Filter(columns=(ColumnFilter("a:b&c=d ", (), 2.5, 3.5),)), [1, 2]),
        (Filter(columns=(ColumnFilter("nowhere", ("A",)),)), [0, 1, 2, 3]),
    ],
)
def test_each_part_of_the_filter(chosen, rows):
    np.testing.assert_array_equal(np.flatnonzero(chosen.mask(TABLE, DECIDED, POSITIONS, said=SAID)), rows)
    query = {k: [v] if isinstance(v, str) else v for k, v in chosen.to_query().items()}
    assert Filter.from_query(query) == chosen
    assert len(chosen.chips()) == len(query)
    assert len(set(chosen.chips())) == len(chosen.chips())
    for without in chosen.chips().values():
        assert without.mask(TABLE, DECIDED, POSITIONS, said=SAID).sum() >= len(rows)


def test_decisions_are_read_as_codes_from_the_first_on(tmp_path):
    reviews = Reviews.of_cache(tmp_path)
    about = Subject("run", "data", list("0123456789"), list("0123456789"))
    assert decision_codes(4, reviews.current(about)).tolist() == [0, 0, 0, 0]
    for sample, action in ((3, "exclude"), (0, "keep"), (1, "keep"), (1, "clear"), (9, "unsure")):
        reviews.record(about, "me", [Decision(sample, action)])
    codes = decision_codes(4, reviews.current(about))
    assert [DECISIONS[c] for c in codes] == ["keep", "undecided", "undecided", "exclude"]


def test_an_address_shows_the_very_samples_that_a_lasso_holds():
    """A corner that the address rounds would lose or win the sample beside it."""
    drawn = Filter(lassos=(Lasso("set", ((-0.504, -0.5), (0.996, -0.5), (0.996, 0.5), (-0.504, 0.5))),))
    read = Filter.from_query({k: [v] if isinstance(v, str) else v for k, v in drawn.to_query().items()})
    assert read == drawn
    np.testing.assert_array_equal(drawn.mask(TABLE, DECIDED, POSITIONS), read.mask(TABLE, DECIDED, POSITIONS))


def test_text_is_looked_for_in_paths_and_in_texts():
    table = TABLE.assign(text=["a heron", "b", "c", "HERON"])
    for asked, rows in (("heron", [0, 3]), ("a/", [0, 1]), ("b", [1, 2, 3])):
        np.testing.assert_array_equal(np.flatnonzero(Filter(text=asked).mask(table, DECIDED, POSITIONS)), rows)


@pytest.mark.parametrize(
    "query",
    [
        {"lsi": ["x-y"]},
        {"lsi": ["0.9-0.1"]},
        {"group": ["-1"]},
        {"lasso": ["s1,2"]},
        {"lasso": ["snan,1_2,2_3,3"]},
        {"issues": ["yes"]},
        {"group": ["²"]},
        {"quality": ["is_dull"]},
        {"in.iso": ["5..1"]},
        {"in.iso": ["..", "1..2"]},
        {"in.iso": ["nan..2"]},
        {"in.iso": ["1...2"]},
        {"is.": ["A"]},
        {"is.camera": []},
    ],
)
def test_a_url_that_makes_no_sense_filters_nothing(query):
    assert Filter.from_query(query) == Filter()


def test_a_range_that_holds_nothing_stays_one_in_its_address():
    nothing = Filter(low=0.43, high=0.43)
    assert Filter.from_query({"lsi": [str(nothing.to_query()["lsi"])]}) == nothing


@pytest.mark.parametrize(("box", "share"), [([2.4, 1.6], (0.25, 0.5)), ([4.2, 9.0], None), ([2.2, 2.8], None)])
def test_a_brush_over_an_empty_part_of_the_histogram_changes_nothing(monkeypatch, box, share):
    chosen = []
    monkeypatch.setattr(samples.st, "session_state", {"histogram": {"selection": {"box": [{"x": box}]}}})
    monkeypatch.setattr(samples, "set_filter", lambda new: chosen.append((new.low, new.high)))
    samples._brush(np.array([1.0, 2.0, 3.0, 4.0]))
    assert chosen == ([share] if share else [])


def test_polygon_is_the_even_odd_rule():
    points = np.random.default_rng(0).random((2000, 2))
    triangle = ((0.1, 0.1), (0.9, 0.2), (0.4, 0.8))

    def left_of(a, b):
        return (b[0] - a[0]) * (points[:, 1] - a[1]) - (b[1] - a[1]) * (points[:, 0] - a[0]) > 0

    expected = left_of(triangle[0], triangle[1]) & left_of(triangle[1], triangle[2]) & left_of(triangle[2], triangle[0])
    np.testing.assert_array_equal(in_polygon(points, triangle), expected)
    bow = ((0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0))  # crosses itself: two triangles
    np.testing.assert_array_equal(in_polygon(points, bow), np.abs(points[:, 1] - 0.5) < np.abs(points[:, 0] - 0.5))


def test_data_from_outside_the_roots_is_refused(tmp_path, monkeypatch):
    (tmp_path / "inside").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "inside" / "link").symlink_to(tmp_path / "outside")
    monkeypatch.setenv("LSI_DATA_ROOTS", str(tmp_path / "inside"))
    assert below_data_roots(tmp_path / "inside" / "x.csv") == (tmp_path / "inside" / "x.csv").resolve()
    for bad in ("outside/x", "inside/../outside", "inside/link/x", "inside-not/x"):
        with pytest.raises(ValueError, match="outside the folders that this server may read"):
            below_data_roots(tmp_path / bad)


def test_a_path_that_can_be_none_is_refused_in_words(tmp_path, monkeypatch):
    monkeypatch.setenv("LSI_DATA_ROOTS", str(tmp_path))
    for bad in (Path("~nosuchuser/x"), tmp_path / "a\0b"):
        with pytest.raises(UsageError, match="is no path on this machine"):
            below_data_roots(bad)


def test_text_from_data_is_shown_as_it_is():
    assert plain("a*b") == r"a\*b"
    assert "](" not in plain("[x](javascript:alert(1))")
    assert plain(":material/home:") == r"\:material/home\:"


words = st.lists(st.text(min_size=1, max_size=20), max_size=3, unique=True).map(tuple)
coordinates = st.floats(-1e4, 1e4).map(lambda v: round(v, 2))
# strategies give plain values: what they build is checked by type, and the checks draw at random
lassos = st.tuples(st.sampled_from(["set", "add", "subtract"]),
                   st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=6).map(tuple))  # fmt: skip
shares = st.lists(st.integers(0, 1000), min_size=2, max_size=2, unique=True).map(sorted)
limits = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=2).map(sorted)
names = st.text(min_size=1, max_size=12)
column_filters = st.one_of(
    st.tuples(names, st.lists(st.text(max_size=12), min_size=1, max_size=4, unique=True).map(tuple)),
    st.tuples(names, st.just(()), limits.map(lambda v: v[0]), st.none()),
    st.tuples(names, st.just(()), st.none(), limits.map(lambda v: v[1])),
    st.tuples(names, limits).map(lambda v: (v[0], (), *v[1])),
)
filters = st.fixed_dictionaries(
    {"classes": words, "predicted": words, "issues": st.booleans(), "decision": words, "split": words,
     "duplicates": st.booleans(), "disputed": st.booleans(), "differs": st.booleans(),
     "group": st.none() | st.integers(0, 10**6), "text": st.text(max_size=50), "lassos": st.lists(lassos, max_size=3),
     "quality": st.lists(st.sampled_from(list(FLAGS)), unique=True).map(tuple),
     "columns": st.lists(column_filters, max_size=3, unique_by=lambda v: v[0])}
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(filters, shares)
def test_any_filter_survives_its_address(fields, share):
    drawn = tuple(Lasso(*one) for one in fields["lassos"])
    of_columns = tuple(ColumnFilter(*one) for one in fields["columns"])
    given = fields | {"lassos": drawn, "columns": of_columns}
    chosen = Filter(low=share[0] / 1000, high=share[1] / 1000, **given)
    query = {k: [v] if isinstance(v, str) else v for k, v in chosen.to_query().items()}
    assert Filter.from_query(query) == chosen
    assert len(chosen.chips()) == len(query)
    assert all(rest != chosen for rest in chosen.chips().values())


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["lsi", "group", "lasso", "issues", "class", "text", "decision", "split",
                                        "quality", "is.camera", "in.iso", "in.camera", "is.a:b&c=d "]),
                       st.lists(st.text(max_size=30), max_size=3)))  # fmt: skip
def test_any_address_is_read_without_an_error(query):
    Filter.from_query(query).mask(TABLE, DECIDED, POSITIONS)


def test_the_few_of_most_information_stay_on_screen_and_in_the_address():
    n = 50_000
    table = pd.DataFrame({"lsi_rank": np.arange(1, n + 1), "near_duplicate_group": -1})
    nothing = pd.DataFrame({"action": [], "disputed": []})
    chosen = Filter(low=round(1 - 20 / n, 6), high=1.0)
    again = Filter.from_query({name: [str(value)] for name, value in chosen.to_query().items()})
    assert again == chosen
    assert np.flatnonzero(again.mask(table, nothing, None)).tolist() == list(range(20))
    assert list(chosen.chips()) == ["LSI 99.96% to 100%"]


def test_nothing_passes_a_lasso_on_a_map_that_is_not_there():
    table = pd.DataFrame({"lsi_rank": [1, 2], "near_duplicate_group": -1})
    lasso = Lasso("set", ((-1.00004, -1.0), (3.0, -1.0), (0.0, 3.0)))
    assert lasso.points[0][0] == -1.0
    assert not Filter(lassos=(lasso,)).mask(table, pd.DataFrame({"action": [], "disputed": []}), None).any()
