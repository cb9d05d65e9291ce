import time
from pathlib import Path

import pytest

from lsi.cli.main import _parse
from lsi.compute import jobs
from lsi.config import DataSettings, FeatureSettings, NoiseSettings, ScoreSettings, Settings
from lsi.runs.run import find_run

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
def test_words_of_the_command_line_mean_the_settings(settings):
    assert _parse(["compute", *jobs.to_arguments(settings)]).settings() == settings


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
    jobs._signal(job.facts["pid"], 9)
    wait(job, "failed", 10)
