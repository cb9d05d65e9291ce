import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lsi.cli import main
from lsi.compute import jobs
from lsi.config import DataSettings, FeatureSettings, NoiseSettings, ScoreSettings, Settings
from lsi.runs.listing import find_run

QUICK = Settings(data=DataSettings(subset=200))


def wait(job: jobs.Job, state: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while job.state != state:
        assert time.monotonic() < deadline, f"{job.state}: {job.log_tail()}"
        time.sleep(0.1)


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(
                 DataSettings("mnist", Path("x y.csv"), "l.npz:k", "test", 50, "fail"),
                 NoiseSettings(0.1, 0.5, (1, 2), True),
                 FeatureSettings("resnet18", 96, 32, "float32", False, 10),
                 ScoreSettings(2.5, "kron", "refit", 3, 4, "float64"), 7, "cpu"),
    ],
)  # fmt: skip
def test_words_of_the_command_line_mean_the_settings(settings, monkeypatch):
    asked = []
    monkeypatch.setattr("lsi.cli.actions.perform", asked.append)
    assert main(["compute", *jobs.to_arguments(settings)]) == 0
    assert asked[0].settings() == settings


def test_a_job_runs_in_its_own_process_and_leaves_a_run(tmp_path):
    job = jobs.start(QUICK, tmp_path, project=False)
    assert job.facts["pid"] > 0
    assert jobs.start(QUICK, tmp_path).facts["pid"] == job.facts["pid"]
    wait(job, "done")
    assert find_run(tmp_path, job.run_name).settings == QUICK
    assert [j.folder for j in jobs.list_jobs(tmp_path)] == [job.folder]


def test_a_cancelled_job_says_so_and_can_start_again(tmp_path):
    job = jobs.start(QUICK, tmp_path, project=False)
    job.cancel()
    assert job.state == "cancelled"
    wait(jobs.start(QUICK, tmp_path, project=False), "done")


def test_a_job_that_fails_keeps_its_message(tmp_path):
    job = jobs.start(Settings(data=DataSettings(data=tmp_path / "nothing")), tmp_path)
    wait(job, "failed")
    assert any("no such file or folder" in line for line in job.log_tail())


def test_a_killed_job_has_failed(tmp_path):
    job = jobs.start(QUICK, tmp_path)
    os.kill(job.facts["pid"], signal.SIGKILL)
    wait(job, "failed", 10)


def test_a_process_of_the_same_number_is_not_the_job(tmp_path):
    job = jobs.start(QUICK, tmp_path, project=False)
    wait(job, "done")
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        facts = job.facts | {"pid": stranger.pid}
        (job.folder / jobs.JOB).write_text(json.dumps(facts))
        (job.folder / jobs.PROGRESS).unlink()
        assert job.state == "failed"
        job.cancel()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.communicate()


def test_finished_jobs_leave_no_zombie(tmp_path):
    job = jobs.start(QUICK, tmp_path, project=False)
    wait(job, "done")
    deadline = time.monotonic() + 60
    while job.alive or jobs._CHILDREN:  # whoever looks reaps it, once its last thread has ended
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not psutil.pid_exists(job.facts["pid"])


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"started": 1, "settings": {"data": {"colour": "red"}}}'])
def test_a_job_that_cannot_be_read_hides_no_other(tmp_path, content, caplog):
    (tmp_path / "jobs" / "odd").mkdir(parents=True)
    (tmp_path / "jobs" / "odd" / jobs.JOB).write_text(content)
    good = tmp_path / "jobs" / "good"
    good.mkdir()
    (good / jobs.JOB).write_text(json.dumps({"started": 2.0, "settings": QUICK.to_dict()}))
    assert [job.folder.name for job in jobs.list_jobs(tmp_path)] == ["good"]
    assert "odd" in caplog.text


def test_the_same_data_by_another_path_are_the_same_job(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(jobs.subprocess, "Popen", lambda *a, **k: started.append(a) or EndedProcess())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.csv").write_text("text,label\n")
    folders = {jobs.start(Settings(data=DataSettings(data=p)), tmp_path / "c").folder
               for p in (Path("d.csv"), tmp_path / "d.csv", Path("./x/../d.csv"))}  # fmt: skip
    assert len(folders) == 1


class EndedProcess:
    """A process that has ended."""

    pid = 2**22 + 1

    def poll(self) -> int:
        return 0
