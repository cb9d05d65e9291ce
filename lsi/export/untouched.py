"""What an export leaves as it is: the run's own folder, the files that the run was computed from, and foreign ones."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lsi.errors import UsageError
from lsi.files import read_json
from lsi.references import split_file
from lsi.runs.run import Run

MANIFEST = "manifest.json"


def check_folder(run: Run, folder: Path) -> None:
    """Raise where `folder` is the run's own or none, or holds a manifest.json that no export wrote.

    Raises:
        UsageError: it does.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is no folder.")
    if folder.resolve() == run.folder.resolve():
        raise UsageError("Export into a folder of its own: this one holds the run.")
    refuse_foreign_manifest(folder)


def earlier_export(folder: Path) -> dict[str, Any] | None:
    """Return what the manifest in a folder says of the export that wrote it; None where none did."""
    found = read_json(folder / MANIFEST) if (folder / MANIFEST).is_file() else None
    facts = found.get("export") if isinstance(found, dict) else None
    return facts if isinstance(facts, dict) else None


def refuse_foreign_manifest(folder: Path) -> None:
    """Raise where a folder holds a manifest.json that neither an export nor a run wrote.

    Raises:
        UsageError: it does.
    """
    path = folder / MANIFEST
    if not path.is_file() or earlier_export(folder) is not None:
        return
    found = read_json(path)
    if not isinstance(found, dict) or not {"dataset", "settings"} <= found.keys():
        raise UsageError(f"{path} is somebody else's: export into a folder of its own, so that it stays.")


def refuse_sources(run: Run, paths: Iterable[Path]) -> None:
    """Raise where a file to be written is one that the run was computed from.

    Among the data themselves no file is written over at all: a table there may say the labels.

    Args:
        run: the run.
        paths: of what is to be written.

    Raises:
        UsageError: the first such file.
    """
    sources, data = _sources(run)
    for path in paths:
        if path.exists() and (path.resolve() in sources or path.parent.resolve() == data):
            raise UsageError(f"{path} is what the run was computed from: export into another folder, so that it stays.")


def _sources(run: Run) -> tuple[set[Path], Path | None]:
    """Return the files that a run was computed from, as far as its manifest names them, and the folder of its data."""
    named = [*run.asked("data").values(), *run.asked("features").values()]
    named += [file["path"] for file in (run.manifest.get("images") or {}).get("files") or ()]
    named.append((run.manifest.get("settings") or {}).get("decisions"))
    files = (split_file(value)[0] for value in named if isinstance(value, str) and value)
    data = run.asked("data").get("data")
    return {path.resolve() for path in files if path.is_file()}, Path(data).resolve() if data else None
