"""What people call a run: a title of their own beside the folder's name, or what tells it from the others."""

from dataclasses import fields
from datetime import datetime
from typing import Any

from lsi.config import Settings
from lsi.data.plan import counted
from lsi.errors import LsiError, MissingRunError, UsageError
from lsi.files import write_json
from lsi.runs.layout import MANIFEST, TITLE
from lsi.runs.reading import version_of
from lsi.runs.run import Run

LENGTH = 80
_SAID_ELSEWHERE = (
    "dataset",
    "data",
    "backbone",
    "device",
    "decisions",
    "batch_size",
    "engine",
    "ray_address",
    "memory",
)


def check_there(run: Run) -> None:
    """See that a run that was read before is still there.

    Raises:
        MissingRunError: it was deleted.
    """
    if not (run.folder / MANIFEST).is_file():
        raise MissingRunError(f"{run.name} was deleted meanwhile.")


def rename(run: Run, title: str) -> None:
    """Give a run a title; an empty one takes it back. The folder keeps its name, which addresses refer to.

    Raises:
        MissingRunError: the run was deleted.
        UsageError: the title is longer than 80 characters.
    """
    write_json(run.folder / TITLE, {"title": check_title(run, title)})


def check_title(run: Run, title: str) -> str:
    """Return a title as it would be kept.

    Raises:
        MissingRunError: the run was deleted.
        UsageError: the title is longer than 80 characters.
    """
    check_there(run)
    title = " ".join(title.split())
    if len(title) > LENGTH:
        raise UsageError(f"Expected a title of at most {LENGTH} characters, got {len(title)}.")
    return title


def label_of(run: Run) -> str:
    """Return a run's title, or its data, size, features, settings that are not the usual, and when it was computed."""
    if run.title:
        return run.title
    noun = "images" if run.manifest["dataset"]["has_images"] else "samples"
    facts = [f"{run.manifest['dataset']['n_samples']:,} {noun}", features_of(run)]
    return f"{run.subject_name}: {', '.join([*facts, *unusual_settings(run)])} · {when(run)}"


def features_of(run: Run) -> str:
    """Return what a run's features are of: the name of a backbone or of a file, or "own features" of the data."""
    backbone = str(run.manifest["features"].get("backbone", ""))
    return "own features" if backbone == "given" else backbone


def unusual_settings(run: Run) -> list[str]:
    """Return the settings of a run that are not the usual ones, in words: "seed 3", "structure diag".

    Of a run whose settings this version cannot read it is said which one wrote it: "of version 2.0".
    """
    try:
        words = _unusual(run.settings)
    except (LsiError, KeyError, TypeError, ValueError):
        words = [f"of version {version_of(run.manifest)}"]
    facts = run.manifest.get("decided")
    if facts:
        count = facts["n_excluded"] + facts["n_relabelled"] + facts["n_confirmed"]
        by_rule = facts.get("n_by_rule", 0)
        words += [f"after {counted(count, 'decision')}"] if count or not by_rule else []
        words += [f"{by_rule:,} left out by a rule"] if by_rule else []
    return words


def _unusual(found: Settings) -> list[str]:
    usual, words = Settings(), []
    groups: list[tuple[Any, Any]] = [(found, usual)]
    groups += [(getattr(found, name), getattr(usual, name)) for name in ("data", "noise", "features", "score")]
    for group, default in groups:
        for field in fields(group):
            value = getattr(group, field.name)
            if hasattr(value, "__dataclass_fields__") or field.name in _SAID_ELSEWHERE:
                continue
            if value != getattr(default, field.name):
                words.append(_said(field.name.replace("_", " "), value))
    return words


def decisions_without_effect(facts: dict[str, Any]) -> str:
    """Return a sentence on the decisions that a run was to start from and that fit nothing in its data, "" for none.

    Args:
        facts: what the manifest says under “decided”.
    """
    lost, total = facts.get("n_elsewhere", 0), facts.get("n_decisions")
    if not lost:
        return ""
    of_all = counted(lost, "decision") if total is None else f"{lost:,} of {counted(total, 'decision')}"
    return (
        f"{of_all} {'is' if lost == 1 else 'are'} on samples, or for classes, that these data do not have, and "
        f"change{'s' if lost == 1 else ''} nothing."
    )


def when(run: Run) -> str:
    """Return when a run was computed, in the clock of this machine: 26 Nov 2026, 14:03."""
    created = run.manifest.get("created")
    if not created:
        return ""
    time = datetime.fromisoformat(created).astimezone()
    return f"{time.day} {time:%b %Y, %H:%M}"


def _said(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return name if value else f"no {name}"
    if isinstance(value, tuple):
        value = " ".join(map(str, value))
    text = str(value)
    return f"{name} {text.rpartition('/')[2] if '/' in text else text}"
