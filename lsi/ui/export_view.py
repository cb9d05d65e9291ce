"""What the decisions come to, whether they help, and the files."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from lsi.compute import jobs
from lsi.config import DATABASE, OF_CLASSES, ScoreSettings, Settings
from lsi.data.plan import counted
from lsi.errors import LsiError
from lsi.export import (
    ImageFormat,
    Selection,
    check_selection,
    excluded_before,
    export,
    final_labels,
    n_without_class,
    note_images,
    planted_labels,
    selection_of,
    totals,
    write_decisions,
    write_images,
)
from lsi.export.tables import plan_of
from lsi.hashing import fingerprint, key
from lsi.references import check_backbone_is_no_code
from lsi.runs.moved import moved_and_relabelled, relabelled_words
from lsi.runs.records import decision_records, exclusion_records, remark_records
from lsi.runs.run import Run
from lsi.ui import downloads
from lsi.ui.awaited import await_job
from lsi.ui.buttons import pressed
from lsi.ui.deciding import decisions, note, remarks_on, reviewer, reviews
from lsi.ui.login import looks_only
from lsi.ui.session import View, cache, open_view
from lsi.ui.wording import plain

if TYPE_CHECKING:
    from lsi.audit.curation import CurationCheck

CHECKED_AT_ONCE = 50_000  # samples whose rows in the source are looked at while the page is drawn
_ONLY_FILTERED = "only_filtered"
IMAGES: dict[str, ImageFormat | None] = {
    "None": None,
    "One folder per class": "copy",
    "Hugging Face Parquet": "huggingface",
}


def counts(view: View, positions: np.ndarray) -> Selection:
    """Show how many samples stay, go and change their label; return them."""
    selection = selection_of(view.run, decisions(view))
    if len(positions) < len(view.table) and st.toggle(
        f"Only the {counted(len(positions), view.one)} that the filter leaves", key=_ONLY_FILTERED
    ):
        selection = selection.within(positions)
    run = reviews().as_it_stands(view.run)
    returned = excluded_before(view.run) - excluded_before(run)
    if returned:
        st.warning(
            f"{counted(returned, 'exclusion')} that this run started from {'was' if returned == 1 else 'were'} taken "
            "back since. Compute again, so that what was left out returns."
        )
    lost = n_without_class(run, selection)
    if lost:
        st.warning(
            f"{counted(lost, 'new label')} that this run started from {'stays' if lost == 1 else 'stay'} though no "
            "decision says it any more: the run lacks the class that the data give. Compute again, so that it returns."
        )
    came = totals(run, selection)
    names = {"Kept": "n_kept", "Excluded": "n_removed"} | ({"Relabelled": "n_relabelled"} if view.labelled else {})
    for column, (name, part) in zip(st.columns(3), names.items(), strict=False):
        column.metric(name, f"{came[part]:,}", border=True)
    if not came["n_removed"] and not came["n_relabelled"]:
        done = "excluded or relabelled" if view.labelled else "excluded"
        st.info(f"Nothing is {done} yet: decide on the other pages, or export everything as it is.")
    if "split" in view.table.columns and view.table["split"].str.contains("test", case=False).any():
        st.warning("This run holds a test split. A cleaned test split measures something else than the original one.")
    planted = planted_labels(run, selection)
    if planted:
        st.warning(
            f"{counted(planted, 'label')} of what is kept {'was' if planted == 1 else 'were'} flipped on purpose when "
            "this run was computed, and the files hold the flipped ones."
        )
    return selection


def check(view: View, selection: Selection) -> None:
    """Offer the check of the curated set, and show what it says."""
    if not view.labelled:
        return
    st.subheader("Does it help?", anchor=False)
    st.write(
        f"A probe is retrained on the curated set, on the original, and on as many {view.noun} removed at random, five "
        f"times, each time tested on 30 % of the {view.noun} that it has not seen and whose labels stay as they are."
    )
    run = reviews().as_it_stands(view.run)
    changed = len(selection.removed) or (final_labels(run, selection) != run.scores["given_label"]).any()
    if pressed("Check", "check-button", icon=":material/science:", disabled=not changed):
        try:
            st.session_state["check"] = (_mark(run, selection), _check(run, selection))
        except LsiError as error:
            st.error(plain(error))
    mark, found = st.session_state.get("check", (None, None))
    if found is not None and mark == _mark(run, selection):
        st.success(found.sentence) if found.low > 0 else st.info(found.sentence)


def recompute(view: View) -> None:
    """Offer to compute the run again from the decisions, so that what they changed can be seen."""
    if looks_only():
        return
    st.subheader("Look again", anchor=False)
    st.write(
        f"Compute again from these decisions: what is excluded leaves{_what_counts(view)}. The new run stands beside "
        f"this one, and Runs compares them. {view.noun.capitalize()} that are known are not embedded again."
    )
    changed = len(decisions(view)) > 0 or bool(view.run.decided_before)  # of which some may have been taken back
    if view.run.asked("noise").get("corrupt_data"):
        st.caption(f"Not where noise was added to {view.noun} on purpose: what stays would get other noise.")
        return
    if pressed("Recompute with my decisions", "recompute", icon=":material/restart_alt:", disabled=not changed):
        try:
            check_backbone_is_no_code(view.run.settings.resolved().features.backbone)
            note(reviewer(), "started", view.run.subject_name, decisions_of=view.run.name)
            settings = replace(_settings_taken(view.run), decisions=_what_is_decided(view))
            of_database = settings.decisions == DATABASE  # a file is another one where something else is decided
            decided = "-".join(map(str, reviews().version(view.run.subject))) if of_database else ""
            await_job(jobs.start(settings, cache(), decided=decided))
        except LsiError as error:
            st.error(plain(error))
            return
        st.switch_page(st.session_state["pages"]["overview"])
    if not changed:
        st.caption("Nothing is decided on these samples yet.")


def _settings_taken(run: Run) -> Settings:
    """Return the settings of a run without those that did nothing where it has no class labels, and are refused now."""
    if run.task == "classification":
        return run.settings
    usual = {name: getattr(ScoreSettings(), name) for name in OF_CLASSES}
    return replace(run.settings, score=replace(run.settings.score, **usual))


def _what_counts(view: View) -> str:
    if view.run.task == "self":
        return ""
    return f"{', new labels count,' if view.labelled else ''} and what was confirmed is not suspected again"


def _what_is_decided(view: View) -> str | None:
    """Return where the next run finds what is decided: the database, or a file with what this run's own file said.

    None where all that this run started from was taken back.
    """
    run = reviews().as_it_stands(view.run)
    records = decision_records(run.subject, decisions(view))
    if not records and not run.decided_before:
        return None
    if (view.run.manifest.get("decided") or {}).get("source") != "file":
        return DATABASE
    path = cache() / jobs.UPLOADS / f"decisions-{key(run=run.name, before=run.decided_before, now=records)}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_decisions(path, run, records)
    return str(path)


def download(view: View, selection: Selection, positions: np.ndarray) -> None:
    """Offer everything as one archive, with the images where they are asked for, and the report.

    Args:
        view: the run.
        selection: what the decisions and the filter come to while the page is drawn.
        positions: rows that the filter leaves.
    """
    st.subheader("Files", anchor=False)
    came = totals(reviews().as_it_stands(view.run), selection)
    new = f" with {counted(came['n_relabelled'], 'new label')}" if view.labelled else ""
    st.write(
        f"Index lists of {came['n_kept']:,} kept and {came['n_removed']:,} removed {view.noun} (txt, csv, "
        f"json, npy, parquet), the cleaned table{new} (csv, parquet), a table "
        "of all with what was decided (`audit.csv`; `spreadsheet.csv` is the one to open in Excel), cleanlab's "
        "columns, a checked subset for PyTorch and pandas (`subset.py`), the decisions and the manifest."
    )
    moved, relabelled = _moved(view.run.name) if _is_quickly_read(view) else (0, 0)
    if moved:
        st.warning(
            f"{moved:,} of {len(view.table):,} {view.noun} are no longer at the row of the source where they were when "
            "this run was computed. The index lists speak of the source as it was: compute again to have them right."
        )
    if relabelled:
        st.warning(f"{relabelled_words(relabelled)}. Compute again to have those of the data.")
    how = None
    if view.has_images:
        how = st.segmented_control("Kept images" + (", under their new labels" if view.labelled else ""), list(IMAGES),
                                   default="None", key="images", required=True,
                                   format_func=lambda name: name.removesuffix("" if view.labelled else " per class"),
                                   help="For links: `--images link` in a terminal.")  # fmt: skip
    files = f"{view.run.name}.zip", f"{view.run.name}.html"
    name, within = reviewer(), positions if st.session_state.get(_ONLY_FILTERED) else None
    with st.container(horizontal=True):
        downloads.offer("Download", lambda: _archive(view, name, within, IMAGES.get(str(how))),
                        files[0], "application/zip", fingerprint(str(how), selection.removed),
                        icon=":material/download:")  # fmt: skip
        downloads.offer("Report", lambda: _report(view, name), files[1], "text/html", icon=":material/description:",
                        help="One HTML file that opens offline, for whoever is to see the result: figures, "
                        f"{view.noun}, suspects, classes, the check.")  # fmt: skip
    downloads.say_why_none(*files)
    if len(selection.removed) > len(selection_of(view.run, decisions(view)).removed):
        st.write("The same in a terminal: the decisions.json of this download holds what the filter leaves out.")
        st.code("python -m lsi apply decisions.json --output cleaned", language=None)
        return
    st.write("The same in a terminal; `apply` needs no database, only the decisions.json of an export:")
    st.code(
        f"python -m lsi export {view.run.name} --decisions --output cleaned\n"
        "python -m lsi apply cleaned/decisions.json --output again",
        language=None,
    )


@st.cache_data(ttl=60, max_entries=32, show_spinner=False)
def _moved(name: str) -> tuple[int, int]:
    """Return how many of a run's samples are no longer at their row of the source, and how many have another label."""
    view = open_view(name)
    return (0, 0) if view is None else moved_and_relabelled(view.run, None)


def _is_quickly_read(view: View) -> bool:
    """Say whether the source of a run is small enough, and near enough, to be looked at while the page is drawn."""
    data = view.run.asked("data")
    length = max(len(view.table), plan_of(view.run).get("source_length") or 0)
    return length <= CHECKED_AT_ONCE and data.get("subset") is None and "://" not in str(data.get("data"))


def _archive(view: View, name: str, within: np.ndarray | None, how: ImageFormat | None) -> bytes:
    """Return the archive of the decisions that are in force at the click: all of its files are of that one state.

    Args:
        view: the run.
        name: of who takes it.
        within: rows of its table outside which everything leaves; None for all.
        how: the form of the images, None for none.
    """
    decided, about, run = decisions(view), view.run.subject, reviews().as_it_stands(view.run)
    selection = in_force = selection_of(run, decided)
    if within is not None:
        selection = in_force.within(within)
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "files"
        hidden = np.setdiff1d(selection.removed, in_force.removed)
        records = decision_records(about, decided) + exclusion_records(about, hidden, "filter")
        export(run, selection, folder, decisions=records, remarks=remark_records(about, remarks_on(view)))
        if how is not None and view.has_images:
            write_images(run, selection, folder, how)
            note_images(run, folder, [how])
        note(name, "exported", run.name, images=how or "none", **totals(run, selection))
        path = shutil.make_archive(str(Path(root) / "archive"), "zip", folder)
        return Path(path).read_bytes()


def _report(view: View, name: str) -> bytes:
    decided, standing = decisions(view), reviews().as_it_stands(view.run)
    from lsi.compute import queries  # brings torch, which looking at a run does without

    report = queries.report_of_run(view.run, view.projection(), decided, standing).encode()
    note(name, "exported a report", view.run.name)
    return report


def _mark(run: Run, selection: Selection) -> str:
    return fingerprint(run.name, selection.removed, final_labels(run, selection))


def _check(run: Run, selection: Selection) -> "CurationCheck":
    with st.spinner("Retraining …"):
        return check_selection(run, selection)
