"""A command ends when asked to, and says one sentence where the disk is full."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lsi.cli import main
from lsi.errors import StorageError
from lsi.files import new_array
from tests.e2e.browser import ROOT

BUSY = """
import hashlib, sys
from lsi.cli.ending import end_when_asked

end_when_asked()
print("busy", flush=True)
hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # in C for minutes, as a large product is
"""
LISTENING = BUSY.replace("hashlib.pbkdf2", "import time\nwhile True: time.sleep(0.01)\nhashlib.pbkdf2")


@pytest.mark.skipif(os.name == "nt", reason="Windows ends a process at once")
@pytest.mark.parametrize(("script", "is_by_force"), [(BUSY, True), (LISTENING, False)])
def test_sigterm_ends_a_command_that_listens_and_one_that_does_not(script, is_by_force):
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"busy\n"
    time.sleep(0.5)  # until it is in C
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)  # the product itself takes far longer
    if is_by_force:
        assert process.returncode == 130
        assert said == b"lsi: interrupted; the same command goes on from the stages that are done\n"
    else:
        assert b"KeyboardInterrupt" in said


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def images(folder: Path) -> Path:
    np.savez(
        folder / "noise.npz",
        images=np.random.default_rng(0).integers(0, 255, (400, 32, 32), np.uint8),
        labels=np.arange(400) % 2,
    )
    return folder / "noise.npz"


def test_a_full_disk_is_one_message_and_the_command_goes_on_when_there_is_room(small_disk, tmp_path):
    command = [sys.executable, "-m", "lsi", "compute", "--data", str(images(tmp_path)), "--backbone", "pixels",
               "--image-size", "64", "--quiet", "--cache", str(small_disk / "cache")]  # fmt: skip
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 1
    plan, message = ended.stderr.splitlines()
    assert plan.startswith(f"{tmp_path}")
    assert "has no room for" in message
    assert not list((small_disk / "cache" / "features").glob("*/partial*"))


def test_a_full_disk_is_told_before_anything_is_written_to_a_mapped_file(tmp_path, monkeypatch):
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageError, match=r"has no room for 8\.0 MB more"):
        new_array(tmp_path / "x.npy", "float64", (1_000, 1_000))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("has_fallocate", [True, False])
def test_a_new_array_takes_its_space_at_once(tmp_path, monkeypatch, has_fallocate):
    if not has_fallocate:
        monkeypatch.delattr(os, "posix_fallocate")
    array = new_array(tmp_path / "x.npy", np.dtype("float32"), (1_000, 500))
    assert (tmp_path / "x.npy").stat().st_blocks * 512 >= 2_000_000
    array[3] = 7
    array.flush()
    assert np.load(tmp_path / "x.npy").sum() == 3_500


def test_a_disk_that_fills_elsewhere_is_the_same_message(tmp_path, monkeypatch, capsys):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("lsi.compute.pipeline.run", full)
    assert main(["compute", "--cache", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        "lsi: The disk is full: free some, and run the same command again; what is finished is kept.\n"
    )


def test_a_new_array_leaves_an_earlier_one_of_its_name_to_whoever_reads_it(tmp_path):
    first = new_array(tmp_path / "x.npy", "float32", (3,))
    first[:] = 1
    new_array(tmp_path / "x.npy", "float32", (3,))[:] = 2
    assert first.tolist() == [1, 1, 1]
    assert np.load(tmp_path / "x.npy").tolist() == [2, 2, 2]
