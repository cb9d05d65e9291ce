"""The commands that write what leaves: export, apply, decisions, report."""

from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pandas as pd

from lsi.cli import commands
from lsi.cli.noting import can_be_written, has_database, note
from lsi.cli.output import print_json
from lsi.cli.warnings_of_exports import say, warn, warn_of_lost, warn_of_unknown
from lsi.compute import maps, queries
from lsi.compute.uncomputed import data_as_run
from lsi.config import EMBEDDED
from lsi.data.plan import counted
from lsi.environment import read_only
from lsi.errors import UsageError
from lsi.export import (
    Selection,
    Tool,
    excluded_before,
    export,
    note_images,
    refuse_changed,
    refuse_links,
    refuse_overwriting,
    refuse_tool,
    run_behind,
    select,
    selection_from_records,
    selection_of,
    totals,
    write_decisions,
    write_for,
    write_images,
)
from lsi.export.lists import NAMES
from lsi.export.untouched import check_folder, refuse_sources
from lsi.files import atomic, read_json, refuse_folder
from lsi.runs.listing import cache_of, find_run, list_runs, run_about
from lsi.runs.records import (
    as_decisions,
    decision_records,
    leaves_said,
    left_by_rule,
    records_of,
    records_to_add,
    remark_records,
    remarks_in,
)
from lsi.runs.run import Run

if TYPE_CHECKING:
    from lsi.runs.decisions import Reviews


def export_selection(command: commands.Export) -> None:
    """Export what rules or decisions come to.

    Raises:
        UsageError: rules and decisions are asked for at once, or images of samples without any.
    """
    run = _as_it_stands(command.cache, find_run(command.cache, command.run))
    records = None
    if command.decisions:
        kept = command.keep_top is not None or command.keep_share is not None
        if command.drop_issues or command.keep_one or command.drop_leaks or kept:
            raise UsageError(
                "--decisions exports what people decided; leave --drop-issues, --keep-one, --drop-leaks, --keep-top "
                "and --keep-share out."
            )
        decisions = _decisions(command.cache, run)
        chosen, records = selection_of(run, decisions), decision_records(run.subject, decisions)
        if not records:
            say("no decision about these samples is in force: all of them are exported as they are")
    else:
        chosen = select(
            run,
            drop_issues=command.drop_issues,
            keep_top=command.keep_top,
            keep_share=command.keep_share,
            keep_one=command.keep_one,
            drop_leaks=command.drop_leaks,
        )
    _write(command, run, chosen, records, _remarks(command.cache, run))


def apply_decisions(command: commands.Apply) -> None:
    """Export what a file of decisions comes to.

    Raises:
        DataError: it is no file of decisions, or they belong to other data.
    """
    content = as_decisions(_read(command.file))
    records, said = records_of(content), remarks_in(content)
    if command.run and command.is_data_named:
        raise UsageError("Give --run or the data, not both.")
    run = find_run(command.cache, command.run) if command.run else None
    data = command.data
    if run is None and not command.is_data_named:
        run = _run_of(command.cache, content)
    if run is None and not command.is_dataset_named:
        data = replace(data, dataset=str(content.get("dataset") or data.dataset))
    if run is not None:
        chosen = selection_from_records(run, records)
        warn_of_lost(run, records)
        _write(command, _without_other_decisions(run, records), chosen, records, said)
        return
    made_on = content.get("run") if isinstance(content.get("run"), str) else None
    with TemporaryDirectory() as place:
        run = data_as_run(data, command.cache, Path(place) / "data", decided_on=made_on)
        chosen = selection_from_records(run, records)
        warn_of_lost(run, records)
        _write(command, run, chosen, records, said)


def _read(file: Path) -> Any:
    """Return what a file of decisions holds.

    Raises:
        UsageError: there is no such file, or it holds no JSON.
    """
    if not file.is_file():
        raise UsageError(f"No such file: {file}.")
    content = read_json(file)
    if content is None:
        raise UsageError(f"{file} holds no JSON: expected the decisions.json of an export.")
    return content


def _run_of(cache: Path, content: Any) -> Run | None:
    """Return the run that decisions were made on, or else the newest one on the same data as they are.

    Raises:
        UsageError: there is none, and the data are not those that come with the package.
    """
    runs = list_runs(cache)
    named = [run for run in runs if run.name == content.get("run")]
    alike = [run for run in runs if run.manifest["dataset"]["name"] == content.get("dataset")]
    untouched = [run for run in alike if not run.decided_before]  # others bring decisions that the file does not
    if named or untouched:
        return (named or untouched)[0]
    if content.get("dataset") in EMBEDDED:
        return None
    but = " but such as started from other decisions" if alike else ""
    raise UsageError(
        f"{cache} holds no run on {content.get('dataset') or content.get('run')}{but}: name the data with --data, as "
        "they were named when the run was computed."
    )


def move_decisions(command: commands.Decisions) -> None:
    """Read decisions into the database, or write those in force.

    Raises:
        DataError: it is no file of decisions.
    """
    from lsi.runs.decisions import Reviews
    from lsi.runs.remarks import add_rows, remarks_elsewhere, rows_of

    if command.action == "export":
        run = _as_it_stands(command.cache, find_run(command.cache, command.run or "latest"))
        reviews = _reviews(cache_of(command.cache, str(run.folder)))
        records = decision_records(run.subject, reviews.current(run.subject))
        others = reviews.elsewhere(run.subject) if command.all else []
        refuse_folder(command.file)
        refuse_sources(run, [command.file])
        note(command.cache, "exported", run.name, file=str(command.file))
        said = _remarks(command.cache, run) + (remarks_elsewhere(reviews, run.subject) if command.all else [])
        written = write_decisions(command.file, run, records + others, said)
        beside = f" and {counted(len(said), 'remark')}" if said else ""
        facts = {"decisions": written, "remarks": len(said)}
        words = f"{counted(written, 'decision')}{beside} written to {command.file}"
    else:
        content = _read(command.file)
        run = find_run(command.cache, command.run) if command.run else run_about(command.cache, content)
        dataset, records = records_to_add(content, None if run is None else run.subject)
        warn_of_unknown(run, dataset)
        said = rows_of(remarks_in(content))
        note(command.cache, "read decisions in", dataset, decisions=len(records), file=command.file.name)
        reviews = Reviews.of_cache(command.cache)
        came, heard = reviews.add(dataset, records), add_rows(reviews, dataset, said)
        facts = {"dataset": dataset, **asdict(came), "remarks": heard}
        beside = f"; {counted(heard, 'remark')} added" if said else ""
        words = (
            f"{counted(came.added, 'decision')} about {dataset} added; {came.known:,} were here already, "
            f"{came.older:,} are older than what was decided here{beside}.{left_by_rule(content)}"
        )
    print_json(facts | {"file": str(command.file)}) if command.json else print(words)


def _write(command: commands.Export | commands.Apply, run: Run, chosen: Selection, records: Any, said: Any) -> None:
    tools = command.tools if isinstance(command, commands.Export) else ()
    _refuse(command, run, chosen, tools)
    counts, what = totals(run, chosen), run.name if run.has_scores else run.subject.dataset
    note(command.cache, "exported", what, folder=str(command.output), images=list(command.images), **counts)
    for name in ("images", "huggingface") if not command.images else ():
        if (command.output / name).is_dir():
            say(f"{command.output / name} is of an earlier export and stays as it is")
    written = export(run, chosen, command.output, command.formats, records, said)
    warn(run, chosen, command.cache)
    pictures = [write_images(run, chosen, command.output, how) for how in command.images]
    for name in note_images(run, command.output, command.images):
        say(f"{command.output / name} is of an earlier export and stays as it is")
    written += pictures
    if isinstance(command, commands.Export):
        for tool in tools:
            written += write_for(run, chosen, command.output, tool, command.image_root, said)
    if command.json:
        print_json({"run": run_behind(run), "kept": counts["n_kept"], "removed": counts["n_removed"],
                    "files": [str(p) for p in written]})  # fmt: skip
        return
    print(f"{what}: {counts['n_kept']} kept, {counts['n_removed']} removed, {counts['n_relabelled']} relabelled")
    print("\n".join(str(p) for p in written))


def _refuse(command: commands.Export | commands.Apply, run: Run, chosen: Selection, tools: tuple[Tool, ...]) -> None:
    """Raise before anything is written where not all of it can be."""
    refuse_sources(run, [command.output / name for name in NAMES])
    if len({"copy", "link"} & {*command.images}) > 1 or len({*command.images}) < len(command.images):
        raise UsageError("Write images by copy or by link, not both, and in each form once.")
    if command.images and run.images is None:
        raise UsageError("These samples have no images: leave --images out.")
    if command.images and run.images is not None:
        refuse_changed(run.images, chosen.kept)
        for how in command.images:
            refuse_overwriting(run, command.output, how)
        if "link" in command.images:
            refuse_links(run.images, chosen.kept)
    check_folder(run, command.output, NAMES)
    for tool in tools:
        refuse_tool(run, tool)


def write_report(command: commands.Report) -> None:
    """Write the report of a run, or its site with the report in it.

    Raises:
        UsageError: both are named, or the folder of the site holds something else.
    """
    if command.static is not None and command.output is not None:
        raise UsageError("Give --output for a report of one file or --static for a folder, not both.")
    run = find_run(command.cache, command.run)
    path = command.output or Path(f"{run.name}.html")
    refuse_folder(path)
    refuse_sources(run, [path])
    decisions, positions = _decisions(command.cache, run), maps.cached_projection(run, command.cache)
    say(f"report of {run.name}")
    if command.static is not None:
        from lsi.export.web.site import check_site_folder, write_site

        check_site_folder(command.static)
        path = command.static / "report.html"
        if positions is None:
            say(f"no map: `lsi project {run.name}` makes one")
    note(command.cache, "exported a report", run.name, file=str(command.static or path))
    html = queries.report_of_run(run, positions, decisions, _as_it_stands(command.cache, run))
    if command.static is not None:
        said = _remarks(command.cache, run)
        first = write_site(run, command.static, positions=positions, decisions=decisions, remarks=said)
    with atomic(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    shown = path if command.static is None else first
    print_json({"run": run.name, "file": str(shown)}) if command.json else print(shown)


def _decisions(cache: Path, run: Run) -> pd.DataFrame:
    """Return the decisions in force, and say on standard error how many name a class that the run does not have."""
    reviews = _reviews(cache_of(cache, str(run.folder)))
    foreign = reviews.n_foreign(run.subject)
    if foreign:
        say(
            f"{counted(foreign, 'decision')} left out: they name a class that {run.name} does not have, or are about "
            "another column of labels"
        )
    return reviews.current(run.subject)


def _without_other_decisions(run: Run, records: list[dict[str, Any]]) -> Run:
    """Return the run as if a file had said what it started from, and say what the file wants back.

    Args:
        run: the run.
        records: of the file.
    """
    said: dict[tuple[Any, Any], dict[str, Any]] = {}
    for record in records:  # a keep that says nothing of the label takes no place of what does
        sample = record.get("id"), record.get("content")
        said[sample] = said[sample] if sample in said and leaves_said(record, said[sample]) else record
    still, wanted = [], 0
    for record in run.decided_before:
        now = said.get((record["id"], record["content"]))
        left, leaves = record["action"] == "exclude", now is not None and now["action"] == "exclude"
        wanted += left and not leaves
        still += [] if now is None or left != leaves else [record if left else now]
    if wanted:
        say(f"{run.name} holds {counted(wanted, 'sample')} no longer that the file does not leave out: name the data "
            "with --data to have them")  # fmt: skip
    return run.with_decided_before(still)


def _as_it_stands(cache: Path, run: Run) -> Run:
    """Return the run with those of the decisions it started from that still stand, and say how many samples return."""
    if not run.decided_before or not has_database(cache := cache_of(cache, str(run.folder))):
        return run
    now = _reviews(cache).as_it_stands(run)
    gone = excluded_before(run) - excluded_before(now)
    if gone:
        say(f"{counted(gone, 'exclusion')} that {run.name} started from {'was' if gone == 1 else 'were'} taken back "
            "since: compute again, so that what was left out returns")  # fmt: skip
    return now


def _reviews(cache: Path) -> "Reviews":
    from lsi.runs.decisions import Reviews  # SQLAlchemy takes half a second to import, and few commands need it

    return Reviews.of_cache(cache, read_only=read_only() or not (has_database(cache) and can_be_written(cache)))


def _remarks(cache: Path, run: Run) -> list[dict[str, Any]]:
    if not has_database(cache := cache_of(cache, str(run.folder))):
        return []
    from lsi.runs.decisions import Reviews
    from lsi.runs.remarks import remarks

    return remark_records(run.subject, remarks(Reviews.of_cache(cache, read_only=True), run.subject))
