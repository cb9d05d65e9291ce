"""The command line, as a person types it."""

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lsi.cli import main
from lsi.cli.commands import COMMANDS
from lsi.compute import jobs
from lsi.environment import data_root_of, default_cache, default_data_root
from lsi.files import write_json
from lsi.runs.comparison import plain_records
from lsi.runs.listing import find_run
from tests.cases import odd_numbers

ROOT = Path(__file__).parent.parent.parent
DIGITS = ("compute", "--dataset", "digits", "--quiet")


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    assert main([*DIGITS, "--subset", "300", "--corrupt-label", "0.1", "--cache", str(folder)]) == 0
    return folder


def run(capsys, *words: str) -> str:
    capsys.readouterr()
    assert main(list(words)) == 0
    return capsys.readouterr().out


def test_compute_ends_with_the_table_and_the_folder(capsys, tmp_path):
    out = run(capsys, *DIGITS, "--subset", "200", "--corrupt_label", "0.1", "--cache", str(tmp_path),
              "--output", str(tmp_path / "out"))  # fmt: skip
    assert "most information" in out
    assert "leave-one-out self-confidence" in out
    assert Path(out.strip().splitlines()[-1]).is_dir()
    assert (tmp_path / "out" / "scores.parquet").is_file()


def test_progress_shows_images_per_second_and_time_left(capsys, tmp_path):
    assert main(["compute", "--dataset", "digits", "--subset", "200", "--cache", str(tmp_path)]) == 0
    err = capsys.readouterr().err
    assert "features" in err
    assert "images/s" in err


def test_json_is_json_and_nothing_else(capsys, cache):
    for words in (["show"], ["issues"], ["runs"], ["cache"], ["cache", "size"]):
        json.loads(run(capsys, *words, "--json", "--cache", str(cache)))
    index = json.loads(run(capsys, "issues", "--json", "--cache", str(cache)))[0]["index"]
    found = json.loads(run(capsys, "explain", "latest", str(index), "--json", "--cache", str(cache)))
    assert found["index"] == index
    assert found["given"] != found["suggested"] == found["other"]
    assert {s["speaks"] for s in found["speakers"]} == {"for", "against"}


def test_numbers_keep_their_digits_in_json(capsys, cache):
    found = find_run(cache, "latest")
    for words in (["issues"], ["explain", "latest", str(found.scores["index"][0])]):
        out = json.loads(run(capsys, *words, "--json", "--cache", str(cache)))
        numbers = [r["label_score"] for r in out] if words == ["issues"] else [r["support"] for r in out["speakers"]]
        assert any(number != round(number, 10) for number in numbers), words
    small = pd.DataFrame({"p": [1e-30, np.nan, np.inf], "n": [1, 2, 3], "t": ["a", None, "c"]})
    assert plain_records(small) == [
        {"p": 1e-30, "n": 1, "t": "a"}, {"p": None, "n": 2, "t": None}, {"p": None, "n": 3, "t": "c"},
    ]  # fmt: skip


def test_issues_lists_the_worst_first(capsys, cache):
    rows = json.loads(run(capsys, "issues", "--rows", "0", "--json", "--cache", str(cache)))
    scores = [r["label_score"] for r in rows]
    assert scores == sorted(scores)
    everything = run(capsys, "issues", "--filter-by", "predicted_neq_given", "--cache", str(cache))
    assert "labels suspected by predicted_neq_given" in everything


def test_export_writes_lists_that_add_up(capsys, cache, tmp_path):
    run(capsys, "export", "--output", str(tmp_path), "--drop-issues", "--keep-one", "--cache", str(cache))
    kept, removed = (np.loadtxt(tmp_path / f"{n}_indices.txt", dtype=int) for n in ("kept", "removed"))
    run_folder = next((cache / "runs").iterdir())
    table = pd.read_parquet(run_folder / "scores.parquet")
    np.testing.assert_array_equal(np.sort(np.r_[kept, removed]), np.sort(table["index"]))
    assert set(table.loc[table["is_label_issue"], "index"]) <= set(removed)
    for how, read in {
        "csv": lambda p: pd.read_csv(p)["index"],
        "json": lambda p: json.loads(p.read_text()),
        "npy": np.load,
        "parquet": lambda p: pd.read_parquet(p)["index"],
    }.items():
        np.testing.assert_array_equal(np.asarray(read(tmp_path / f"kept_indices.{how}")), kept)
    assert json.loads((tmp_path / "manifest.json").read_text())["export"]["n_kept"] == len(kept)
    assert {"is_label_issue", "label_score", "given_label", "predicted_label"} <= set(
        pd.read_csv(tmp_path / "issues.csv")
    )


def test_keep_top_keeps_the_highest(capsys, cache, tmp_path):
    run(capsys, "export", "--output", str(tmp_path), "--keep-top", "10", "--formats", "npy", "--cache", str(cache))
    table = pd.read_parquet(next((cache / "runs").iterdir()) / "scores.parquet")
    assert set(np.load(tmp_path / "kept_indices.npy")) == set(table.nlargest(10, "lsi")["index"])
    assert not (tmp_path / "kept_indices.csv").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["compute", "--corrupt-label", "3"], 2, "Expected corrupt_label from 0 to 1, got 3.0"),
        (["compute", "--subset", "1"], 2, "Expected subset ≥ 2"),
        (["compute", "--prior-precision", "-1"], 2, "prior_precision > 0 or auto"),
        (["compute", "--prior-precision", "inf"], 2, "prior_precision > 0 or auto"),
        (["compute", "--corrupt-data", "0.1"], 2, "corrupt_data and corrupt_data_label belong together"),
        (["compute", "--preset", "paper", "--structure", "kron"], 2, "preset=paper sets structure"),
        (["compute", "--preset", "paper", "--pca", "8"], 2, "preset=paper sets structure, prior_precision and pca"),
        (["compute", "--device", "tpu"], 2, "Expected device auto, cpu, cuda"),
        (["compute", "--device", "cuda:x"], 2, "Expected device auto, cpu, cuda"),
        (["compute", "--device", "cuda:99"], 2, "device='cuda:99' is not available: PyTorch sees"),
        (["compute", "--data", "/no/such/place"], 1, "no such file or folder"),
        (["compute", "--backbone", "resnet99"], 2, "No backbone is called"),
        (["compute", "--human_label_noise", "True"], 2, "not for fashion"),
        (["show", "nothing"], 2, "No run is called 'nothing'"),
        (["explain", "latest", "99999"], 2, "holds no sample 99999"),
        (["runs", "delete", "latest", "another"], 2, "Name one run to delete"),
        (["runs", "list", "latest"], 2, "name no run"),
        (["cache", "list", "--kinds", "runs"], 2, "--kinds says what to clear"),
        (["cache", "size", "--kinds", "runs"], 2, "--kinds says what to clear"),
        (["inspect", ".", "--data", ".."], 2, "Name the data once"),
        (["trail", "--output", "."], 2, "is a folder: name a file"),
        (["decisions", "export", "."], 2, "is a folder: name a file"),
        (["report", "--output", "."], 2, "is a folder: name a file"),
        (["export", "--output", __file__], 2, "is no folder"),
        *(
            ([*words, "--rows", "-1"], 2, "Expected rows ≥ 0, got -1")
            for words in (["show"], ["issues"], ["explain", "latest", "0"], ["trail"], ["compare"])
        ),
        (["dance"], 2, "dance"),
        (["compute", "--no-such-option"], 2, "no-such-option"),
    ],
)
def test_errors_are_one_message_and_an_exit_code(capsys, cache, words, code, message):
    more = [] if words == ["dance"] else ["--cache", str(cache)]
    assert main([*words, *more]) == code
    streams = capsys.readouterr()
    assert message in streams.err + streams.out
    assert "Traceback" not in streams.err + streams.out


def test_the_papers_command_lines_parse():
    from lsi.cli.main import _parse

    lines = ["--dataset cifar10", "--dataset cifar100", "--dataset cifar10 --corrupt_label 0.2",
             "--dataset cifar10 --corrupt_data 0.1 --corrupt_data_label 0 1 2",
             "--dataset cifar10 --human_label_noise True"]  # fmt: skip
    found = [_parse(["compute", *line.split()]).settings() for line in lines]
    assert [s.data.dataset for s in found] == ["cifar10", "cifar100", "cifar10", "cifar10", "cifar10"]
    assert found[2].noise.corrupt_label == 0.2
    assert found[3].noise.corrupt_data_label == (0, 1, 2)
    assert found[4].noise.human_label_noise
    assert not _parse(["compute", "--human-label-noise", "False"]).noise.human_label_noise


def test_an_interrupted_command_says_that_it_can_go_on(capsys, monkeypatch, tmp_path):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("lsi.compute.pipeline.run", interrupted)
    assert main(["compute", "--cache", str(tmp_path)]) == 130
    assert "goes on from the stages that are done" in capsys.readouterr().err


def test_project_and_clear(capsys, tmp_path):
    run(capsys, *DIGITS, "--subset", "100", "--cache", str(tmp_path))
    assert "100 positions" in run(capsys, "project", "--cache", str(tmp_path))
    assert "freed" in run(capsys, "cache", "clear", "--cache", str(tmp_path))
    assert "digits-" in run(capsys, "runs", "--cache", str(tmp_path))
    assert not (tmp_path / "features").exists()
    index = pd.read_parquet(next((tmp_path / "runs").iterdir()) / "scores.parquet")["index"][3]
    assert f"sample {index}" in run(capsys, "explain", "latest", str(index), "--cache", str(tmp_path))
    run(capsys, "cache", "clear", "--kinds", "runs", "--cache", str(tmp_path))
    assert "no runs yet" in run(capsys, "runs", "--cache", str(tmp_path))


@pytest.mark.parametrize("before", [None, "elsewhere"])
def test_a_cache_that_is_named_is_where_datasets_are_downloaded_to(tmp_path, monkeypatch, before):
    monkeypatch.delenv("LSI_DATA", raising=False)
    monkeypatch.delenv("LSI_CACHE", raising=False)
    if before:
        monkeypatch.setenv("LSI_CACHE", before)
    found = []
    monkeypatch.setattr(sys.modules["lsi.cli.main"], "_perform", lambda command: found.append(default_data_root()))
    assert main(["compute", "--dataset", "cifar10", "--cache", str(tmp_path)]) == 0
    assert found == [tmp_path / "data"]
    assert os.environ.get("LSI_CACHE") == before


def computation(folder: Path, is_running: bool, data: Path) -> Path:
    """Write the folder of a computation whose process is this one, or none."""
    process = {"pid": os.getpid()} | jobs._times_of(os.getpid()) if is_running else {"pid": 0}
    write_json(folder / jobs.JOB, process | {"started": 1.0, "settings": {"data": {"data": str(data)}}})
    return folder


def test_clearing_leaves_what_runs_and_what_it_is_computed_from(capsys, tmp_path):
    uploads = [tmp_path / "uploads" / name / "data" for name in ("ab12", "cd34")]
    for upload in uploads:
        upload.mkdir(parents=True)
    running, ended = (
        computation(tmp_path / "jobs" / str(number), number == 0, uploads[number] / "a.zip") for number in range(2)
    )
    write_json(tmp_path / "jobs" / "odd" / jobs.JOB, [])
    run(capsys, "cache", "clear", "--kinds", "jobs", "uploads", "--cache", str(tmp_path))
    assert (running.is_dir(), ended.is_dir(), (tmp_path / "jobs" / "odd").exists()) == (True, False, False)
    assert [upload.is_dir() for upload in uploads] == [True, False]


def test_what_runs_alone_refer_to_is_cleared_with_them(capsys, tmp_path):
    run(capsys, *DIGITS, "--subset", "200", "--cache", str(tmp_path))
    assert len(list((tmp_path / "designs").iterdir())) == 1
    run(capsys, "cache", "clear", "--kinds", "designs", "runs", "--cache", str(tmp_path))
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "designs").exists()


def test_variables_that_are_set_and_empty_say_nothing(monkeypatch, tmp_path):
    for name in ("LSI_CACHE", "LSI_DATA"):
        monkeypatch.setenv(name, "")
    assert (default_cache(), default_data_root()) == (Path("cache"), Path("cache/data"))
    (tmp_path / "data").mkdir()
    assert data_root_of(tmp_path / "runs" / "a") == tmp_path / "data"


def test_the_datasets_of_a_run_are_looked_for_in_its_own_cache(tmp_path, monkeypatch):
    monkeypatch.delenv("LSI_DATA", raising=False)
    monkeypatch.setenv("LSI_CACHE", str(tmp_path / "other"))
    folder = tmp_path / "cache" / "runs" / "one"
    assert data_root_of(folder) == tmp_path / "other" / "data"  # of a version that downloaded there
    (tmp_path / "cache" / "data").mkdir(parents=True)
    assert data_root_of(folder) == tmp_path / "cache" / "data"
    monkeypatch.setenv("LSI_DATA", str(tmp_path / "named"))
    assert data_root_of(folder) == tmp_path / "named"


def test_every_command_is_in_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert re.search(rf"lsi {name}\b", readme), f"the README does not mention `lsi {name}`"


def test_formulas_do_not_run_in_spreadsheets():
    from lsi.export import spreadsheet_safe

    table = spreadsheet_safe(pd.DataFrame({"id": ["=cmd()", "a.png", "@x"], "n": [-1, 2, 3]}))
    assert table["id"].tolist() == ["'=cmd()", "a.png", "'@x"]
    assert table["n"].tolist() == [-1, 2, 3]


def test_numbers_and_unlabelled_images_on_the_command_line(capsys, tmp_path):
    scans = tmp_path / "scans"
    scans.mkdir()
    manifest = odd_numbers(scans)
    where = ["--cache", str(tmp_path / "cache")]
    capsys.readouterr()
    assert main(["compute", "--data", str(scans), "--quiet", *where]) == 0
    out, said = capsys.readouterr()
    assert said.startswith(f"{scans}: ")
    assert "it/s" not in said
    assert "no labels: one view predicts" in out
    assert "leave-one-out R²" in out
    assert "suspected" not in out
    out = run(capsys, "compute", "--data", str(manifest), "--task", "regression", "--targets", "<b>weight</b>",
              "--quiet", "--output", str(tmp_path / "out"), *where)  # fmt: skip
    assert "regression of <b>weight</b>" in out
    assert "suspected targets" in out
    assert (tmp_path / "out" / "scores.parquet").is_file()
    assert "loo_prediction <b>weight</b>" in run(capsys, "issues", *where)
    told = json.loads(run(capsys, "explain", "latest", "3", "--json", *where))
    assert {s["draws"] for s in told["speakers"]} == {"to the target", "away"}
    assert "which way each pulls the prediction" in run(capsys, "explain", "latest", "3", *where)
    run(capsys, "report", "--output", str(tmp_path / "r.html"), *where)
    page = (tmp_path / "r.html").read_text()
    assert "Suspected targets" in page
    assert "<b>weight</b>" not in page.replace("&lt;b&gt;", "")
    partners = run(capsys, "compute", "--data", str(scans), "--task", "paired", "--targets",
                   str(scans / "partners.npy"), "--quiet", *where)  # fmt: skip
    assert "paired with an embedding of" in partners


def test_calibration_on_the_command_line(capsys, tmp_path):
    out = run(capsys, *DIGITS, "--subset", "300", "--corrupt-label", "0.1", "--calibrate", "--cache", str(tmp_path))
    assert re.search(r"expect about \d+ wrong labels", out)
    assert "precision" in out


def test_a_task_that_does_not_fit_is_a_sentence(capsys, tmp_path):
    odd_numbers(tmp_path)
    for words, message in (
        (["--task", "classification"], "has no labels to learn"),
        (["--task", "regression"], "needs targets"),
    ):
        assert main(["compute", "--data", str(tmp_path), "--cache", str(tmp_path / "c"), *words]) in (1, 2)
        assert message in capsys.readouterr().err


def test_a_copy_of_a_run_removes_files_of_runs_alone(tmp_path, capsys):
    """A folder of somebody's own may hold a table and a folder of the same names."""
    out = tmp_path / "out"
    (out / "design").mkdir(parents=True)
    for name in ("unlabelled.parquet", "design/plan.txt"):
        (out / name).write_text("mine")
    arguments = [
        "compute",
        "--dataset",
        "digits",
        "--subset",
        "60",
        "--cache",
        str(tmp_path / "c"),
        "--output",
        str(out),
    ]
    assert main(arguments) == 0
    assert (out / "unlabelled.parquet").read_text() == (out / "design" / "plan.txt").read_text() == "mine"
    (out / "decided.json").write_text("{}")
    assert main(arguments) == 0
    assert not (out / "decided.json").exists(), "of a run that was copied here before"
