"""The headline figures of a run, each a way into the samples behind it."""

import json

import numpy as np
import streamlit as st

from lsi.export.wording import high_means
from lsi.ui.detail import picture
from lsi.ui.filters import Filter
from lsi.ui.flags import FLAGS
from lsi.ui.session import View, plain
from lsi.ui.sidebar import go
from lsi.ui.wording import counted


def headline(view: View) -> None:
    """Show the figures with a link each."""
    summary = view.run.manifest["summary"]
    n = summary["n_samples"]
    columns = st.columns(4)
    with columns[0]:
        st.metric(view.noun.capitalize(), f"{n:,}", help="In this run.", border=True)
        _link("samples", "Browse by information", Filter())
    with columns[1]:
        _suspects(view, summary["n_label_issues"])
    with columns[2]:
        st.metric("Held by the top tenth", f"{summary['share_of_top_tenth']:.0%}", border=True,
                  help=f"Share of the summed LSI that a tenth of the {view.noun} holds.")  # fmt: skip
        _link("samples", "See that tenth", Filter(low=0.9))
    with columns[3]:
        st.metric("Near duplicates", f"{summary['n_near_duplicates']:,}", border=True,
                  help=f"{view.noun.capitalize()} closer to another one than neighbours usually are.")  # fmt: skip
        _link("redundancy", "Compare them", Filter(duplicates=True))
    _beside(view)


def _beside(view: View) -> None:
    """Show what else there is to look at: flagged images, and samples without a label."""
    flagged = {FLAGS[flag].words: int(view.run.scores[flag].sum()) for flag in view.flags}
    words = ", ".join(f"{count:,} {word}" for word, count in flagged.items() if count)
    with st.container(horizontal=True):
        if words:
            _link("redundancy", f"Image quality: {words}", Filter())
        if len(view.run.unlabelled):
            _link("samples", f"{counted(len(view.run.unlabelled), view.one)} without a label", Filter())


def _suspects(view: View, count: int) -> None:
    if view.run.task == "self":
        st.metric("Explained by another view", f"{view.run.manifest['targets']['loo_r2']:.0%}", border=True,
                  help="Share of the variance of one view's features that another view predicts, without "
                  "having seen it.")  # fmt: skip
        _link("samples", "Most unlike the rest", Filter(low=0.98))
        return
    what = "labels" if view.labelled else "targets"
    st.metric(f"Suspected {what}", f"{count:,}", border=True,
              help=f"These {what} are improbable for a probe that has not seen them.")  # fmt: skip
    _link("issues", "Review them", Filter(issues=True))


def extremes(view: View, count: int = 6) -> None:
    """Show the samples with the most and the least information."""
    order = np.argsort(-view.table["lsi"].to_numpy(), kind="stable")
    for title, rows in (
        (f"Most information: {high_means(view.run.task)}", order[:count]),
        ("Least information: typical or redundant", order[::-1][:count]),
    ):
        st.subheader(title, anchor=False)
        with st.container(horizontal=True):
            for position in rows:
                row = view.table.iloc[int(position)]
                with st.container(width=120):
                    picture(view, int(position), 112)
                    arrow = "" if row["given"] == row["predicted"] else f" → {plain(row['predicted'])}"
                    st.markdown(f"{plain(row['given'])}{arrow}  \n{row['lsi']:.3g} nats")


def details(view: View) -> None:
    """Show how the run was made, and what its noise experiment says."""
    manifest = view.run.manifest
    detection = manifest["detection"]
    if detection is not None:
        label_score, lsi = detection["label_score"], detection["lsi"]
        count, share = f"{detection['n_corrupted']:,}", f"{detection['noise_rate']:.1%}"
        noise = manifest["settings"]["noise"]
        planted = noise["corrupt_label"] or noise["corrupt_data"] or noise["human_label_noise"]
        said = f"{count} labels or images are known to be corrupted ({share}). Found"
        if not planted:
            said = f"This labelling differs from the data's own for {count} {view.noun} ({share}). These are found"
        st.markdown(
            f"{said} with AUROC **{label_score['auroc']:.3f}** by the score of their label and "
            f"**{lsi['auroc']:.3f}** by LSI."
        )
    lines = view.run.plan_lines
    if lines:
        with st.expander("How the data were read"):
            st.markdown("\n".join(f"- {plain(line)}" for line in lines))
    skipped = manifest["dataset"]["skipped"]
    if skipped:
        with st.expander(f"{counted(len(skipped), 'sample')} left out"):
            st.dataframe(skipped)
    with st.expander("How this run was made"):
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
        st.code(json.dumps(manifest["settings"], indent=2), language=None)


def _link(page: str, text: str, chosen: Filter) -> None:
    if st.button(text, key=f"link-{page}-{text}", type="tertiary", icon=":material/arrow_forward:"):
        go(page, chosen)
