"""Random trees of nasty names on disk: every index is the position in torchvision's ImageFolder."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torchvision.datasets import ImageFolder

from lsi.config import DataSettings
from lsi.data import load
from lsi.data.naming import text_of_path
from lsi.errors import DataError
from tests.data.trees import write_image
from tests.export.made import nasty

names = st.tuples(st.one_of(nasty, st.just("caf\udce9")), st.sampled_from([".png", ".JPG", ".webp", ".gif"])).map(
    "".join
)
folders = nasty.filter(lambda name: name not in (".", ".."))
trees = st.dictionaries(
    folders, st.lists(st.tuples(st.lists(folders, max_size=2), names), max_size=5), min_size=2, max_size=4
)


def plant(base: Path, tree: dict) -> None:
    """Write a tree; what a file system refuses, or has already as a folder, is left out."""
    for name, files in tree.items():
        for inner, file in [([], "own.png"), *files]:
            try:
                write_image(base.joinpath(name, *inner) / file)
            except (OSError, ValueError):
                continue


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(trees)
def test_every_index_of_a_random_tree_is_that_of_image_folder(tree):
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "photos"
        plant(base, tree)
        try:
            data = load(DataSettings(data=base, split="all"), base)
        except DataError:
            return
        if data.plan.kind != "class folders":
            return
        listed = [text_of_path(str(Path(path).relative_to(base))) for path, _ in ImageFolder(str(base)).samples]
        for sample, index in zip(data.ids, data.source_index, strict=True):
            assert index >= len(listed) if str(sample) not in listed else listed[index] == sample
        assert len(set(data.source_index)) == len(data)
