"""What an export leaves as it is: the run's own folder, the files that the run was computed from, and foreign ones."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lsi.errors import UsageError
from lsi.files import read_json, write_json
from lsi.references import split_file
from lsi.runs.run import Run

MANIFEST = "manifest.json"


def check_folder(run: Run, folder: Path, names: Iterable[str] = ()) -> None:
    """Raise where `folder` is the run's own, that of its data or none, or holds a file that no export wrote.

    Args:
        run: the run.
        folder: where to write.
        names: of the files to be written.

    Raises:
        UsageError: it does.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is no folder.")
    if folder.resolve() == run.folder.resolve():
        raise UsageError("Export into a folder of its own: this one holds the run.")
    if folder.resolve() == _sources(run)[1]:
        raise UsageError(f"Export into a folder of its own: {folder} holds the data.")
    refuse_foreign(folder, names)


def earlier_export(folder: Path) -> dict[str, Any] | None:
    """Return what the manifest in a folder says of the export that wrote it; None where none did."""
    found = read_json(folder / MANIFEST) if (folder / MANIFEST).is_file() else None
    facts = found.get("export") if isinstance(found, dict) else None
    return facts if isinstance(facts, dict) else None


def refuse_foreign(folder: Path, names: Iterable[str]) -> None:
    """Raise where a folder holds a manifest.json that neither an export nor a run wrote, or none beside such files.

    Args:
        folder: where to write.
        names: of the files to be written.

    Raises:
        UsageError: with the first such file.
    """
    path = folder / MANIFEST
    if not path.is_file():
        path = next((folder / name for name in names if (folder / name).exists()), None)
        if path is not None:
            raise UsageError(f"{path} is of no export: export into a folder of its own, so that it stays.")
        return
    found = read_json(path)
    if earlier_export(folder) is None and not (isinstance(found, dict) and {"dataset", "settings"} <= found.keys()):
        raise UsageError(f"{path} is somebody else's: export into a folder of its own, so that it stays.")


def claim(run: Run, folder: Path) -> None:
    """Note in a folder that an export writes there: one that ends half-way is written over by the next.

    Args:
        run: the run.
        folder: of the export.
    """
    if not (folder / MANIFEST).is_file():
        write_json(folder / MANIFEST, run.manifest | {"export": {}})


def refuse_sources(run: Run, paths: Iterable[Path]) -> None:
    """Raise where a file to be written is one that the run was computed from, an image among them.

    Below the folder of the data no file is written over at all, unless an export wrote it: a table there may say the
    labels.

    Args:
        run: the run.
        paths: of what is to be written.

    Raises:
        UsageError: the first such file.
    """
    sources, data = _sources(run)
    for path in paths:
        if path.exists() and (path.resolve() in sources or _is_below(path, data) or _is_image(run, path)):
            raise UsageError(f"{path} is what the run was computed from: export into another folder, so that it stays.")


def _is_below(path: Path, data: Path | None) -> bool:
    """Say whether a file lies below the folder of the data, and in none that an export wrote."""
    folders = path.resolve().parents
    if data is None or data not in folders:
        return False
    return not any(earlier_export(folder) is not None for folder in folders[: folders.index(data)])


def _is_image(run: Run, path: Path) -> bool:
    return run.images is not None and run.images.holds(path)


def _sources(run: Run) -> tuple[set[Path], Path | None]:
    """Return the files that a run was computed from, as far as its manifest names them, and the folder of its data."""
    named = [*run.asked("data").values(), *run.asked("features").values()]
    named += [file["path"] for file in (run.manifest.get("images") or {}).get("files") or ()]
    named.append((run.manifest.get("settings") or {}).get("decisions"))
    files = (split_file(value)[0] for value in named if isinstance(value, str) and value)
    data = run.asked("data").get("data")
    return {path.resolve() for path in files if path.is_file()}, Path(data).resolve() if data else None
