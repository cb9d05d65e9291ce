"""The headline figures of a run, each a way into the samples behind it."""

import json

import numpy as np
import streamlit as st

from lsi.data.plan import counted
from lsi.export import why_no_duplicates
from lsi.export.wording import high_means, how_judged, is_corrupted, quality_words
from lsi.runs.labels import still_wrong
from lsi.runs.numbers import nats
from lsi.ui import estimate
from lsi.ui.bar import go
from lsi.ui.buttons import pressed
from lsi.ui.deciding import decisions
from lsi.ui.detail import picture
from lsi.ui.filters import Filter, differing
from lsi.ui.flags import FLAGS
from lsi.ui.session import View
from lsi.ui.wording import plain

_DECIDED = {"confirm": "confirmed", "keep": "kept", "relabel": "relabelled", "exclude": "excluded", "unsure": "unsure"}


def headline(view: View) -> None:
    """Say how many samples there are, and show what to do with them, step by step, and how far that is."""
    summary = view.run.manifest["summary"]
    classes = f" in {counted(len(view.run.class_names), 'class')}" if view.labelled else ""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{summary['n_samples']:,}** {view.noun}{classes}.")
        new = int(view.is_new.sum())
        if new:
            _link("samples", f"See {new:,} new {view.noun if new != 1 else view.one}", Filter(new=True))
        _link("samples", "Browse by information", Filter())
        tenth = Filter(low=round(1 - max(1, len(view.table) // 10) / len(view.table), 8))  # as many as are summed
        _link("samples", f"See the tenth that holds {summary['share_of_top_tenth']:.0%} of it", tenth)
        if len(view.run.unlabelled):
            _link("samples", f"{counted(len(view.run.unlabelled), view.one)} without a label", Filter())
        count = int(differing(view.table).sum())
        if count:
            _link("samples", f"See {counted(count, view.one)} whose {_differ(view, count)}", Filter(differs=True))
    columns = st.columns(3)
    with columns[0].container(border=True, height="stretch"):
        _suspects(view, summary["n_label_issues"])
    with columns[1].container(border=True, height="stretch"):
        _alike(view, summary["n_near_duplicates"])
    with columns[2].container(border=True, height="stretch"):
        _leaving(view)


def _differ(view: View, count: int) -> str:
    """Return how the labels differ of so many samples: flipped on purpose, or by a second labelling or decisions.

    Where there are both flips and a second labelling, the run does not know which is which.
    """
    flipped = 0
    if view.run.asked("noise").get("corrupt_label") and not view.run.asked("data").get("labels"):
        flipped = int(still_wrong(view.run, view.run.scores["given_label"].to_numpy()).sum())
    if flipped == count:
        return "labels were flipped on purpose"
    return f"labellings differ ({flipped:,} flipped on purpose)" if flipped else "labellings differ"


def _alike(view: View, count: int) -> None:
    flagged = dict.fromkeys(FLAGS, 0) | {flag: int(view.run.scores[flag].sum()) for flag in view.flags}
    words = ", ".join(quality_words({"counts": flagged, "n_unmeasured": 0}))
    why = why_no_duplicates(view.run)
    st.metric("2. Near duplicates", "–" if why else f"{count:,}",
              help=why or f"{view.noun.capitalize()} closer to another one than neighbours usually are.")  # fmt: skip
    st.markdown(f"Image quality: {words}." if words else "Nothing stands out in quality." if view.flags else "&nbsp;")
    _link("redundancy", "Look at duplicates and quality", Filter())


def _leaving(view: View) -> None:
    """Show what was decided, and the way out."""
    decided = decisions(view)
    is_confirmed = (decided["action"] == "keep") & decided["is_of_label"].astype(bool)
    actions = decided["action"].mask(is_confirmed, "confirm").value_counts()
    words = ", ".join(f"{int(actions[name]):,} {said}" for name, said in _DECIDED.items() if name in actions)
    st.metric("3. Decisions", f"{int(actions.sum()):,}", help=f"On these {view.noun}, whichever run they were made on.")
    st.markdown(f"{words}." if words else "Nothing is decided yet.")
    _link("export", "Check whether they help, and export", Filter())


def _suspects(view: View, count: int) -> None:
    if view.run.task == "self":
        st.metric("1. Explained by another view", f"{view.run.manifest['targets']['loo_r2']:.0%}",
                  help="Share of the variance of one view's features that another view predicts, without "
                  "having seen it.")  # fmt: skip
        st.markdown("The rest is what only that view shows.")
        _link("samples", "Most unlike the rest", Filter(low=0.98))
        return
    what = "label" if view.labelled else "target"
    st.metric(f"1. Suspected {what}s", f"{count:,}",
              help=f"These {what}s are improbable for a probe that has not seen them.")  # fmt: skip
    found = estimate.counts(view)
    state = "All of them are decided." if count and not found.undecided else f"{found.decided:,} decided."
    if view.labelled and found.undecided:
        words = "how many are wrong cannot be said" if estimate.is_weak(view) else estimate.range_words(view)
        state = f"{state} Of the rest {words.replace(' of them', '')}."
    st.markdown(state if count else "Nothing is suspected.")
    if count:
        _link("issues", "Review them", Filter(issues=True))


def extremes(view: View, count: int = 5) -> None:
    """Show the samples with the most and the least information, side by side where there is room."""
    order = np.argsort(-view.table["lsi"].to_numpy(), kind="stable")
    shown = (
        (f"Most information: {high_means(view.run.task)}", order[:count]),
        ("Least information: typical or redundant", order[::-1][:count]),
    )
    for column, (title, rows) in zip(st.columns(2), shown, strict=True):
        with column:
            st.subheader(title, anchor=False)
            with st.container(horizontal=True):
                for position in rows:
                    _extreme(view, int(position))


def _extreme(view: View, position: int) -> None:
    row = view.table.iloc[position]
    with st.container(width=120):
        picture(view, position, 112)
        arrow = "" if row["given"] == row["predicted"] else f" → {plain(row['predicted'])}"
        st.markdown(f"{plain(row['given'])}{arrow}  \nLSI {nats(row['lsi'])}")


def details(view: View) -> None:
    """Show how the run was made, and what its noise experiment says."""
    manifest = view.run.manifest
    lines = view.run.plan_lines
    if lines:
        with st.expander("How the data were read"):
            st.markdown("\n".join(f"- {plain(line)}" for line in lines))
    skipped = manifest["dataset"]["skipped"]
    if skipped:
        with st.expander(f"{counted(len(skipped), 'sample')} left out"):
            st.dataframe(skipped)
    with st.expander("How this run was made"):
        detection = manifest["detection"]
        if detection is not None:
            label_score, lsi = detection["label_score"], detection["lsi"]
            count, share = f"{detection['n_corrupted']:,}", f"{detection['noise_rate']:.1%}"
            said = f"{count} labels or images are known to be corrupted ({share}). Found"
            if not is_corrupted(manifest["settings"]["noise"]):
                said = f"This labelling differs from the data's own for {count} {view.noun} ({share}). These are found"
            st.markdown(
                f"{said} with AUROC **{label_score['auroc']:.3f}** by the score of their label and "
                f"**{lsi['auroc']:.3f}** by LSI."
            )
        probe, structure = manifest["probe"], manifest["leave_one_out"]["structure"]
        features = manifest["features"]
        end = f"noise variance {probe.get('noise_variance', 0):.3g}; everything in closed form."
        if view.labelled:
            end = f"converged to {probe['newton_decrement']:.0e} posterior standard deviations."
        st.markdown(
            f"Task: {view.run.task}. Features: {plain(features['backbone'])}, {features['n_features']} numbers "
            f"each. Probe: {probe['n_params']:,} weights, prior precision {probe['prior_precision']:.4g}, {end} "
            f"Posterior: {structure}."
        )
        for note in features.get("notes", []):
            st.caption(plain(f"{note}."))
        if judged := how_judged(manifest):
            st.caption(judged)
        st.code(json.dumps(manifest["settings"], indent=2), language=None)


def _link(page: str, text: str, chosen: Filter) -> None:
    if pressed(text, f"link-{page}-{text}", type="tertiary", icon=":material/arrow_forward:"):
        go(page, chosen)
