"""Folders made up from the names of the files in a tree: which images lie in each, and what else."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath

from lsi.data.images import HEIC_SUFFIXES, SUFFIXES
from lsi.data.trees import is_junk

_IMAGES = SUFFIXES | HEIC_SUFFIXES  # HEIC without its package is reported as unreadable, not passed over
# the suffixes that torchvision.datasets.ImageFolder lists
IMAGE_FOLDER_SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


@dataclass
class Folder:
    """A folder of a tree.

    Attributes:
        path: its name relative to the tree's root, "" for the root.
        files: names of all files in it, without their folder.
        images: those of them that are images and no junk.
        folders: its subfolders by name.
    """

    path: str
    files: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    folders: "dict[str, Folder]" = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its own name."""
        return PurePosixPath(self.path).name

    @cached_property
    def with_images(self) -> "list[Folder]":
        """The subfolders that hold images at any depth, by name; junk is left out."""
        return [f for name, f in sorted(self.folders.items()) if not is_junk(name) and f.holds_images]

    @cached_property
    def holds_images(self) -> bool:
        """Whether there are images at any depth."""
        return bool(self.images) or bool(self.with_images)

    def child(self, name: str) -> str:
        """Return the name, relative to the root, of something in this folder."""
        return f"{self.path}/{name}" if self.path else name

    def all_images(self) -> list[str]:
        """Return the images at any depth, in the order of ImageFolder: by folder, then by name."""
        folders = sorted(self._visible(), key=lambda folder: folder.path)
        return [folder.child(name) for folder in folders for name in sorted(folder.images)]

    def _visible(self) -> "Iterable[Folder]":
        yield self
        for folder in self.with_images:
            yield from folder._visible()

    def image_folder_order(self) -> list[str]:
        """Return what `torchvision.datasets.ImageFolder` lists for this folder, hidden files and folders included."""
        listed = []
        for _, group in sorted(self.folders.items()):
            for folder in sorted(group._every(), key=lambda f: f.path):
                names = sorted(n for n in folder.files if n.lower().endswith(IMAGE_FOLDER_SUFFIXES))
                listed += [folder.child(n) for n in names]
        return listed

    def _every(self) -> "Iterable[Folder]":
        yield self
        for folder in self.folders.values():
            yield from folder._every()


def build(names: Iterable[str], is_image: Callable[[str], bool]) -> tuple[Folder, Counter[str]]:
    """Return the folders that names of files make up, and the number of files that are no images, by their kind.

    Args:
        names: of files, with / between folders.
        is_image: tells for a file without a known suffix whether it is an image by its content.
    """
    root, ignored = Folder(""), Counter[str]()
    known: dict[str, Folder] = {"": root}
    for name in names:
        path, _, file = name.rpartition("/")
        folder = known.get(path) or _folder_of(path, known)
        folder.files.append(file)
        if any(is_junk(part) for part in name.split("/")):
            ignored["hidden files"] += 1
            continue
        suffix = PurePosixPath(file).suffix.lower()
        has_no_suffix = not suffix or suffix[1:].isdigit()
        if suffix in _IMAGES or (has_no_suffix and is_image(name)):
            folder.images.append(file)
        else:
            ignored[suffix or "without suffix"] += 1
    return root, ignored


def _folder_of(path: str, known: dict[str, Folder]) -> Folder:
    above, _, name = path.rpartition("/")
    parent = known.get(above) or _folder_of(above, known)
    known[path] = parent.folders.setdefault(name, Folder(path))
    return known[path]
