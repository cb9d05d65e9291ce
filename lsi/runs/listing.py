"""The runs in a cache: which there are, which one is meant, and what of the cache they refer to."""

import logging
import re
import shutil
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from lsi.errors import LsiError, MissingRunError, UsageError
from lsi.files import read_json
from lsi.runs.layout import DESIGNS, KIND, MANIFEST, PROJECTIONS, SCORES
from lsi.runs.reading import fault_of
from lsi.runs.records import as_decisions, find, records_of, remarks_in
from lsi.runs.run import Run
from lsi.runs.store import SEAL, Entry, Store

log = logging.getLogger(__name__)


def open_run(path: str | Path) -> Run:
    """Return the run in a folder, to read its scores and to apply its probe to new samples.

    Raises:
        MissingRunError: there is no run in that folder.

    Example:
        >>> run = lsi.open_run("cache/runs/digits-0123456789abcdef")  # doctest: +SKIP
        >>> run.predict(raw_features)  # doctest: +SKIP
    """
    folder = Path(path).expanduser().resolve()
    if not _holds_run(folder):
        raise MissingRunError(
            f"{folder} holds no run: expected a folder with {MANIFEST} and {SCORES}, as `compute` prints it."
        )
    return Run(folder)


def _holds_run(folder: Path) -> bool:
    """Say whether a folder holds a run; an export has a manifest as well, and other programs have some of their own."""
    return (folder / SCORES).is_file() and not fault_of(read_json(folder / MANIFEST) or {})


def used_by_runs(cache: Path) -> frozenset[tuple[str, str]]:
    """Return the entries of the cache that finished runs refer to, as kind and name: design matrices and maps.

    Which map belongs to a run that is damaged or of another version cannot be told: it may be computed again.
    """
    used: set[tuple[str, str]] = set()
    for run in list_runs(cache):
        if run.design_key is not None:
            used.add((DESIGNS, run.design_key))
            with suppress(LsiError, KeyError):
                used.add((PROJECTIONS, run.projection_key))
    return frozenset(used)


def has_design(entry: Entry) -> bool:
    """Say whether the design matrix of a sealed run is in the cache."""
    run = Run(entry.folder)
    return run.design_key is None or Entry(run.design_folder).is_sealed()


def list_runs(cache: Path) -> list[Run]:
    """Return the finished runs in a cache, the newest first; folders that are damaged or vanish are left out."""
    finished = []
    for path in (cache / KIND).glob(f"*/{MANIFEST}"):
        try:
            written = path.stat().st_mtime_ns
        except OSError:  # deleted since the listing
            continue
        run = Run(path.parent)
        if not (path.parent / SEAL).is_file():
            continue
        fault, created = _looked_at(path, written)
        if fault:
            log.warning("%s is left out: %s.", path, fault)
        else:
            finished.append(((created, written, run.name), run))
    return [run for _, run in sorted(finished, key=lambda pair: pair[0], reverse=True)]


@lru_cache(maxsize=10_000)
def _looked_at(path: Path, _written: int) -> tuple[str, float]:
    """Return what keeps a manifest from being one of a run, and the time in it, which copies of its file keep.

    It is read again only where it was written since.
    """
    manifest = read_json(path) or {}
    fault, created = fault_of(manifest), 0.0
    with suppress(ValueError, OverflowError):
        created = 0.0 if fault else datetime.fromisoformat(manifest["created"]).timestamp()
    return fault, created


def is_of_same_place(run: Run, other: Run) -> bool:
    """Say whether two runs are on data of the same name that were read from the same path."""
    one, another = ((r.subject_name, str(r.asked("data").get("data"))) for r in (run, other))
    return one == another


def run_before(cache: Path, run: Run) -> Run | None:
    """Return the run that was computed last before this one on a dataset of the same name, None where there is none.

    One on data of the same place comes before those of other places, which may be other data.
    """
    runs = list_runs(cache)
    names = [other.name for other in runs]
    older = runs[names.index(run.name) + 1 :] if run.name in names else []
    alike = [other for other in older if other.subject_name == run.subject_name]
    return next((other for other in alike if is_of_same_place(run, other)), alike[0] if alike else None)


def delete_run(run: Run) -> None:
    """Delete a run's folder. Its decisions stay, for they belong to the data, and so do features that others may need.

    Raises:
        UsageError: its folder is none of a cache.
    """
    entry = check_deletable(run)
    with Store(entry.folder.parent.parent).locked(entry):
        entry.unseal()
        shutil.rmtree(entry.folder)


def check_deletable(run: Run) -> Entry:
    """Return the entry of a run that can be deleted.

    Raises:
        UsageError: its folder is none of a cache.
    """
    entry = Entry(run.folder.absolute())
    if entry.folder.parent.name != KIND or not entry.path(SEAL).is_file():
        raise UsageError(f"{run.folder} is no run of a cache: delete the folder yourself.")
    return entry


def find_run(cache: Path, name: str) -> Run:
    """Return a run by its folder, its title, its name, the start of its name, or "latest".

    Raises:
        MissingRunError: none or several fit.
    """
    is_folder = (Path(name) / MANIFEST).is_file()
    if _holds_run(Path(name)):
        return Run(Path(name))
    runs = list_runs(cache)
    if name == "latest" and runs:
        return runs[0]
    fitting = [r for r in runs if r.name == name] or [r for r in runs if r.title == name]
    fitting = fitting or [r for r in runs if r.name.startswith(name)]
    if len(fitting) == 1:
        return fitting[0]
    if is_folder and not fitting:
        return _damaged_run(Path(name))
    known = ", ".join(r.name for r in runs[:5]) or "none yet: start one with `python -m lsi compute`"
    raise MissingRunError(f"{'Several runs fit' if fitting else 'No run is called'} {name!r}. Runs: {known}.")


def _damaged_run(folder: Path) -> Run:
    """Return the run in a folder whose scores are missing, which reading them says.

    Raises:
        MissingRunError: its manifest is that of an export, or none of a run.
    """
    manifest = read_json(folder / MANIFEST) or {}
    if "export" in manifest:
        raise MissingRunError(f"The folder {folder} is no run but an export: name the run that it is of.")
    if fault := fault_of(manifest):
        raise MissingRunError(f"The run in {folder} cannot be read: of its {MANIFEST}, {fault}.")
    return Run(folder)


def run_about(cache: Path, content: Any, shown: Run | None = None) -> Run | None:
    """Return a run that has samples of a file of decisions: one on the dataset that it names, else on most of them.

    Where the data that it names have gone, others that have all of their samples are meant: a folder was renamed.

    Args:
        cache: where the runs lie.
        content: what `decisions.json` holds, or an export of Label Studio.
        shown: a run that the file is meant for where it has half of the samples.

    Returns:
        None where no run on that dataset has any, and no other has half of them, whose name they are to have; and for
        files of versions that kept no content of samples.

    Raises:
        DataError: it is no such file.
    """
    content = as_decisions(content)
    records = records_of(content) + remarks_in(content)
    if not all("content" in record for record in records):
        return shown
    if shown is not None and len(records) <= 2 * _n_found(shown, records):
        return shown
    name, found = content.get("dataset"), dict[str, tuple[int, Run]]()
    for run in list_runs(cache):
        if run.subject_name not in found:
            with suppress(LsiError, OSError, KeyError):  # one that is damaged has no samples
                count = _n_found(Run(run.folder), records)  # a run of its own: its table goes
                found |= {run.subject_name: (count, run)} if count or not records else {}
    n_named, named = found.get(str(name), (0, None))
    if named is not None and _has_data(named):
        return named
    there = [pair for pair in found.values() if _has_data(pair[1])]
    most, best = max(there, key=lambda pair: pair[0], default=(0, None))
    return best if 0 < len(records) <= 2 * most and most >= n_named else named


def _n_found(run: Run, records: list[dict[str, Any]]) -> int:
    return int((find(run.subject, records) >= 0).sum())


def _has_data(run: Run) -> bool:
    """Say whether the data of a run lie where they were, as far as they lay in a folder or file."""
    data = Path(str(run.asked("data").get("data") or ""))
    return not data.is_absolute() or data.exists()


def cache_of(cache: Path, name: str | None) -> Path:
    """Return the cache that a run lies in: where it is named by its folder that of the folder, else `cache`.

    Args:
        cache: where runs are that are named otherwise.
        name: as `find_run` takes it; None where no run is named.
    """
    folder = Path(name or "").absolute()
    is_of_cache = bool(name) and folder.parent.name == KIND and (folder / SEAL).is_file()
    return folder.parent.parent if is_of_cache else cache


def is_run_name(name: str) -> bool:
    """Say whether a text can be the name of a run's folder, and nothing else."""
    return re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name) is not None
