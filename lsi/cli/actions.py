"""What each command does, and how its result is printed."""

import shutil
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
from tqdm import tqdm

from lsi.audit.label_issues import label_issues, most_suspect_first, self_confidence
from lsi.cli import commands, export_actions, keeping
from lsi.cli.ending import end_when_asked
from lsi.cli.following import ProgressFile
from lsi.cli.noting import can_be_written, note, refuse_if_read_only
from lsi.cli.output import print_json, text_table
from lsi.cli.printing import print_comparison, print_plan, print_run
from lsi.compute import maps, pipeline, queries
from lsi.data import Plan
from lsi.devices import as_device
from lsi.errors import UsageError
from lsi.export import issue_table
from lsi.export.untouched import refuse_foreign, refuse_sources
from lsi.files import read_json
from lsi.laplace.explanation import Explanation
from lsi.progress import Progress, Status
from lsi.runs.comparison import compare, plain_records
from lsi.runs.layout import DESIGN, FILES, MANIFEST
from lsi.runs.listing import cache_of, find_run
from lsi.runs.numbers import nats
from lsi.runs.run import Run


def perform(command: Any) -> None:
    """Run a parsed command, in the cache that the run which it names lies in, if that can be written where it must be.

    Raises:
        UsageError: it asks for less than no rows.
    """
    if getattr(command, "rows", 0) < 0:
        raise UsageError(f"Expected rows ≥ 0, got {command.rows}.")
    place = cache_of(command.cache, getattr(command, "run", None))
    if can_be_written(place) or not _only_reads(command):
        command = replace(command, cache=place)
    {
        commands.Compute: _compute,
        commands.Show: _show,
        commands.Issues: _issues,
        commands.Explain: _explain,
        commands.Project: _project,
        commands.Export: export_actions.export_selection,
        commands.Apply: export_actions.apply_decisions,
        commands.Decisions: export_actions.move_decisions,
        commands.Trail: keeping.show_trail,
        commands.Report: export_actions.write_report,
        commands.Compare: _compare,
        commands.Runs: keeping.runs,
        commands.Cache: keeping.cache,
    }[type(command)](command)


def _only_reads(command: Any) -> bool:
    """Say whether a command needs nothing but to read the cache of its run: a trace or a map may lie in another."""
    if isinstance(command, commands.Decisions):
        return command.action == "export"
    return isinstance(command, commands.Export | commands.Apply | commands.Report | commands.Project)


class _Bar:
    """A progress bar a stage, with images per second and the time left."""

    def __init__(self) -> None:
        self.bar: tqdm | None = None
        self.stage = ""

    def __call__(self, status: Status) -> None:
        if status.stage != self.stage:
            self.close()
            self.stage = status.stage
            if not status.unit and status.stage != "done":
                print(f"{status.stage} …", file=sys.stderr, flush=True)
        if status.unit and self.bar is None:
            self.bar = tqdm(total=status.total, initial=status.done, unit=f" {status.unit}", desc=status.stage)
        if self.bar is not None and status.unit:
            self.bar.update(status.done - self.bar.n)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def _announce(plan: Plan) -> None:
    """Print how the data are read where progress is printed."""
    print("\n".join(plan.lines()), file=sys.stderr, flush=True)


def _compute(command: commands.Compute) -> None:
    end_when_asked()
    settings = command.settings()
    if settings.where.engine == "local":
        as_device(settings.device)
    if command.progress is None:
        note(command.cache, "started", settings.data.named, settings=settings.to_dict())
    else:  # somebody follows who has noted it
        refuse_if_read_only()
    bar = _Bar()
    progress = Progress([] if command.quiet else [bar])
    file = None if command.progress is None else ProgressFile(command.progress)
    if file is not None:
        progress.listeners.append(file)
    try:
        run = pipeline.run(settings, command.cache, progress, None if command.quiet and file is not None else _announce)
        if file is not None:
            file.finish(run.name)
        if command.project:
            if file is not None:
                _step_back()
            maps.projection_of_run(run, command.cache, progress)
    finally:
        bar.close()
        if file is not None:
            file.close()
    if command.output is not None:
        _copy(run, command.output)
    if command.json:
        print_json(run.manifest | {"folder": str(run.folder)})
        return
    print_run(run, 10)
    print(f"\n{run.folder}")


def _step_back() -> None:
    """Leave the cores to the pages, which show the run by now and do without its map for a while."""
    with suppress(psutil.Error):
        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS if sys.platform == "win32" else 10)


def _copy(run: Run, output: Path) -> None:
    if output.exists() and not output.is_dir():
        raise UsageError(f"--output: expected a folder, got the file {output}.")
    refuse_sources(run, [output / name for name in run.files])
    refuse_foreign(output, run.files)
    output.mkdir(parents=True, exist_ok=True)
    earlier = read_json(output / MANIFEST)
    if isinstance(earlier, dict) and {"dataset", "settings"} <= earlier.keys() and "export" not in earlier:
        for name in set(FILES) - set(run.files):  # of a run that was copied here before
            (output / name).unlink(missing_ok=True)
        shutil.rmtree(output / DESIGN, ignore_errors=True)
    for name in run.files:
        shutil.copy2(run.folder / name, output / name)
    shutil.copytree(run.design_folder, output / DESIGN, dirs_exist_ok=True)  # so that the copy stands on its own


def _show(command: commands.Show) -> None:
    run = find_run(command.cache, command.run)
    if command.json:
        print_json(run.manifest)
    else:
        print_plan(run)
        print_run(run, command.rows)


def _issues(command: commands.Issues) -> None:
    run = find_run(command.cache, command.run)
    table = issue_table(run)
    if run.task != "classification":
        _print_issues(command, table, ["index", "id", *table.columns[4:]], "residual")
        return
    labels, probabilities = run.scores["given_label"].to_numpy(), run.label_probabilities
    confirmed = run.scores["is_confirmed"].to_numpy() if "is_confirmed" in run.scores.columns else None
    table["is_label_issue"] = label_issues(labels, probabilities, command.filter_by, confirmed)
    table["label_score"] = self_confidence(labels, probabilities)
    _print_issues(command, table, ["index", "id", "given_name", "predicted_name", "label_score"], command.filter_by)


def _print_issues(command: commands.Issues, table: pd.DataFrame, columns: list[str], rule: str) -> None:
    suspects = table[table["is_label_issue"]]
    suspects = suspects.iloc[most_suspect_first(suspects)]
    suspects = suspects if command.rows == 0 else suspects.head(command.rows)
    if command.json:
        print_json(plain_records(suspects))
        return
    print(f"{int(table['is_label_issue'].sum())} of {len(table)} labels suspected by {rule}")
    print(text_table(suspects[columns]))


def _explain(command: commands.Explain) -> None:
    run = find_run(command.cache, command.run)
    rows = np.flatnonzero(run.scores["index"].to_numpy() == command.index)
    if not len(rows):
        raise UsageError(f"{run.name} holds no sample {command.index}: see the index column of `show`.")
    if run.task != "classification":
        _explain_target(command, run, int(rows[0]))
        return
    explanation, names = queries.explain_sample(run, int(rows[0])), run.class_names
    given, other = names[explanation.given_label], names[explanation.other_label]
    suggested = names[int(run.scores["suggested_label"][rows[0]])]
    table = _influence_table(run, explanation, command.rows)
    if command.json:
        labels = {names[c]: float(v) for c, v in enumerate(explanation.label_lsi)}
        print_json({"index": command.index, "given": given, "other": other, "suggested": suggested,
                    "label_lsi": labels, "speakers": _influence_records(table)})  # fmt: skip
        return
    print(
        f"sample {command.index}: labelled {given}, leave-one-out probability {run.scores['loo_p_given'][rows[0]]:.3f}"
    )
    print(f"\nmost influential training samples, by the log-odds of {given} against {other} that each adds")
    print(text_table(table[["side", "index", "id", "given", "support", "is_label_issue"]]))
    print("\ninformation the sample would hold under each label, in nats, the least first")
    order = np.argsort(explanation.label_lsi)[:5]
    print(text_table(pd.DataFrame({"label": [names[c] for c in order], "lsi": explanation.label_lsi[order]})))


def _influence_table(run: Run, explanation: Explanation, count: int) -> pd.DataFrame:
    """Return the samples that support a label and those that contradict it, the strongest of each side first."""
    sides = dict(zip(("supports", "contradicts"), explanation.proponents_and_opponents(count), strict=True))
    parts = []
    for side, positions in sides.items():
        part = run.scores.loc[positions, ["index", "id", "given_label", "is_label_issue"]].copy()
        part["support"] = explanation.support[positions]
        part.insert(0, "side", side)
        parts.append(part)
    table = pd.concat(parts)
    table["given"] = [run.class_names[c] for c in table["given_label"]]
    return table.drop(columns="given_label")


def _influence_records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the same under the names that programs have read since the first version: who speaks for or against."""
    words = {"supports": "for", "contradicts": "against"}
    renamed = table.rename(columns={"side": "speaks"}).replace({"speaks": words})
    return plain_records(renamed)


def _explain_target(command: commands.Explain, run: Run, position: int) -> None:
    refit = queries.refit_of_run(run)
    assert isinstance(refit, queries.RegressionFit)
    influence = queries.influence_on_target(refit.head, position, command.rows)
    chosen = np.concatenate([influence.proponents, influence.opponents])
    table = run.scores.iloc[chosen][["index", "id", "lsi"]].copy()
    table.insert(0, "pulls", ["to the target"] * len(influence.proponents) + ["away"] * len(influence.opponents))
    table["support"] = influence.support[chosen]
    if command.json:
        speakers = plain_records(table.rename(columns={"pulls": "draws"}))
        print_json({"index": command.index, "speakers": speakers})
        return
    row = run.scores.iloc[position]
    print(
        f"sample {command.index}: LSI {nats(float(row['lsi']))} nats, "
        f"standardised residual {row['standardised_residual']:.3g}"
    )
    print("\nmost influential training samples: which way each pulls the prediction, in standardised units")
    print(text_table(table))


def _project(command: commands.Project) -> None:
    refuse_if_read_only()
    run = find_run(command.cache, command.run)
    bar = _Bar()
    positions = maps.projection_of_run(run, command.cache, Progress([bar]))
    folder = str(run.folder)
    if command.json:
        print_json({"run": folder, "n_samples": len(positions), "minimum": positions.min(axis=0).tolist(),
                     "maximum": positions.max(axis=0).tolist()})  # fmt: skip
    else:
        print(f"{len(positions)} positions, cached with {command.cache / 'projections'}")


def _compare(command: commands.Compare) -> None:
    after = find_run(command.cache, command.after)
    name, cache = command.before, command.cache
    if name == "parent":
        if after.parent is None:
            raise UsageError(f"{after.name} started from no other run: name the two runs to compare.")
        name, cache = after.parent, cache_of(command.cache, command.after)
    before = find_run(cache, name)
    found = compare(before, after)
    if command.json:
        print_json({"before": before.name, "after": after.name} | found.to_dict(command.rows))
    else:
        print_comparison(before, after, found, command.rows)
