"""The images of a tree, by their files' names."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lsi.data.fetched import FetchedImages
from lsi.data.images import FileImages, Images
from lsi.data.naming import text_of_path
from lsi.data.trees import Tree


class Paths(Sequence[Path]):
    """Paths below a folder, made when they are asked for: a million names take less memory than a million paths."""

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        self.root, self.names = root, names

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.names)

    def __getitem__(self, index: Any) -> Any:
        """Return one path."""
        name: Any = self.names[index]
        return self.root / name


def images_in(tree: Tree, names: Sequence[str]) -> Images:
    """Return the images of a tree by their files' names."""
    root = tree.path("")
    if root is not None:
        return FileImages(Paths(root, names))
    return FetchedImages(
        [text_of_path(n) for n in names], lambda i: tree.read(names[i]), lambda i: tree.stamp(names[i])
    )
