"""Runs that start from decisions: what leaves, what counts, and what comes out of them again."""

import csv
import json
import runpy
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from lsi.cli import main
from lsi.compute import decided, pipeline
from lsi.compute.queries import report_of_run
from lsi.compute.uncomputed import data_as_run
from lsi.config import DATABASE, DataSettings, FeatureSettings, NoiseSettings, Settings
from lsi.errors import DataError, LsiError, UsageError
from lsi.export import export, select, selection_of, write_for, write_images
from lsi.runs.decisions import Decision, Reviews
from lsi.runs.listing import list_runs
from lsi.runs.records import decision_records
from lsi.runs.run import Run

KINDS = ("cat", "dog", "owl")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Three classes of twenty small images, one of them broken."""
    root, rng = tmp_path_factory.mktemp("data") / "pets", np.random.default_rng(0)
    for i in range(60):
        path = root / KINDS[i % 3] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.clip(rng.normal(60 * (i % 3) + 50, 40, (10, 10, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(path)
    (root / "cat" / "0.png").write_bytes(b"no image")
    return root


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.delenv("LSI_DATABASE_URL", raising=False)
    return tmp_path / "cache"


def settings_of(folder: Path, decisions: str | None = None, seed: int = 0) -> Settings:
    features = FeatureSettings(backbone="pixels")
    return Settings(DataSettings(data=folder), features=features, seed=seed, decisions=decisions)


def decide(run: Run, cache: Path, **decisions: tuple[str, str | None]) -> dict[str, int]:
    """Record decisions by the number in the image's name: action and new class; return the numbers' positions."""
    at = {Path(id_).stem: i for i, id_ in enumerate(run.scores["id"])}
    given = run.scores["given_label"]
    reviews = Reviews.of_cache(cache)
    for name, (action, label) in decisions.items():
        position = at[name.removeprefix("n")]
        number = None if label is None else run.class_names.index(label)
        reviews.record(run.subject, "ann", [Decision(position, action, number, given=int(given[position]))])
    reviews.close()
    return at


@pytest.fixture
def pair(folder, cache) -> tuple[Run, Run]:
    """A run, and the one that starts from its decisions."""
    run = pipeline.run(settings_of(folder), cache)
    decide(run, cache, n4=("exclude", None), n7=("relabel", "owl"), n9=("keep", None), n12=("unsure", None))
    return run, pipeline.run(settings_of(folder, DATABASE), cache)


def test_excluded_samples_leave_and_new_labels_count(pair):
    run, child = pair
    assert set(run.scores["id"]) - set(child.scores["id"]) == {"dog/4.png"}
    rows = child.scores.set_index("id")
    assert child.class_names[rows.loc["dog/7.png", "given_label"]] == "owl"
    assert rows.loc["dog/7.png", "label_in_data"] == "dog"
    assert sorted(rows.index[rows["is_confirmed"]]) == ["cat/9.png", "dog/7.png"]
    assert child.parent == run.name
    facts = child.manifest["decided"]
    assert (facts["n_excluded"], facts["n_relabelled"], facts["n_confirmed"], facts["n_elsewhere"]) == (1, 1, 1, 0)
    assert "decided" not in run.files
    same = rows.index.intersection(run.scores["id"])
    pd.testing.assert_series_equal(rows["index"][same], run.scores.set_index("id")["index"][same])


def test_what_a_person_confirmed_is_not_suspected_again(folder, cache):
    """Wrong on purpose: every label is confirmed, so that no rule may suspect one."""
    run = pipeline.run(settings_of(folder), cache)
    names = [Path(id_).stem for id_ in run.scores["id"]]
    wrong = {f"n{name}": ("relabel", KINDS[(int(name) + 1) % 3]) for name in names[:8]}
    decide(run, cache, **wrong)
    plain = pipeline.run(settings_of(folder, DATABASE), cache)
    assert not plain.scores["is_label_issue"][plain.scores["is_confirmed"]].any()
    assert main(["issues", plain.name, "--filter-by", "predicted_neq_given", "--cache", str(cache), "--json"]) == 0


def test_a_file_of_decisions_comes_to_the_same_run_as_the_database(pair, folder, cache, tmp_path):
    run, child = pair
    assert main(["decisions", "export", str(tmp_path / "d.json"), "--run", run.name, "--cache", str(cache)]) == 0
    again = pipeline.run(settings_of(folder, str(tmp_path / "d.json")), cache)
    assert again.name == child.name != run.name
    own = pipeline.run(settings_of(folder, str(child.folder / "decided.json")), tmp_path / "elsewhere")
    assert own.name == child.name


def test_a_run_keeps_the_decisions_of_its_own_file(pair, folder, cache, tmp_path):
    """Files that exclude, relabel and confirm the same, and yet say something else."""
    run, child = pair
    assert main(["decisions", "export", str(tmp_path / "d.json"), "--run", run.name, "--cache", str(cache)]) == 0
    content = json.loads((tmp_path / "d.json").read_text())
    excluded = next(record for record in content["decisions"] if record["action"] == "exclude")
    others = {
        "without the unsure one": [r for r in content["decisions"] if r["action"] != "unsure"],
        "by a rule": [r | {"reviewer": "rule", "time": ""} if r is excluded else r for r in content["decisions"]],
    }
    found = {}
    for name, records in others.items():
        (tmp_path / "e.json").write_text(json.dumps(content | {"decisions": records}))
        found[name] = pipeline.run(settings_of(folder, str(tmp_path / "e.json")), cache)
    assert len({child.name, *(other.name for other in found.values())}) == 3
    kept = json.loads((found["without the unsure one"].folder / "decided.json").read_text())
    assert "unsure" not in {record["action"] for record in kept["decisions"]}
    facts = found["by a rule"].manifest["decided"]
    assert (facts["n_excluded"], facts["n_by_rule"]) == (0, 1)


def test_decisions_hold_for_data_that_grew_and_moved(pair, folder, cache, tmp_path):
    run, _ = pair
    grown = tmp_path / "pets"
    shutil.copytree(folder, grown)
    Image.fromarray(np.full((10, 10, 3), 90, np.uint8)).save(grown / "cat" / "00.png")
    child = pipeline.run(settings_of(grown, DATABASE), cache)
    assert {"cat/00.png"} == set(child.scores["id"]) - set(run.scores["id"])
    assert {"dog/4.png"} == set(run.scores["id"]) - set(child.scores["id"])
    assert child.manifest["decided"]["n_relabelled"] == 1


def test_rows_that_came_and_were_excluded_are_in_the_lists_of_a_run_of_their_own(folder, cache, tmp_path):
    """The samples that stay are the same, and so are their labels."""
    data = tmp_path / "pets"
    shutil.copytree(folder, data)
    decide(pipeline.run(settings_of(data), cache), cache, n4=("exclude", None))
    before = pipeline.run(settings_of(data, DATABASE), cache)
    for i in range(3):
        Image.fromarray(np.full((10, 10, 3), 90 + i, np.uint8)).save(data / "owl" / f"z{i}.png")
    decide(pipeline.run(settings_of(data), cache), cache, **{f"nz{i}": ("exclude", None) for i in range(3)})
    after = pipeline.run(settings_of(data, DATABASE), cache)
    assert after.scores["id"].tolist() == before.scores["id"].tolist()
    samples = ImageFolder(str(data)).samples
    export(after, select(after), tmp_path / "out", formats=("npy",))
    removed = [Path(samples[i][0]).stem for i in np.load(tmp_path / "out" / "removed_indices.npy")]
    assert removed == ["4", "z0", "z1", "z2"]


def test_decisions_that_fit_nothing_in_the_data_are_said(folder, cache, tmp_path, capsys):
    run = pipeline.run(settings_of(folder), cache)
    decide(run, cache, n4=("exclude", None), n9=("keep", None))
    file, lost = tmp_path / "d.json", {"id": "cow/1.png", "content": "other", "action": "exclude"}
    assert main(["decisions", "export", str(file), "--run", run.name, "--cache", str(cache)]) == 0
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"decisions": [*content["decisions"], lost, lost | {"id": "cow/2.png"}]}))
    capsys.readouterr()
    words = ["--data", str(folder), "--backbone", "pixels", "--decisions", str(file), "--cache", str(cache)]
    said = "2 of 4 decisions are on samples, or for classes, that these data do not have, and change nothing."
    for _ in range(2):  # the second time the run is there already
        assert main(["compute", *words]) == 0
        assert capsys.readouterr().out.count(said) == 1
    file.write_text(json.dumps(content))
    assert main(["compute", *words]) == 0
    assert "change nothing" not in capsys.readouterr().out


def test_a_file_of_decisions_excludes_the_rows_that_the_data_have_now(pair, folder, cache, tmp_path):
    """The file was written when the excluded image stood at another row of the source."""
    run, _ = pair
    file, grown = tmp_path / "d.json", tmp_path / "pets"
    assert main(["decisions", "export", str(file), "--run", run.name, "--cache", str(cache)]) == 0
    content = json.loads(file.read_text())
    keep = next(r for r in content["decisions"] if r["id"] == "cat/9.png")
    content["decisions"].insert(0, keep | {"action": "exclude"})  # and what a later record of the file takes back
    file.write_text(json.dumps(content))
    shutil.copytree(folder, grown)
    Image.fromarray(np.full((10, 10, 3), 90, np.uint8)).save(grown / "cat" / "00.png")
    child = pipeline.run(settings_of(grown, str(file)), cache)
    written = export(child, select(child), tmp_path / "out")
    lists = {p.stem: np.load(p) for p in written if p.suffix == ".npy"}
    samples = ImageFolder(str(grown)).samples
    assert [Path(samples[i][0]).name for i in lists["removed_indices"]] == ["4.png"]
    assert not np.isin(lists["removed_indices"], lists["kept_indices"]).any()
    assert len(lists["kept_indices"]) == len(samples) - 2  # one image is broken


def test_a_report_tells_what_was_decided_before_the_run_from_what_was_decided_since(pair, cache):
    _, child = pair
    with closing(Reviews.of_cache(cache)) as reviews:
        html = report_of_run(child, None, reviews.current(child.subject))
        body = " ".join(html[html.index("</script>") :].split())
        assert "before this run was computed: <b>1</b> excluded, <b>1</b> relabelled, <b>1</b> confirmed." in body
        assert "left unsure" not in body
        assert "Nobody has decided anything since." in body
        reviews.record(child.subject, "bob", [Decision(0, "exclude")])
        html = report_of_run(child, None, reviews.current(child.subject))
    body = " ".join(html[html.index("</script>") :].split())
    assert "Decided by people since: <b>1</b> excluded." in body
    assert "Curated by the decisions of the reviewers." in body


def test_a_report_of_a_run_that_started_from_a_file_counts_a_decision_once(pair, folder, cache, tmp_path):
    run, _ = pair
    with closing(Reviews.of_cache(cache)) as reviews:
        records = decision_records(run.subject, reviews.current(run.subject))
        content = {"dataset": run.subject.dataset, "decisions": records}
        (tmp_path / "first.json").write_text(json.dumps(content))
        for record in records:  # as Label Studio writes the same moment
            record["time"] = str(record["time"]).replace(" ", "T").replace("+00:00", "") + "Z"
        (tmp_path / "d.json").write_text(json.dumps(content))
        child = pipeline.run(settings_of(folder, str(tmp_path / "d.json"), seed=1), cache)
        html = report_of_run(child, None, reviews.current(child.subject))
    body = " ".join(html[html.index("</script>") :].split())
    assert "before this run was computed: <b>1</b> excluded, <b>1</b> relabelled, <b>1</b> confirmed." in body
    assert "Nobody has decided anything since." in body


def test_a_keep_of_a_sample_alone_is_a_whole_sentence_of_a_report(pair, cache):
    run, _ = pair
    apart = pd.DataFrame({"action": ["keep"], "label": [np.nan], "is_of_label": [False]}, index=[3])
    html = report_of_run(run, None, apart)
    assert "Decided by people: <b>1</b> kept." in " ".join(html[html.index("</script>") :].split())


def test_a_report_checks_the_labels_that_an_export_would_have(pair, cache, tmp_path):
    _, child = pair
    words = ["report", child.name, "--output", str(tmp_path / "r.html"), "--cache", str(cache)]
    decide(child, cache, n7=("clear", None))
    assert main(words) == 0
    assert "Curated by the decisions of the reviewers." in (tmp_path / "r.html").read_text()
    decide(child, cache, n7=("keep", None))  # and what is said since is not taken for what was said before
    assert main(words) == 0
    assert "Decided by people since: <b>1</b> confirmed." in " ".join((tmp_path / "r.html").read_text().split())


def test_a_report_says_why_there_is_no_check_where_too_little_is_left(pair):
    run, _ = pair
    gone = np.flatnonzero(run.scores["given_label"] > 0)
    html = report_of_run(run, None, pd.DataFrame({"action": "exclude", "label": np.nan}, index=gone))
    assert "could not be checked: Curation leaves samples of fewer than two classes to train on." in html
    assert "How the information is spread" in html


def test_decisions_are_about_labels_that_were_flipped_on_purpose(folder, cache):
    flipped = replace(settings_of(folder), noise=NoiseSettings(corrupt_label=0.2))
    run = pipeline.run(flipped, cache)
    wrong = run.scores[run.scores["is_corrupted"]]
    mended, gone = wrong.iloc[0], wrong.iloc[1]
    decide(run, cache, **{f"n{Path(mended['id']).stem}": ("relabel", mended["id"].partition("/")[0]),
                          f"n{Path(gone['id']).stem}": ("exclude", None)})  # fmt: skip
    child = pipeline.run(replace(flipped, decisions=DATABASE), cache)
    before, after = run.scores.set_index("id"), child.scores.set_index("id")
    assert list(after.index) == list(before.index.drop(gone["id"]))
    names = np.array(run.class_names)
    now = dict(zip(after.index, names[after["given_label"]], strict=True))
    assert now.pop(mended["id"]) == mended["id"].partition("/")[0]
    assert now == {i: names[before.loc[i, "given_label"]] for i in now}  # flipped as before
    assert not after.loc[mended["id"], "is_corrupted"]
    assert after["is_corrupted"].sum() == len(wrong) - 2
    assert after.loc[mended["id"], "label_in_data"] == names[mended["given_label"]]
    noisy = NoiseSettings(corrupt_data=1.0, corrupt_data_label=(0,))
    with pytest.raises(UsageError, match="corrupt_data and decisions exclude each other"):
        pipeline.run(replace(flipped, noise=noisy, decisions=DATABASE), cache)


def test_a_keep_of_the_sample_confirms_no_label(folder, cache):
    """Said of an image as no duplicate of others, or in a run without classes, it leaves the label open."""
    run = pipeline.run(settings_of(folder), cache)
    reviews = Reviews.of_cache(cache)
    reviews.record(run.subject, "ann", [Decision(3, "keep", is_of_label=False), Decision(4, "keep")])
    plain = replace(settings_of(folder), data=DataSettings(data=folder, task="self"))
    alone = pipeline.run(plain, cache)
    reviews.record(alone.subject, "ann", [Decision(5, "keep")])
    decided = reviews.current(run.subject)
    assert decided["action"].tolist() == ["keep"] * 3
    assert decided["is_of_label"].to_dict() == {3: False, 4: True, 5: False}
    records = decision_records(run.subject, decided)
    assert [r["given_name"] for r in records] == [None, run.class_names[run.scores["given_label"][4]], None]
    reviews.close()
    child = pipeline.run(settings_of(folder, DATABASE), cache)
    assert child.scores["id"][child.scores["is_confirmed"]].tolist() == [run.scores["id"][4]]


def test_decisions_on_labels_pass_through_a_run_without_classes(pair, folder, cache, tmp_path):
    _, child = pair
    alone = pipeline.run(replace(settings_of(folder), data=DataSettings(data=folder, task="self")), cache)
    with closing(Reviews.of_cache(cache)) as reviews:
        decided = reviews.current(alone.subject)
        assert sorted(decided["action"]) == ["exclude", "keep", "unsure"], "a new label says nothing here"
        assert reviews.n_foreign(alone.subject) == 1
    file = tmp_path / "d.json"
    assert main(["decisions", "export", str(file), "--run", alone.name, "--all", "--cache", str(cache)]) == 0
    assert pipeline.run(settings_of(folder, str(file)), cache).name == child.name
    excluded = pipeline.run(replace(settings_of(folder, DATABASE), data=DataSettings(data=folder, task="self")), cache)
    assert len(excluded.scores) == len(alone.scores) - 1
    assert excluded.manifest["decided"]["n_elsewhere"] == 1


def test_decisions_on_one_column_of_labels_are_none_on_another_with_the_same_classes(folder, cache, tmp_path, capsys):
    ids = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))[1:]
    answers = np.array(["no", "yes"])
    rows = pd.DataFrame({"path": ids, "smiles": answers[np.arange(59) % 2], "old": answers[(np.arange(59) % 3) // 2]})
    table, words = tmp_path / "faces.csv", ["--backbone", "pixels", "--quiet", "--cache", str(cache)]
    rows.assign(path=[str(folder / i) for i in ids]).to_csv(table, index=False)
    on = {}
    for column in ("smiles", "old"):
        asked = DataSettings(data=table, label_column=column)
        on[column] = pipeline.run(Settings(asked, features=FeatureSettings(backbone="pixels")), cache)
    smiles, old = on["smiles"], on["old"]
    with closing(Reviews.of_cache(cache)) as reviews:
        reviews.record(smiles.subject, "ann", [Decision(1, "keep"), Decision(4, "relabel", 1), Decision(5, "exclude")])
        assert reviews.current(old.subject)["action"].to_dict() == {5: "exclude"}
        assert len(reviews.current(smiles.subject)) == 3
    told = ["compute", "--data", str(table), "--label-column", "old", *words, "--decisions"]
    assert main([*told, DATABASE]) == 0
    again = next(run for run in list_runs(cache) if run.parent == old.name)
    assert again.manifest["decided"]["n_relabelled"] == again.manifest["decided"]["n_confirmed"] == 0
    file = tmp_path / "smiles.json"
    assert main(["decisions", "export", str(file), "--run", smiles.name, "--cache", str(cache)]) == 0
    applied = ["apply", str(file), "--data", str(table), "--cache", str(cache), "--label-column"]
    for words in ([*told, str(file)], [*applied, "old", "--output", str(tmp_path / "out")]):
        capsys.readouterr()
        assert main(words) == 1
        assert "decided about the column 'smiles'; here 'old' is looked at" in capsys.readouterr().err
    assert main([*applied, "smiles", "--output", str(tmp_path / "out")]) == 0


def test_a_run_on_other_data_of_the_same_name_is_no_parent(folder, cache, tmp_path):
    copied = tmp_path / folder.name
    shutil.copytree(folder, copied)
    for path in (p for p in copied.rglob("*.png") if p.name != "0.png"):
        Image.eval(Image.open(path), lambda v: 255 - v).save(path)
    one, other = (pipeline.run(settings_of(place), cache) for place in (folder, copied))
    assert one.subject_name == other.subject_name
    with closing(Reviews.of_cache(cache)) as reviews:
        reviews.record(one.subject, "ann", [Decision(2, "exclude")])
        reviews.record(other.subject, "ann", [Decision(3, "exclude")])
        about, plain = one.subject, replace(settings_of(folder, DATABASE), seed=5)  # no run is alike
        assert decided._of_database(about, plain, cache)[0] == one.name


def test_decisions_on_data_with_image_and_text_are_found(folder, cache, tmp_path):
    files = sorted(p for p in folder.rglob("*.png") if p.name != "0.png")[:30]
    rows = [{"img": str(p.relative_to(folder)), "label": p.parent.name, "text": p.stem} for p in files]
    shutil.copytree(folder, tmp_path / "pets")
    (tmp_path / "pets" / "d.jsonl").write_text("\n".join(map(json.dumps, rows)))
    settings = settings_of(tmp_path / "pets" / "d.jsonl")
    run = pipeline.run(settings, cache)
    with closing(Reviews.of_cache(cache)) as reviews:
        reviews.record(run.subject, "ann", [Decision(2, "exclude")])
    child = pipeline.run(replace(settings, decisions=DATABASE), cache)
    assert set(run.scores["id"]) - set(child.scores["id"]) == {run.scores["id"][2]}


def test_an_export_speaks_of_the_data_and_not_of_the_run_before(pair, folder, tmp_path):
    """Applied to the first run, to the second, or to the data alone, the decisions come to the same lists."""
    run, child = pair
    export(child, select(child), tmp_path / "child")
    relabelled = pd.read_csv(tmp_path / "child" / "relabel.csv")
    assert relabelled[["id", "given_name", "new_name"]].to_numpy().tolist() == [["dog/7.png", "dog", "owl"]]
    cleaned = runpy.run_path(str(tmp_path / "child" / "subset.py"))["kept"](ImageFolder(str(folder)))
    labels = {Path(cleaned.dataset.samples[i][0]).name: y for i, y in zip(cleaned.indices, cleaned.labels, strict=True)}
    assert len(labels) == 58
    assert labels["7.png"] == KINDS.index("owl")
    assert "4.png" not in labels
    audit = pd.read_csv(tmp_path / "child" / "audit.csv").set_index("id")
    assert audit["decision"][["dog/7.png", "cat/9.png", "cat/3.png"]].tolist() == ["relabel", "keep", "kept"]
    facts = json.loads((tmp_path / "child" / "manifest.json").read_text())["export"]
    assert (facts["n_kept"], facts["n_removed"], facts["n_relabelled"]) == (58, 1, 1)
    file, empty = str(tmp_path / "child" / "decisions.json"), str(tmp_path / "empty")
    for name, words in {
        "first": ["--run", run.name, "--cache", str(run.folder.parent.parent)],
        "second": ["--run", child.name, "--cache", str(run.folder.parent.parent)],
        "data": ["--data", str(folder), "--cache", empty],
    }.items():
        assert main(["apply", file, "--output", str(tmp_path / name), *words]) == 0
        for written in ("kept_indices.txt", "removed_indices.txt", "cleaned.csv", "relabel.csv"):
            expected = (tmp_path / "child" / written).read_bytes()
            assert (tmp_path / name / written).read_bytes() == expected, (name, written)
    assert not (tmp_path / "data" / "issues.csv").exists()
    assert not (tmp_path / "empty" / "runs").exists()


def test_images_and_tools_speak_of_the_labels_of_the_data(pair, tmp_path):
    _, child = pair
    selection = select(child)
    root = write_images(child, selection, tmp_path, "copy")
    assert (root / "owl" / "7.png").is_file()
    assert {len(path.relative_to(root).parts) for path in root.rglob("*.png")} == {2}
    write_for(child, selection, tmp_path, "fiftyone")
    rows = {row["path"]: row for row in json.loads((tmp_path / "fiftyone.json").read_text())["samples"]}
    assert (rows["dog/7.png"]["given_label"], rows["dog/7.png"]["label"]) == ("dog", "owl")
    assert [path for path, row in rows.items() if "relabelled" in row["tags"]] == ["dog/7.png"]


def test_an_export_by_rule_holds_what_the_run_started_from_and_comes_again_from_its_file(pair, folder, cache, tmp_path):
    """4 is excluded, 7 relabelled, 9 confirmed, 12 unsure; since then 15 is excluded and 9 left unsure by others."""
    run, child = pair
    here = ["--cache", str(cache)]
    for name in ("out", "later"):
        assert main(["export", child.name, "--drop-issues", "--output", str(tmp_path / name), *here]) == 0
        records = json.loads((tmp_path / name / "decisions.json").read_text())["decisions"]
        said = {Path(r["id"]).stem: (r["action"], r["given_name"]) for r in records if r["reviewer"] == "ann"}
        expected = {"4": ("exclude", "dog"), "7": ("keep", "owl"), "9": ("keep", "cat"), "12": ("unsure", "cat")}
        assert said == (expected if name == "out" else expected | {"9": ("unsure", "cat")})
        audit = pd.read_csv(tmp_path / name / "audit.csv").set_index("id")["decision"]
        assert audit[["dog/7.png", "cat/9.png"]].tolist() == ["relabel", said["9"][0]]
        assert main(["apply", str(tmp_path / name / "decisions.json"), "--data", str(folder), "--cache",
                     str(tmp_path / "empty"), "--output", str(tmp_path / "again")]) == 0  # fmt: skip
        for file in ("cleaned.csv", "removed_indices.txt"):
            assert (tmp_path / "again" / file).read_bytes() == (tmp_path / name / file).read_bytes(), (name, file)
        decide(run, cache, n15=("exclude", None), n9=("unsure", None))


def test_as_many_decisions_are_said_as_are_written(pair, cache, tmp_path, capsys):
    """What the run started from and no longer holds, as 4, is in the file too."""
    _, child = pair
    capsys.readouterr()
    assert main(["decisions", "export", str(tmp_path / "d.json"), "--run", child.name, "--cache", str(cache)]) == 0
    assert len(json.loads((tmp_path / "d.json").read_text())["decisions"]) == 4
    assert "4 decisions written" in capsys.readouterr().out


def test_decisions_that_were_taken_back_do_not_return_through_a_file(pair, folder, cache, tmp_path, capsys):
    """What the run started from is excluded 4, 7 as owl and 9 confirmed; then 4 and 7 are taken back."""
    run, child = pair
    decide(run, cache, n4=("clear", None))
    decide(child, cache, n7=("clear", None))
    where = ["--run", child.name, "--cache", str(cache)]
    assert main(["decisions", "export", str(tmp_path / "d.json"), *where]) == 0
    assert "1 exclusion that" in capsys.readouterr().err
    found = json.loads((tmp_path / "d.json").read_text())["decisions"]
    assert sorted((Path(r["id"]).stem, r["action"]) for r in found) == [("12", "unsure"), ("9", "keep")]
    words = ["export", child.name, "--decisions", "--output", str(tmp_path / "out"), "--cache", str(cache)]
    assert main(words) == 0
    assert json.loads((tmp_path / "out" / "decisions.json").read_text())["decisions"] == found
    decide(run, cache, n4=("exclude", None))
    assert main(["decisions", "export", str(tmp_path / "d.json"), *where]) == 0
    again = json.loads((tmp_path / "d.json").read_text())["decisions"]
    assert ("4", "exclude") in {(Path(r["id"]).stem, r["action"]) for r in again}


def test_a_new_label_that_no_decision_says_any_more_leaves_the_exports(pair, folder, cache, tmp_path):
    run, child = pair
    file, here = tmp_path / "d.json", ["--cache", str(cache)]
    assert main(["decisions", "export", str(file), "--run", run.name, *here]) == 0
    content = json.loads(file.read_text())
    without = [r for r in content["decisions"] if r["id"] != "dog/7.png"]
    sample = next(r for r in content["decisions"] if r["id"] == "dog/7.png")
    gone = next(r for r in content["decisions"] if r["id"] == "dog/4.png")  # which the run no longer holds
    as_dog = sample | {"action": "keep", "label": None, "label_name": None}
    unsure, not_of_label = as_dog | {"action": "unsure"}, as_dog | {"given_name": None}
    cases = {"one": [gone], "without": without}
    cases |= {"dog": [gone, as_dog], "unsure": [gone, unsure], "silent": [gone, not_of_label]}
    decide(child, cache, n7=("clear", None))
    commands = [["export", child.name, "--decisions"], ["export", child.name, "--drop-issues"]]
    for name, records in cases.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content | {"decisions": records}))
        commands.append(["apply", str(tmp_path / f"{name}.json"), "--run", child.name])
    for number, words in enumerate(commands):
        out, again = tmp_path / f"out {number}", tmp_path / f"again {number}"
        assert main([*words, "--output", str(out), *here]) == 0
        audit = pd.read_csv(out / "audit.csv").set_index("id")
        assert audit.loc["dog/7.png", ["given_label", "label"]].tolist() == ["dog", "dog"], words
        assert audit.loc["dog/7.png", "decision"] != "relabel"
        assert json.loads((out / "manifest.json").read_text())["export"]["n_relabelled"] == 0
        assert main(["apply", str(out / "decisions.json"), "--data", str(folder), "--output", str(again),
                     "--cache", str(tmp_path / "empty")]) == 0  # fmt: skip
        assert (again / "cleaned.csv").read_bytes() == (out / "cleaned.csv").read_bytes()
    for number, records in enumerate(([sample], [sample, not_of_label])):
        (tmp_path / "owl.json").write_text(json.dumps(content | {"decisions": records}))
        out = tmp_path / f"owl {number}"
        assert main(["apply", str(tmp_path / "owl.json"), "--run", child.name, "--output", str(out), *here]) == 0
        assert pd.read_csv(out / "audit.csv").set_index("id").loc["dog/7.png", "label"] == "owl"


@pytest.mark.parametrize("since", [("relabel", "cat"), ("exclude", None)])
def test_an_export_by_rule_keeps_a_new_label_that_was_changed_further(pair, cache, tmp_path, since):
    """What the data say was refused both times."""
    _, child = pair
    decide(child, cache, n7=since)
    out = tmp_path / "out"
    assert main(["export", child.name, "--drop-issues", "--output", str(out), "--cache", str(cache)]) == 0
    audit = pd.read_csv(out / "audit.csv").set_index("id")
    assert audit.loc["dog/7.png", ["given_label", "label"]].tolist() == ["dog", "owl"]
    said = {
        r["id"]: (r["action"], r["label_name"]) for r in json.loads((out / "decisions.json").read_text())["decisions"]
    }
    assert said["dog/7.png"] == ("relabel", "owl")


def test_a_decision_for_a_class_that_a_run_lacks_goes_on_from_it(pair, cache):
    run, child = pair
    lacking = replace(child.subject, class_names=("cat", "owl", "none of these"))
    assert lacking.label("dog") is None
    decide(run, cache, n7=("keep", None))  # a dog after all
    reviews = Reviews.of_cache(cache)
    child.__dict__["subject"] = lacking
    stands = {r["id"]: r for r in reviews.as_it_stands(child).decided_before}
    reviews.close()
    assert (stands["dog/7.png"]["action"], stands["dog/7.png"]["given_name"]) == ("keep", "dog")


def test_decisions_without_a_run_are_applied_with_images_too(pair, folder, cache, tmp_path):
    run, _ = pair
    reviews = Reviews.of_cache(cache)
    decided = reviews.current(run.subject)
    export(run, selection_of(run, decided), tmp_path / "run", decisions=decision_records(run.subject, decided))
    reviews.close()
    assert main(["decisions", "export", str(tmp_path / "d.json"), "--run", run.name, "--cache", str(cache)]) == 0
    words = [
        "--data",
        str(folder),
        "--images",
        "copy",
        "--output",
        str(tmp_path / "out"),
        "--cache",
        str(tmp_path / "c"),
    ]
    assert main(["apply", str(tmp_path / "d.json"), *words]) == 0
    assert (tmp_path / "out" / "images" / "owl" / "7.png").is_file()
    with (tmp_path / "out" / "audit.csv").open() as file:
        assert {row["id"]: row["decision"] for row in csv.DictReader(file)}["dog/4.png"] == "exclude"
    for name in ("kept_indices.txt", "cleaned.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()


def test_apply_without_run_and_data_says_what_to_name(pair, cache, tmp_path, capsys):
    run, _ = pair
    assert main(["decisions", "export", str(tmp_path / "d.json"), "--run", run.name, "--cache", str(cache)]) == 0
    capsys.readouterr()
    assert main(["apply", str(tmp_path / "d.json"), "--cache", str(tmp_path / "none")]) != 0
    assert "name the data with --data" in capsys.readouterr().err


def test_data_are_the_samples_that_a_computation_holds(pair, folder, tmp_path):
    run, _ = pair
    bare = data_as_run(DataSettings(data=folder), tmp_path / "c", tmp_path / "bare")
    assert bare.scores["id"].tolist() == run.scores["id"].tolist()
    np.testing.assert_array_equal(bare.subject.contents, run.subject.contents)
    assert bare.class_names == run.class_names
    assert not bare.has_scores


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (None, DataError, "no such file"),
        ({"decisions": 3}, DataError, "decisions.json that an export wrote"),
        ({"decisions": []}, UsageError, "no decisions on the samples of pets"),
        ({"decisions": [{"id": "dog/4.png", "content": "other", "action": "exclude"}]}, UsageError, "no decisions on"),
        ("class", DataError, "has no class 'bird'"),
        ({"decisions": [{"content": "other", "action": "keep"}]}, DataError, "expected texts as id and content"),
        ({"decisions": [{"id": "a", "content": 3, "action": "keep"}]}, DataError, "expected texts as id and content"),
        (
            {"decisions": [{"id": "a", "content": "b", "action": "keep", "time": "0001-01-01T00:00:00+14:00"}]},
            DataError,
            "expected a time",
        ),
    ],
)
def test_decisions_that_do_not_fit_the_data_are_refused(pair, folder, cache, tmp_path, content, error, message):
    run, _ = pair
    if content == "class":
        sample = {"id": run.subject.ids[0], "content": run.subject.contents[0]}
        content = {"decisions": [{**sample, "action": "relabel", "label_name": "bird"}]}
    path = tmp_path / "d.json"
    if content is not None:
        path.write_text(json.dumps(content))
    with pytest.raises(error, match=message):
        pipeline.run(settings_of(folder, str(path)), cache)


def test_a_run_without_decisions_asks_for_some(folder, cache):
    pipeline.run(settings_of(folder), cache)
    with pytest.raises(LsiError, match="decide first"):
        pipeline.run(settings_of(folder, DATABASE), cache)


def test_images_that_are_known_are_not_embedded_again(folder, cache, tmp_path, embedded):
    """Data that grew, moved or were cleaned read and embed what is new alone, and get the same features."""
    run = pipeline.run(settings_of(folder), cache)
    assert sum(embedded) == 60
    decide(run, cache, n4=("exclude", None), n7=("relabel", "owl"))
    grown = tmp_path / "pets"
    shutil.copytree(folder, grown)
    rng = np.random.default_rng(1)
    for i in range(5):
        Image.fromarray(rng.integers(0, 256, (10, 10, 3), dtype=np.uint8)).save(grown / "owl" / f"a{i}.png")
    embedded.clear()
    child = pipeline.run(settings_of(folder, DATABASE), cache)
    assert sum(embedded) == 1  # the broken file is tried again
    embedded.clear()
    bigger = pipeline.run(settings_of(grown), cache)
    assert sum(embedded) == 6
    alone = pipeline.run(settings_of(grown), tmp_path / "fresh")
    assert alone.name == bigger.name
    assert bigger.manifest["dataset"]["skipped"] == alone.manifest["dataset"]["skipped"] != []
    for one, other in ((bigger, alone), (child, run)):
        ours, theirs = one.scores.set_index("id"), other.scores.set_index("id")
        shared = ours.index.intersection(theirs.index)
        np.testing.assert_allclose(ours.loc[shared, "brightness"], theirs.loc[shared, "brightness"], rtol=1e-12)
    np.testing.assert_allclose(bigger.scores["lsi"], alone.scores["lsi"], rtol=1e-4)


def test_damaged_features_are_not_copied(folder, cache, tmp_path, embedded):
    run = pipeline.run(settings_of(folder), cache)
    path = cache / "features" / run.manifest["features"]["key"] / "features.npy"
    content = bytearray(path.read_bytes())
    content[-4:] = b"\0\0\0A"
    path.write_bytes(content)
    grown = tmp_path / "pets"
    shutil.copytree(folder, grown)
    Image.fromarray(np.full((10, 10, 3), 90, np.uint8)).save(grown / "owl" / "a.png")
    embedded.clear()
    pipeline.run(settings_of(grown), cache)
    assert sum(embedded) == 61


def test_noise_on_images_is_no_known_content(folder, cache):
    pipeline.run(settings_of(folder), cache)
    noisy = pipeline.run(
        Settings(DataSettings(data=folder), NoiseSettings(corrupt_data=1.0, corrupt_data_label=(0,)),
                 FeatureSettings(backbone="pixels")), cache)  # fmt: skip
    fresh = pipeline.run(noisy.settings, cache.with_name("fresh"))
    np.testing.assert_allclose(noisy.scores["lsi"], fresh.scores["lsi"], rtol=1e-9)
