import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from lsi.cli import main
from lsi.cli.following import SIGN_SECONDS, ProgressFile
from lsi.compute import jobs
from lsi.config import DATABASE, DataSettings, FeatureSettings, NoiseSettings, ScoreSettings, Settings
from lsi.errors import UsageError
from lsi.files import write_json
from lsi.progress import Status
from lsi.runs.listing import find_run

QUICK = Settings(data=DataSettings("digits", subset=200))


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
                 FeatureSettings("resnet18", 96, 32, "float32", False, 10, Path("w.pth"), (0.5, 0.25, 0.0), (1.0,)),
                 ScoreSettings(2.5, "kron", "refit", 3, 4, "float64"), 7, "cpu"),
        Settings(features=FeatureSettings(embeddings="e.npz:a")),
        Settings(features=FeatureSettings(probabilities="p e.csv", pca=0)),
    ],
)  # fmt: skip
def test_words_of_the_command_line_mean_the_settings(settings, monkeypatch):
    asked = []
    monkeypatch.setattr("lsi.cli.actions.perform", asked.append)
    assert main(["compute", *jobs.to_arguments(settings)]) == 0
    assert asked[0].settings() == settings


def test_settings_survive_a_manifest_and_those_of_before_are_read():
    how = FeatureSettings("timm/resnet10t", 96, weights=Path("/w.pth"), mean=(0.5,), std=(0.25, 0.25, 0.2))
    settings = Settings(features=how)
    assert Settings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings
    values = Settings().to_dict()
    for name in ("weights", "mean", "std", "embeddings", "probabilities"):
        del values["features"][name]
    assert Settings.from_dict(values) == Settings()


def test_files_that_features_are_made_with_get_absolute_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("net.onnx", "w.pth", "v.npz", "resnet18"):
        (tmp_path / name).touch()
    found = Settings(features=FeatureSettings("net.onnx:out")).resolved().features
    assert found.backbone == f"{tmp_path / 'net.onnx'}:out"
    assert found.files == {"backbone": tmp_path / "net.onnx"}
    found = Settings(features=FeatureSettings("resnet18", weights=Path("w.pth"))).resolved().features
    assert (found.backbone, found.files) == ("resnet18", {"weights": tmp_path / "w.pth"})
    for name in ("embeddings", "probabilities"):
        found = Settings(features=FeatureSettings(**{name: "v.npz:a"})).resolved().features
        assert found.vectors == f"{tmp_path / 'v.npz'}:a"
        assert found.files == {name: tmp_path / "v.npz"}


@pytest.mark.parametrize("backbone", ["my_nets:best", "os:abort", "net.pt2", "models/net.PT2"])
def test_no_job_loads_a_backbone_that_can_run_any_code(tmp_path, backbone):
    settings = Settings(features=FeatureSettings(backbone=backbone))
    with pytest.raises(UsageError, match=r"The app does not load .*can run any code. Use them on the command line"):
        jobs.start(settings, tmp_path)
    assert not (tmp_path / jobs.KIND).exists()


def test_a_job_runs_in_its_own_process_and_leaves_a_run(tmp_path):
    job = jobs.start(QUICK, tmp_path, project=False)
    assert job.facts["pid"] > 0
    again = jobs.start(QUICK, tmp_path)
    assert again.facts["pid"] == job.facts["pid"]
    assert (job.was_running, again.was_running) == (False, True)
    wait(job, "done")
    assert find_run(tmp_path, job.run_name).settings == QUICK
    assert [j.folder for j in jobs.list_jobs(tmp_path)] == [job.folder]


def test_a_job_reads_below_the_data_roots_and_uploads_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("LSI_DATA_ROOTS", os.pathsep.join([str(tmp_path / "a"), "b"]))
    monkeypatch.chdir(tmp_path)
    started = []
    monkeypatch.setattr(jobs.subprocess, "Popen", lambda words, env, **rest: started.append(env) or Process())
    jobs.start(QUICK, tmp_path / "cache")
    assert started[0]["LSI_CONFINED"] == "1"
    assert started[0]["LSI_DATA_ROOTS"].split(os.pathsep) == [str(tmp_path / n) for n in ("a", "b", "cache/uploads")]


def test_only_the_process_that_was_started_last_speaks_for_a_job(tmp_path, monkeypatch):
    """An earlier one may still compute the map of its run."""
    started = []
    monkeypatch.setattr(jobs.subprocess, "Popen", lambda words, **rest: started.append(words) or Process())
    for number in (1, 2):
        job = jobs.start(QUICK, tmp_path)
        reports = [Path(words[words.index("--progress") + 1]) for words in started]
        write_json(reports[-1], {"run": f"run {number}"})
        job.file(jobs.LOG).write_text(f"log {number}")
        assert (job.run_name, job.log_tail()) == (f"run {number}", [f"log {number}"])
    assert not reports[0].exists()
    write_json(reports[0], {"stage": "done", "run": "run 1"})
    assert (job.state, job.run_name) == ("done", "run 2")
    job = jobs.start(QUICK, tmp_path)
    assert sorted(path.name for path in job.folder.glob("*.json")) == [jobs.JOB]


def test_other_decisions_of_the_database_are_another_job(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs.subprocess, "Popen", lambda *a, **k: Process())
    monkeypatch.setattr(jobs.Job, "state", property(lambda _: "running"))
    settings = replace(QUICK, decisions=DATABASE)
    one, other, again = (jobs.start(settings, tmp_path, decided=d) for d in ("4-2", "5-3", "4-2"))
    assert one == again != other
    assert one.facts["decided"] == "4-2"


@pytest.mark.parametrize("changed", ["process_start", "process_since_boot"])
def test_a_clock_that_is_set_ends_no_job(tmp_path, changed):
    """It moves one of the two times that a process is known by."""
    running = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        facts = {"pid": running.pid} | jobs._times_of(running.pid) | {"settings": QUICK.to_dict()}
        job = jobs.Job(tmp_path)
        write_json(tmp_path / jobs.JOB, facts | {changed: facts[changed] + 60})
        assert job.state == "running"
        write_json(tmp_path / jobs.JOB, facts | {name: facts[name] + 60 for name in jobs._TIMES})
        assert job.state == "failed"
    finally:
        running.kill()
        running.communicate()


def test_a_job_of_another_machine_runs_until_it_says_or_shows_that_it_has_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs.subprocess, "Popen", lambda *a, **k: Process())
    job = jobs.start(QUICK, tmp_path)
    assert job.state == "failed"
    facts = job.facts | {"host": "lens-1"}
    write_json(job.folder / jobs.JOB, facts)
    assert (job.state, job.alive, job.is_elsewhere) == ("running", True, True)
    assert jobs.start(QUICK, tmp_path).facts == facts
    with pytest.raises(UsageError, match="runs on lens-1, where alone it can be cancelled"):
        job.cancel()
    write_json(job.file(jobs.PROGRESS), {"stage": "features", "ended": True})
    assert (job.state, job.alive) == ("failed", False)
    write_json(job.file(jobs.PROGRESS), {"stage": "features"})
    assert job.state == "running"
    late = time.time() - jobs.SILENT_SECONDS - 1
    for name in (job.folder / jobs.JOB, job.file(jobs.PROGRESS), job.file(jobs.LOG)):
        os.utime(name, (late, late))
    assert job.state == "failed"
    assert jobs.start(QUICK, tmp_path).facts["host"] == jobs._HOST


def test_a_job_gives_signs_of_life_and_says_that_it_has_ended(tmp_path):
    """Between two reports of a long stage nobody on another machine sees whether it is there."""
    path = tmp_path / "progress.json"
    file = ProgressFile(path, sign_seconds=0.01)
    file(Status("features", 1, 9, "images"))
    os.utime(path, (0, 0))
    deadline = time.monotonic() + 30
    while path.stat().st_mtime == 0:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    file.close()
    assert 4 * SIGN_SECONDS < jobs.SILENT_SECONDS
    assert json.loads(path.read_text()) == asdict(Status("features", 1, 9, "images")) | {"ended": True}


def test_a_report_that_cannot_be_written_is_missed(tmp_path, monkeypatch):
    path, asked = tmp_path / "progress.json", []

    def refused(*_given: object) -> None:
        asked.append(1)
        raise PermissionError(13, "The process cannot access the file")

    file = ProgressFile(path)
    with monkeypatch.context() as patched:
        patched.setattr("lsi.cli.following.write_json", refused)
        file(Status("features", 1, 9, "images"))
        file.finish("run")
    file.close()
    assert asked == [1, 1]
    assert json.loads(path.read_text())["run"] == "run"


class Process:
    pid = 2**22 + 1  # more than there can be

    def poll(self) -> int:
        return 0


def test_a_cancelled_job_says_so_and_can_start_again(tmp_path):
    job = jobs.start(QUICK, tmp_path, project=False)
    job.cancel()
    assert job.state == "cancelled"
    wait(jobs.start(QUICK, tmp_path, project=False), "done")


def test_a_job_that_runs_again_is_not_dismissed_from_a_page_of_before(tmp_path, monkeypatch):
    job = jobs.Job(tmp_path)
    write_json(tmp_path / jobs.JOB, {"pid": 0})
    monkeypatch.setattr(jobs.Job, "alive", True)
    job.dismiss()
    assert not job.is_dismissed
    monkeypatch.setattr(jobs.Job, "alive", False)
    job.dismiss()
    assert job.is_dismissed


def test_a_job_that_has_filled_the_disk_can_be_cancelled(tmp_path, monkeypatch):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        write_json(tmp_path / jobs.JOB, {"pid": process.pid} | jobs._times_of(process.pid))

        def full(*_given: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(jobs, "write_json", full)
        jobs.Job(tmp_path).cancel()
        process.wait(10)
        assert not psutil.pid_exists(process.pid)


def test_a_job_that_fails_keeps_its_message(tmp_path):
    job = jobs.start(Settings(data=DataSettings(data=tmp_path / "nothing")), tmp_path)
    wait(job, "failed")
    assert job.progress["ended"]
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
        job.file(jobs.PROGRESS).unlink()
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
