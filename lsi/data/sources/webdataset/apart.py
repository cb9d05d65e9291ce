"""What is no WebDataset, though it looks like one: several archives of class folders, and images that a table names."""

import posixpath
from collections.abc import Sequence

from lsi.data.images import SUFFIXES
from lsi.data.plan import counted, some
from lsi.data.sources.samples import Options
from lsi.data.sources.tables import TABLES, from_frame, is_sample_submission, names_images, read_frame
from lsi.data.sources.webdataset.shards import is_webdataset, split_for
from lsi.data.trees import Tree
from lsi.data.trees.filenames import suffix_of, without_junk
from lsi.errors import DataError, unreadable_passed_over

SHOWN = 3  # archives, in a message
_MOST_TABLES = 20


def table_of_images(tree: Tree, names: Sequence[str], options: Options) -> tuple[str, bool] | None:
    """Return the first table that names images of a tree, and whether it says labels; None where there is none.

    What is part of a sample is no table.

    Args:
        tree: the files.
        names: of all that are no junk.
        options: which columns are what.

    Raises:
        UnreachableError: a table cannot be reached.
    """
    split = split_for(tree, names)
    keys = {found[0] for name in names if suffix_of(name) in SUFFIXES and (found := split(name))}
    apart = [name for name in names if suffix_of(name) in TABLES and not is_sample_submission(name)]
    for name in [n for n in apart if (split(n) or ("", ""))[0] not in keys][:_MOST_TABLES]:
        with unreadable_passed_over():
            frame, _ = read_frame(tree, name)
            if names_images(frame, tree, name, options):
                return name, from_frame(frame, tree, name, options).labels is not None
    return None


def holds_folders(tree: Tree) -> bool:
    """Say whether an archive holds images in several folders, as those of classes are, and no labels beside them."""
    names = list(tree.names())
    return len(_folders(_images(names))) > 1 and not is_webdataset(names, split_for(tree, names))


def several_archives(place: str, trees: Sequence[Tree]) -> DataError:
    """Return the error for several archives of which none holds labels beside its images.

    Args:
        place: where they lie.
        trees: the first of them.
    """
    said = []
    for tree in trees:
        images = _images(list(tree.names()))
        folders = f" in {some(_folders(images), 3)}" if _folders(images) else ""
        said.append(f"{posixpath.basename(tree.name)} holds {counted(len(images), 'image')}{folders}")
    return DataError(
        f"{place}: several archives are read as one only where labels lie beside the images, as in WebDataset: "
        f"{'; '.join(said)}. Where these are classes or splits, unpack them into one folder, or give one of them; "
        "shards of images without labels are given as a pattern, such as n{01..10}.tar."
    )


def _images(names: Sequence[str]) -> list[str]:
    return [name for name in without_junk(names) if suffix_of(name) in SUFFIXES]


def _folders(images: Sequence[str]) -> list[str]:
    return sorted({posixpath.basename(folder) for name in images if (folder := posixpath.dirname(name))})
