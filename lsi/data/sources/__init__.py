"""Every source of data, one module each; `open_source` finds what lies at a path and picks the one that reads it."""

from collections import Counter
from dataclasses import replace
from pathlib import Path, PurePosixPath

from lsi.config import DataSettings
from lsi.data.images import SUFFIXES
from lsi.data.naming import text_of_path
from lsi.data.plan import some
from lsi.data.record import Dataset
from lsi.data.sources.arrays import ARRAYS, from_arrays
from lsi.data.sources.boxes import find_boxes, read_boxes, read_boxes_of_file
from lsi.data.sources.columnar import COLUMNAR, holds_images, read_columnar
from lsi.data.sources.columns import Wanted, refuse_columns
from lsi.data.sources.confined import check_reference
from lsi.data.sources.embedded import EMBEDDED
from lsi.data.sources.exported import CLEANED, LISTS, class_rules, is_export, of_export, refuse_parts
from lsi.data.sources.folder import read_tree
from lsi.data.sources.samples import DEFAULT_SPLIT, Options, Samples, assemble
from lsi.data.sources.splits import ALL, check_split
from lsi.data.sources.tables import TABLES, from_frame, is_sample_submission, numbers, read_frame
from lsi.data.sources.torchvision_sets import from_torchvision
from lsi.data.sources.webdataset import read_webdataset
from lsi.data.sources.webdataset.apart import (
    SHOWN,
    holds_folders,
    several_archives,
    table_of_images,
)
from lsi.data.sources.webdataset.shards import find_shards, is_webdataset, open_shards, split_for
from lsi.data.trees import LocalTree, RemoteTree, TarTree, Tree, is_archive, open_tree
from lsi.data.trees.filenames import address_of, expand_braces, local_path, suffix_of, without_junk
from lsi.data.trees.remote import parent_of
from lsi.errors import DataError, UsageError

__all__ = ["open_source", "read_found"]


def open_source(settings: DataSettings, data_root: Path, targets: tuple[str, ...], download: bool = True) -> Dataset:
    """Return the samples that the settings name, as they lie there, with the plan of how they are read.

    Args:
        settings: which dataset, or the path of one's own data; which split and columns.
        data_root: where torchvision's datasets lie.
        targets: names of columns of numbers to predict.
        download: a dataset of torchvision that does not lie there.

    Raises:
        DataError: nothing readable lies there, or it can be understood in several ways; the message says which option
            settles it.
        UsageError: boxes are asked for where there can be none.
    """
    columns = Wanted(settings.image_column, settings.label_column, settings.split_column, settings.id_column)
    needs_labels = settings.task in ("auto", "classification")
    options = Options(settings.split, columns, settings.merge_classes, targets, needs_labels, settings.boxes, download)
    if settings.data is None:
        if targets:
            raise DataError(f"--targets: no such file: {settings.targets}; columns by name need data with columns.")
        if settings.boxes:
            raise UsageError(f"--boxes: {settings.dataset} has no boxes: leave --boxes out, or give --data.")
        name = settings.dataset.lower()
        refuse_columns(columns, f"{settings.dataset}: it has no columns")
        if name in EMBEDDED and settings.split not in (ALL, DEFAULT_SPLIT):
            check_split(settings.split, (), name)
        return EMBEDDED[name]() if name in EMBEDDED else from_torchvision(settings.dataset, data_root, options)
    dataset = assemble(_samples(settings.data, options), options)
    if targets and dataset.targets is None and dataset.metadata is not None and {*targets} <= {*dataset.metadata}:
        values = numbers({c: dataset.metadata[c] for c in targets}, targets, settings.data)
        dataset = dataset if values is None else dataset.with_targets(values, targets)
    if targets and dataset.targets is None:
        raise DataError(f"--targets: no such file: {settings.targets}; columns by name need data with columns.")
    return dataset


def _samples(path: Path, options: Options) -> Samples:
    """Return what lies at a path, an address, or the files that a pattern stands for."""
    if len(expand_braces(str(path))) > 1 and not path.exists():
        _refuse_boxes(options, str(path))
        shards = open_shards(path)
        if any(holds_folders(shard) for shard in shards):
            raise several_archives(text_of_path(str(path)), shards[:SHOWN])
        return read_webdataset(shards, options)
    address = address_of(path)
    if address is not None:
        if not RemoteTree(address).is_file() or is_archive(address):
            return read_found(open_tree(path), options, PurePosixPath(address).name)
        above, name = parent_of(address)
        return _in_file(RemoteTree(above), name, options)
    path = local_path(path)
    if not path.exists():
        raise DataError(f"--data: no such file or folder: {text_of_path(str(path))}.")
    if path.is_dir() or is_archive(path.name):
        name = path.name if path.is_dir() else path.name.partition(".")[0]
        return read_found(open_tree(path), options, name)
    if path.suffix.lower() in ARRAYS:
        _refuse_boxes(options, path.name)
        return from_arrays(path, options)
    return _in_file(LocalTree(path.parent), path.name, options)


def _in_file(tree: Tree, name: str, options: Options) -> Samples:
    """Return the samples of a table in a tree, or of one file of boxes."""
    if options.boxes and _has_end(name, (".json",)):
        return read_boxes_of_file(tree, name, options)
    _refuse_boxes(options, name)
    export = of_export(tree, name) if _has_end(name, (*COLUMNAR, *TABLES)) else None
    refuse_parts(export, name)
    if _has_end(name, COLUMNAR):
        return read_columnar(tree, [name], options, is_file=True)
    if _has_end(name, TABLES):
        frame, notes = read_frame(tree, name)
        samples = from_frame(frame, tree, name, options, class_rules(export))
        return replace(samples, notes=(*notes, *samples.notes))
    one = " This is one image: give its folder." if _has_end(name, tuple(SUFFIXES)) else ""
    raise DataError(
        "--data: expected a folder, .zip or .tar of images, or with one subfolder per class, or a table (.csv, .tsv, "
        f".jsonl, .parquet, .arrow), or arrays (.npz, .npy), got {text_of_path(name)}.{one}"
    )


def _refuse_boxes(options: Options, name: str) -> None:
    """Raise where boxes are asked for of a file that has none.

    Raises:
        UsageError: they are.
    """
    if options.boxes:
        raise UsageError(
            f"--boxes: expected images with boxes of COCO, YOLO or Pascal VOC, such as a folder or an archive, or a "
            f".json of COCO, got {text_of_path(name)}: give the folder that holds it, or leave --boxes out."
        )


def read_found(tree: Tree, options: Options, name: str) -> Samples:
    """Return the samples of a folder, an archive, or what lies behind an address.

    Args:
        tree: the files.
        options: which split, which columns, whether boxes are the samples.
        name: of the data, for a folder's name.

    Raises:
        DataError: there is nothing that can be read, or it can be understood in several ways.
    """
    names = list(tree.names())
    if tree.path("") is not None:
        check_reference(tree, names)
    visible = list(without_junk(names))
    has_images = any(_has_end(n, tuple(SUFFIXES)) for n in visible)
    columnar = [n for n in visible if _has_end(n, COLUMNAR)]
    root = tree.path("")
    if not has_images and is_export(tree, names):
        columnar = [n for n in columnar if n not in LISTS]  # of images, as --images huggingface writes them
        if not columnar:
            return _in_file(tree, CLEANED, options)
    if root is not None and not has_images and not columnar and any(map(is_archive, visible)):
        samples = _in_archives(root, visible, options, name)
        return replace(samples, ignored={**samples.ignored, **tree.left_out()})
    if options.boxes:
        return read_boxes(tree, options)
    if columnar and (not has_images or any(holds_images(tree, n) for n in columnar[:3])):
        return read_columnar(tree, columnar, options)
    samples = _with_texts(tree, visible, options) if is_webdataset(visible, split_for(tree, visible)) else None
    if samples is None:
        samples = read_tree(tree, names, options, name)
    boxes = find_boxes(visible)
    if boxes is None:
        return samples
    return replace(samples, notes=(*samples.notes, f"There are {boxes} boxes: --boxes makes each box a sample."))


def _with_texts(tree: Tree, names: list[str], options: Options) -> Samples | None:
    """Return the samples of images with texts beside them; None where a table says their labels and no text does."""
    samples = read_webdataset([tree], options)
    found = None if isinstance(tree, TarTree) else table_of_images(tree, names, options)
    if found is None:
        return samples
    table, has_labels = found
    if has_labels and samples.labels is None:
        return None
    note = f"{text_of_path(table)} names the images as well and is not read: give it as --data for its own."
    return replace(samples, notes=(*samples.notes, note))


def _in_archives(root: Path, names: list[str], options: Options, name: str) -> Samples:
    """Return the samples of the archives that lie in a folder without images: of one, or of shards of one set.

    Raises:
        DataError: several archives are no shards that hold their labels.
    """
    archives = [n for n in names if is_archive(n)]
    used, notes = archives, []
    if len(archives) == 1:
        samples = read_found(open_tree(root / archives[0]), options, name)
        tables = [n for n in names if _has_end(n, TABLES) and not is_sample_submission(n)]
        if tables:
            are = f"{'lies' if len(tables) == 1 else 'lie'} beside {text_of_path(archives[0])} and"
            notes.append(f"{some(map(text_of_path, tables), 3)} {are} {'is' if len(tables) == 1 else 'are'} not read: "
                         "unpack the archive beside what names its images, and give the folder.")  # fmt: skip
    else:
        used = find_shards(archives)
        shards = open_shards(root) if used and not options.boxes else []
        if not any(is_webdataset(shard.names(), split_for(shard, shard.names())) for shard in shards):
            raise several_archives(text_of_path(str(root)), [open_tree(root / n) for n in archives[:SHOWN]])
        samples = read_webdataset(shards, options)
    others = Counter(suffix_of(n) or "without suffix" for n in names if n not in used)
    return replace(samples, ignored=others + Counter(samples.ignored), notes=(*samples.notes, *notes))


def _has_end(name: str, ends: tuple[str, ...]) -> bool:
    return name.casefold().endswith(ends)
