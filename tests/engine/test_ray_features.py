"""Features on actors of Ray: the same numbers and failures as here, also where an actor dies or the program does."""

import os
import signal

import numpy as np
import pytest
import torch
from PIL import Image

from lsi.errors import DataError, LsiError, UsageError
from lsi.features import load_backbone
from lsi.features.extract import extract, plan
from lsi.progress import Progress

ray = pytest.importorskip("ray", reason="the package ray is not installed")
pytestmark = [
    pytest.mark.xdist_group("ray"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
]
CPU = torch.device("cpu")
ONCE = "already"  # file whose being there says that a process was killed


class Pictures:
    """Images of noise; one cannot be read, and reading another kills its process, once."""

    def __init__(self, count, killer=None):
        self.count, self.killer = count, killer

    def __len__(self):
        return self.count

    def read(self, index):
        if index == 7:
            raise DataError("7.png: not an image")
        if self.killer is not None and index == 25 and not self.killer.exists():
            self.killer.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return Image.fromarray(np.random.default_rng(index).integers(0, 256, (24, 24, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def cluster():
    from lsi.engine.cluster import joined

    with joined(None) as cluster:
        yield cluster


def alone(folder, backbone, threads=None):
    """Return failures and arrays of an extraction in one process."""
    if threads:
        torch.set_num_threads(threads)  # their number decides the last digits
    images = Pictures(60)
    failures = extract(images, how(images, backbone), folder, CPU, Progress())
    return failures, np.load(folder / "features.npy"), np.load(folder / "quality.npy")


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """What one process gives; of pixels, which are there at once wherever an actor has to be started anew."""
    return alone(tmp_path_factory.mktemp("here"), "pixels")


def how(images, backbone="pixels"):
    return plan(images, load_backbone(backbone), 32, 8)


def there(images, cluster, folder, backbone="pixels"):
    from lsi.engine.ray_features import batches_of

    planned = how(Pictures(len(images)), backbone)  # looks at images in this process, which may not be killed
    failures = extract(images, planned, folder, CPU, Progress(), batches_of(cluster))
    return failures, np.load(folder / "features.npy"), np.load(folder / "quality.npy")


def check_equal(found, here):
    assert found[0] == here[0] == {7: "7.png: not an image"}
    np.testing.assert_array_equal(found[1], here[1])
    np.testing.assert_array_equal(found[2], here[2])


def test_features_of_a_network_are_those_of_one_machine(cluster, tmp_path):
    # here: a process without this one's checks of types, under which a backbone is not rewritten
    folders = [tmp_path / name for name in ("here", "there")]
    for folder in folders:
        folder.mkdir()
    here = ray.get(ray.remote(alone).remote(folders[0], "efficientnet_lite0", cluster.cores))
    check_equal(there(Pictures(60), cluster, folders[1], "efficientnet_lite0"), here)
    assert isinstance(print, type(len)), "Ray's own is in its place, which numba cannot compile"


def test_an_actor_that_dies_changes_nothing(cluster, here, tmp_path):
    killer = tmp_path / ONCE
    check_equal(there(Pictures(60, killer), cluster, tmp_path), here)
    assert killer.exists()


class Stops(Progress):
    def report(self, stage, done=0, total=0, unit=""):
        super().report(stage, done, total, unit)
        if done >= 24:
            raise KeyboardInterrupt


def test_an_extraction_that_was_broken_off_goes_on(cluster, here, tmp_path, monkeypatch):
    from lsi.engine.ray_features import batches_of

    monkeypatch.setattr("lsi.features.growing._SAVE_SECONDS", -1.0)
    images = Pictures(60)
    with pytest.raises(KeyboardInterrupt):
        extract(images, how(images), tmp_path, CPU, Stops(), batches_of(cluster))
    assert (tmp_path / "partial.json").exists()
    check_equal(there(images, cluster, tmp_path), here)


class Broken(Pictures):
    """Images whose reading fails in a way that no reader foresees, beyond those that a plan looks at."""

    def __init__(self, error):
        super().__init__(60)
        self.error = error

    def read(self, index):
        if index >= 30:
            raise self.error
        return super().read(index)


@pytest.mark.parametrize("error", [OverflowError("a fault of the program"), UsageError("what the user can mend")])
def test_what_goes_wrong_in_an_actor_is_told(cluster, tmp_path, error):
    with pytest.raises(Exception, match=str(error)) as caught:
        there(Broken(error), cluster, tmp_path)
    assert isinstance(caught.value, LsiError) is isinstance(error, LsiError)
    assert not isinstance(error, LsiError) or str(caught.value) == str(error)
