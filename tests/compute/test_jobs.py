import time
from pathlib import Path

import numpy as np
import pytest
import torch

from lsi.audit.curation import check_curation, wrong_left
from lsi.cli.main import _parse
from lsi.compute import jobs
from lsi.config import DataSettings, FeatureSettings, NoiseSettings, ScoreSettings, Settings
from lsi.errors import UsageError
from lsi.laplace.design_matrix import with_bias
from lsi.laplace.likelihood import Softmax
from lsi.runs.run import find_run
from tests.cases import noisy_digits

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


def check(problem, kept, new=None):
    phi = with_bias(torch.from_numpy(problem.features))
    return check_curation(Softmax(10), phi, problem.labels, problem.labels if new is None else new, kept, 1.0)


def test_removing_wrong_labels_beats_removing_at_random_and_random_does_not():
    problem = noisy_digits(share=0.3)
    helped = check(problem, ~problem.flipped)
    assert helped.verdict == "curation helps"
    assert helped.low <= helped.difference <= helped.high
    at_random = np.random.default_rng(0).random(len(problem.labels)) > 0.1
    assert check(problem, at_random).verdict == "no measurable gain"


def test_relabelling_counts_too():
    problem, truth = noisy_digits(share=0.3), noisy_digits(share=0.0).labels
    assert check(problem, np.ones(len(truth), bool), truth).verdict == "curation helps"


def test_nothing_changed_is_an_error():
    problem = noisy_digits(n=100)
    with pytest.raises(UsageError, match="nothing to check"):
        check(problem, np.ones(100, bool))


def test_expected_wrong_labels_start_from_the_probabilities_and_follow_the_decisions():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.01, 0.5, 200)
    none = np.zeros(0)
    before = wrong_left(p, none, none.astype(bool))
    assert before.low < (1 - p).sum() < before.high
    for share in (0.1, 0.9):
        wrong = rng.random(100) < share
        after = wrong_left(p, rng.uniform(0.01, 0.5, 100), wrong)
        assert after.low < 200 * share < after.high
        assert after.high - after.low < before.high - before.low
        assert 0 <= after.low <= after.expected <= after.high <= 200


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    held = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        p = rng.uniform(0.02, 0.6, 300)
        truth = rng.random(300) < 1 / (1 + np.exp(-(-1.0 + 0.8 * np.log((1 - p) / p))))
        found = wrong_left(p[60:], p[:60], truth[:60])
        held += found.low <= truth[60:].sum() <= found.high
    assert held >= 35
