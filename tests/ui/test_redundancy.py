"""What of a group of near duplicates can go."""

import re

import numpy as np
import pandas as pd
import pytest

from lsi.export import spread
from lsi.runs.decisions import Decision
from lsi.runs.listing import list_runs
from lsi.ui import deciding, estimate, session
from lsi.ui.filters import Filter
from lsi.ui.redundancy import _ordered, _telling_first, redundant
from tests.ui.test_pages import visit, written

TABLE = pd.DataFrame(
    {"near_duplicate_group": [0, 0, 0, 1, 1, -1], "label_score": [0.9, 0.5, 0.4, 0.8, 0.7, 0.1], "lsi": np.arange(6.0)}
)


def goes(**decided: str) -> list[int]:
    actions = pd.Series({int(name[1:]): action for name, action in decided.items()}, dtype=object)
    return sorted(redundant(TABLE, actions).tolist())


def test_the_likeliest_label_of_a_group_stays():
    assert goes() == [1, 2, 4]


def test_nothing_that_somebody_decided_about_is_excluded():
    assert goes(p1="keep") == [0, 2, 4]  # the kept one stays in place of the likeliest
    assert goes(p1="keep", p2="keep") == [0, 4]
    assert goes(p1="unsure", p4="relabel") == [2, 3]


def test_one_of_a_group_always_stays():
    assert goes(p0="exclude") == [2, 4]
    assert goes(p0="exclude", p1="exclude", p3="exclude") == []


def test_leaks_come_before_groups_of_several_labels_and_those_before_the_rest():
    table = pd.DataFrame({"near_duplicate_group": [0, 0, 1, 1, 2, 2, -1], "given_label": [0, 0, 0, 1, 0, 0, 0],
                          "nearest_distance": [0.1, 0.1, 0.3, 0.3, 0.2, 0.2, 9.0]})  # fmt: skip
    assert _ordered(table, set(), ["given_label"]) == [1, 0, 2]
    assert _ordered(table, {2}, ["given_label"]) == [2, 1, 0]
    targets = table.rename(columns={"given_label": "target price"})
    assert _ordered(targets.assign(given_label=0), set(), ["target price"]) == [1, 0, 2]


def test_what_is_excluded_already_is_no_part_of_what_stays(app, cache):
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))
    lowest = np.argsort(run.scores["lsi"].to_numpy())[:100]
    deciding.reviews().record(run.subject, "me", [Decision(int(i), "exclude") for i in lowest])
    page = visit(app, "redundancy")
    assert "100 images were excluded already: the share is of the other 300." in written(page)
    assert "**240** images stay; " in written(page)
    page.button_group(key="rule").set_value("Highest information first").run()
    assert "**240** images stay and hold" in written(page)
    page.button(key="budget-exclude").click().run()
    assert len(deciding.decisions(session.open_view(run.name))) == 160


STAYED = ". Undo takes it back. 1 image stayed, by what was decided meanwhile."


@pytest.mark.parametrize(
    ("action", "label", "chosen", "toast"),
    [("exclude", "Exclude redundant images: 2", [3], "Excluded: 1 image" + STAYED),
     ("exclude", "Exclude from training what looks like what is held out: 2", [3], "Excluded: 1 image" + STAYED),
     ("exclude", "Exclude 2 images", [3], "Excluded: 1 image" + STAYED),
     ("keep", "No duplicates: keep them", [3, 8], "Kept: 2 images" + STAYED)],
)  # fmt: skip
def test_no_rule_overrules_what_a_colleague_decided_since_the_page_was_drawn(
    app, cache, monkeypatch, action, label, chosen, toast
):
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))
    view = session.open_view(run.name)
    group, split = np.full(400, -1), np.full(400, "test")
    group[[3, 5, 8]], split[[3, 5]] = 0, "train"
    score = np.where(np.arange(400) == 8, 0.9, 0.5)  # the one that stays
    table = view.table.assign(near_duplicate_group=group, nearest_distance=0.1, split=split, label_score=score)
    monkeypatch.setitem(vars(view), "table", table)
    page = visit(app, "redundancy")
    deciding.reviews().record(run.subject, "carl", [Decision(5, "unsure")])
    next(b for b in page.button if b.label == label).click().run()
    found = deciding.decisions(view)
    assert found["action"].to_dict() == dict.fromkeys(chosen, action) | {5: "unsure"}
    assert found["reviewer"][5] == "carl"
    assert [t.value for t in page.toast] == [toast]


def test_none_of_a_group_that_is_said_to_hold_no_duplicates_can_go(app, cache, monkeypatch):
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))
    view = session.open_view(run.name)
    group = np.full(400, -1)
    group[[3, 5, 8]] = 0
    table = view.table.assign(near_duplicate_group=group, nearest_distance=0.1)
    monkeypatch.setitem(vars(view), "table", table)
    page = visit(app, "redundancy")
    next(b for b in page.button if b.label == "No duplicates: keep them").click().run()
    assert deciding.decisions(view)["action"].to_dict() == dict.fromkeys([3, 5, 8], "keep")
    assert "0 images can go" in written(page)


def test_a_share_to_keep_overrules_nothing_that_a_colleague_decided_since_the_page_was_drawn(app, cache):
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))
    view = session.open_view(run.name)
    page = visit(app, "redundancy")
    superfluous = set(range(400)) - set(spread(run, np.argsort(-run.scores["lsi"].to_numpy(), kind="stable"), 320))
    kept = sorted(superfluous)[:2]
    deciding.reviews().record(run.subject, "carl", [Decision(int(i), "keep") for i in kept])
    page.button(key="budget-exclude").click().run()
    found = deciding.decisions(view)
    assert found["reviewer"].value_counts().to_dict() == {"me": 78, "carl": 2}
    assert found.index[found["action"] == "keep"].tolist() == kept


def test_what_is_kept_or_excluded_as_superfluous_says_nothing_of_labels(app, cache):
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))
    page = visit(app, "redundancy")
    page.button(key="budget-keep").click().run()
    view = session.open_view(run.name)
    decided = deciding.decisions(view)
    assert set(decided["action"]) == {"keep"}
    assert not decided["is_of_label"].any()
    assert deciding.label_decisions(view).empty
    deciding.reviews().undo(run.subject, "me")
    page.run()
    page.button(key="budget-exclude").click().run()
    decided = deciding.decisions(view)
    assert set(decided["action"]) == {"exclude"}
    assert not decided["is_of_label"].any()
    assert deciding.label_decisions(view)["action"].eq("exclude").all()  # they leave all the same


@pytest.mark.parametrize(("shown", "is_of_label"), [(Filter(quality=("is_dark",)), False), (Filter(issues=True), True),
                                                    (Filter(issues=True, quality=("is_dark",)), True)])  # fmt: skip
def test_what_is_excluded_by_a_filter_of_quality_says_nothing_of_labels(app, cache, monkeypatch, shown, is_of_label):
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))
    view = session.open_view(run.name)
    monkeypatch.setitem(vars(view), "table", view.table.assign(is_dark=view.table["is_label_issue"]))
    app.query_params["run"] = run.name
    app.run()
    app.session_state["filter"] = shown
    page = visit(app, "samples")
    page.button(key="filtered-exclude").click().run()
    decided = deciding.decisions(view)
    assert len(decided)
    assert set(decided["is_of_label"]) == {is_of_label}
    app.session_state["opened"] = app.selectbox(key="run_box").value, 0
    app.button_group(key="panel").set_value("Detail").run()
    page.button(key="detail-keep").click().run()
    kept = deciding.decisions(view).query("action == 'keep'")
    assert kept["is_of_label"].tolist() == [is_of_label]


@pytest.mark.parametrize(("what", "action"), [("exclude", "exclude"), ("keep", "keep"), ("clear", None)])
def test_what_was_decided_of_filtered_images_since_the_page_was_drawn_stays(app, cache, what, action):
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))
    view = session.open_view(run.name)
    first, second, *others = [int(i) for i in view.table.index[view.table["is_label_issue"]]]
    deciding.record(view, "me", [second], "unsure")
    app.query_params["run"] = run.name
    app.run()
    app.session_state["filter"] = Filter(issues=True)
    page = visit(app, "samples")
    deciding.record(view, "carl", [first], "relabel", int(view.table["suggested_label"][first]))
    page.button(key=f"filtered-{what}").click().run()
    found = deciding.decisions(view)
    expected = dict.fromkeys([second, *others], action) if action else {}
    assert found["action"].to_dict() == expected | {first: "relabel"}
    assert page.toast[0].value.endswith("1 image stayed, by what was decided meanwhile.")


def test_what_is_excluded_as_a_copy_is_no_evidence_that_labels_are_wrong(app, cache):
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))
    view = session.open_view(run.name)
    suspects = view.table.index[view.table["is_label_issue"]].tolist()[:3]
    nothing = estimate.of_undecided(view)
    deciding.carry_out(view, "me", suspects, "away")
    copies = estimate.of_undecided(view)
    assert (copies.intercept, copies.slope) == (nothing.intercept, nothing.slope)
    assert estimate.counts(view).decided == 3
    deciding.carry_out(view, "me", suspects, "exclude")
    assert estimate.of_undecided(view).intercept > nothing.intercept


def test_groups_are_counted_whole_and_say_what_of_them_the_filter_hides(app, cache, monkeypatch):
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))
    view = session.open_view(run.name)
    group = np.full(400, -1)
    group[[3, 5, 8]] = 0
    monkeypatch.setitem(vars(view), "table", view.table.assign(near_duplicate_group=group, nearest_distance=0.1))
    page = visit(app, "redundancy")
    assert "1 group. Of each group" in written(page)
    assert "do not pass the filter" not in written(page)
    page.session_state["filter"] = Filter(text=view.table["id"].iloc[5])
    page.run()
    assert "2 images of them do not pass the filter" in written(page)
    assert "Exclude redundant images: 2" in written(page)


def test_a_part_of_what_the_filter_leaves_is_called_that(app, cache):
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))
    n = int((run.scores["given_label"] == 0).sum())
    page = visit(app, "redundancy")
    assert "The filter counts here" not in written(page)
    assert "of each class" in written(page)
    page.session_state["filter"] = Filter(classes=(run.class_names[0],))
    page.run()
    assert f"a part of the {n} images that it leaves. Nothing is decided of the other {400 - n}." in written(page)


def test_a_part_of_samples_with_numbers_speaks_of_targets(app, unlabelled):
    app.query_params["run"] = unlabelled["regression"].name
    said = written(visit(app, "redundancy"))
    assert "Suspected targets leave first" in said
    assert "of each class" not in said
    assert "suspected target" in said
    assert "suspected label" not in said


def test_images_of_no_group_are_not_among_those_of_a_group_that_the_filter_hides(app, cache, monkeypatch):
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))
    view = session.open_view(run.name)
    given = view.table["given"].to_numpy()
    group = np.full(400, -1)
    group[[*np.flatnonzero(given == given[0])[:2], *np.flatnonzero(given != given[0])[:1]]] = 0
    monkeypatch.setitem(vars(view), "table", view.table.assign(near_duplicate_group=group, nearest_distance=0.1))
    page = visit(app, "redundancy")
    page.session_state["filter"] = Filter(classes=(str(given[0]),))
    page.run()
    assert "counted whole: 1 image of them does not pass the filter" in written(page)


def test_what_is_kept_beyond_a_share_is_counted_with_the_suspects_that_were_confirmed(app, cache):
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))
    suspects = np.flatnonzero(run.scores["is_label_issue"])
    deciding.reviews().record(run.subject, "me", [Decision(int(i), "keep") for i in suspects])
    page = visit(app, "redundancy")
    page.slider(key="budget").set_value(100).run()
    assert "What was decided to be kept stays. Check" in written(page)
    page.slider(key="budget").set_value(1).run()
    stay = int(re.findall(r"\*\*(\d+)\*\* images stay;", written(page))[0])
    assert stay > 4
    assert f"kept stays ({stay - 4} more than the share)" in written(page)


def test_which_of_a_group_stays_is_said_with_and_without_splits(app, cache, monkeypatch):
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))
    view = session.open_view(run.name)
    group = np.full(400, -1)
    group[[3, 5]] = 0
    table = view.table.assign(near_duplicate_group=group, nearest_distance=0.1)
    monkeypatch.setitem(vars(view), "table", table)
    assert "Of each group one image stays: the one with the likeliest label, or" in written(visit(app, "redundancy"))
    split = np.where(np.arange(400) == 3, "train", "test")
    monkeypatch.setitem(vars(view), "table", table.assign(split=split))
    said = "stays: what is held out before the rest, and of several the one with the likeliest label, or"
    assert said in written(app.run())


def test_a_count_of_a_flag_is_of_what_the_way_to_it_shows(app, rich):
    app.query_params["run"] = rich.name
    n_dark, n_blurry = (int(rich.scores[flag].sum()) for flag in ("is_dark", "is_blurry"))
    page = visit(app, "redundancy")
    page.session_state["filter"] = Filter(quality=("is_dark",))
    said = written(page.run())
    assert f"Blurry**: {n_blurry} image" in said
    assert f"Dark**: {n_dark} image" in said
    assert "The quality flags that the filter asks for do not count here." in said
    page.button(key="flag-is_blurry").click().run()
    assert f"**{n_blurry}** of 60 images" in written(page)


def test_a_long_group_begins_with_what_stays_and_one_of_each_label(app, cache, monkeypatch):
    rows = pd.DataFrame({"given_label": [0, 0, 0, 1, 0, 2], "split": list("aabaaa")}, index=range(10, 16))
    order = _telling_first(rows, ["given_label", "split"], {10, 11, 12, 13, 15}, pd.Series(dtype=object))
    assert order == [14, 12, 13, 15, 10, 11]
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))
    view = session.open_view(run.name)
    group = np.where(np.arange(400) < 200, 0, -1)
    monkeypatch.setitem(vars(view), "table", view.table.assign(near_duplicate_group=group, nearest_distance=0.1))
    said = written(visit(app, "redundancy"))
    assert "and 192 more" in said
    assert "  \nstays" in said


def test_targets_of_a_group_are_told_apart_by_the_numbers(app, unlabelled, monkeypatch):
    run = unlabelled["regression"]
    app.query_params["run"] = run.name
    view = session.open_view(run.name)
    n = len(view.table)
    group = np.full(n, -1)
    group[[0, 1]] = 0
    target = f"target {run.target_names[0]}"
    targets = view.table[target].to_numpy().copy()
    targets[[0, 1]] = 249_900.25, 249_900.75
    table = view.table.assign(near_duplicate_group=group, nearest_distance=0.1, given="same")
    monkeypatch.setitem(vars(view), "table", table.assign(**{target: targets}))
    said = written(visit(app, "redundancy"))
    assert "2 different targets" in said
    assert "249,900.2" in said
    assert "249,900.8" in said


@pytest.mark.parametrize("task", ["regression", "self"])
def test_pages_of_samples_without_classes_speak_of_none(app, unlabelled, task):
    run = unlabelled[task]
    app.query_params["run"] = run.name
    said = written(visit(app, "redundancy"))
    assert ("Suspected targets leave first" in said) == (task == "regression")
    assert "the one with the likeliest target" not in said or task == "regression"
    assert "0 suspected" not in said
    said = written(visit(app, "export"))
    assert "Relabelled" not in said
    assert "new label" not in said
    assert "One folder" in app.button_group(key="images").options
    said = written(visit(app, "samples"))
    assert "takes the suggestion" not in said
    assert "Most suspect label" not in app.selectbox(key="order").options
    assert ("Most suspect target" in app.selectbox(key="order").options) == (task == "regression")


def test_vectors_have_names_and_no_paths(app, calibrated):
    app.query_params["run"] = calibrated.name
    assert visit(app, "samples").text_input(key="f_text").label == "Name contains"


def test_a_run_without_targets_is_filtered_by_no_suspects(app, unlabelled):
    app.query_params["run"], app.query_params["issues"] = unlabelled["self"].name, "1"
    assert "All **60** images" in written(visit(app, "samples"))
