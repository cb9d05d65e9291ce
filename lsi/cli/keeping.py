"""The commands that look after a cache: its runs, what it holds, and who did what."""

import json
from dataclasses import fields

import pandas as pd

from lsi.cli import commands
from lsi.cli.noting import note
from lsi.cli.output import print_json, text_table
from lsi.compute.jobs import KIND as JOBS
from lsi.compute.jobs import UPLOADS, Job
from lsi.errors import UsageError
from lsi.export.tables import write_spreadsheet
from lsi.files import refuse_folder
from lsi.runs.layout import KIND
from lsi.runs.listing import check_deletable, delete_run, find_run, list_runs, used_by_runs
from lsi.runs.store import Store
from lsi.runs.titles import check_title, features_of, rename


def runs(command: commands.Runs) -> None:
    """List, rename or delete runs.

    Raises:
        UsageError: words are left over or missing, or the run or its new title are none.
    """
    if command.action == "list" and command.run:
        raise UsageError("`runs list` lists all of them: name no run.")
    if command.action == "delete" and command.title:
        raise UsageError("Name one run to delete: each is deleted by a command of its own.")
    if command.action == "list":
        _list_runs(command)
        return
    if not command.run:
        raise UsageError(f"Name the run to {command.action}.")
    run = find_run(command.cache, command.run)
    if command.action == "rename":
        check_title(run, command.title)
        note(command.cache, "renamed", run.name, title=command.title)
        rename(run, command.title)
    else:
        check_deletable(run)
        note(command.cache, "deleted", run.name, title=run.title, dataset=run.subject_name)
        delete_run(run)
    print_json({"run": run.name, "action": command.action}) if command.json else print(run.name)


def _list_runs(command: commands.Runs) -> None:
    found = list_runs(command.cache)
    facts = [
        {
            "run": r.name,
            "title": r.title,
            "created": r.manifest["created"],
            "samples": r.manifest["dataset"]["n_samples"],
            "backbone": r.manifest["features"]["backbone"],
            "suspected": r.manifest["summary"]["n_label_issues"],
            "parent": r.parent or "",
        }
        for r in found
    ]
    if command.json:
        print_json(facts)
    else:
        for row, run in zip(facts, found, strict=True):
            row["backbone"] = features_of(run)
        print(text_table(pd.DataFrame(facts)) if facts else "no runs yet: start one with `python -m lsi compute`")


def cache(command: commands.Cache) -> None:
    """List what the cache holds, say how large it is, or clear it.

    Raises:
        UsageError: kinds are named, and nothing is to be cleared.
    """
    store = Store(command.cache)
    if command.action == "clear":
        _clear(command, store)
        return
    if command.kinds != next(f.default for f in fields(command) if f.name == "kinds"):
        raise UsageError("--kinds says what to clear: leave it out of list and size, which are about all of it.")
    sizes = store.sizes()
    if command.action == "size":
        total = sum(size for _, size in sizes.values())
        print(json.dumps({"bytes": total}) if command.json else f"{total / 2**20:.1f} MiB in {command.cache}")
        return
    rows = [{"kind": kind, "entries": n, "MiB": round(size / 2**20, 1)} for kind, (n, size) in sizes.items()]
    if command.json:
        print_json(rows)
    else:
        print(text_table(pd.DataFrame(rows)) if rows else f"nothing in {command.cache} yet")


def _clear(command: commands.Cache, store: Store) -> None:
    note(command.cache, "cleared", ", ".join(command.kinds))
    kept = _of_running_jobs(store)
    freed = store.clear((KIND,)) if KIND in command.kinds else 0  # first: what they alone refer to goes with them
    others = tuple(kind for kind in command.kinds if kind != KIND)
    freed += store.clear(others, used_by_runs(command.cache) | kept)
    print(json.dumps({"freed": freed}) if command.json else f"{freed / 2**20:.1f} MiB freed")


def _of_running_jobs(store: Store) -> frozenset[tuple[str, str]]:
    """Return the entries of running jobs, as kind and name, and of the uploads that these are computed from."""
    running = [job for job in map(Job, (store.root / JOBS).glob("*")) if isinstance(job.facts, dict) and job.alive]
    asked = json.dumps([job.facts for job in running])
    uploads = {path.name for path in (store.root / UPLOADS).glob("*") if path.name in asked}
    return frozenset({(JOBS, job.folder.name) for job in running} | {(UPLOADS, name) for name in uploads})


def show_trail(command: commands.Trail) -> None:
    """Print or write who did what in the app; the database is only read.

    Raises:
        UsageError: a folder is named where a file is to be written.
        StorageError: the database cannot be read.
    """
    from lsi.runs.decisions import Reviews
    from lsi.runs.trail import trail

    if command.output is not None:
        refuse_folder(command.output)
    last = None if command.output is not None or command.rows == 0 else command.rows
    rows = trail(Reviews.of_cache(command.cache, read_only=True), last)
    if command.output is not None:
        write_spreadsheet(command.output, rows)
        facts = {"entries": len(rows), "file": str(command.output)}
        print_json(facts) if command.json else print(f"{len(rows):,} written to {command.output}")
    elif command.json:
        print(rows.to_json(orient="records", date_format="iso"))
    else:
        print(text_table(rows) if len(rows) else "nothing was done in the app yet")
