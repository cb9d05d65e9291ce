"""What leaves: images, decisions applied elsewhere, the report."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lsi.cli import main
from lsi.compute import maps, pipeline, queries
from lsi.compute.preparation import prepare
from lsi.config import DataSettings, NoiseSettings, Settings
from lsi.errors import DataError, UsageError
from lsi.export import (
    Selection,
    export,
    select,
    selection_from_records,
    selection_of,
    write_images,
)
from lsi.runs.decisions import Decision, Reviews
from lsi.runs.records import decision_records, exclusion_records, records_to_add
from lsi.runs.run import Run
from tests.cases import image_files

HOSTILE = ("<img src=x onerror=alert(1)>", "../../up", "=cmd()")


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def digits(cache) -> Run:
    run = pipeline.run(Settings(data=DataSettings("digits", subset=200), noise=NoiseSettings(corrupt_label=0.1)), cache)
    maps.projection_of_run(run, cache)
    return run


@pytest.fixture(scope="module")
def files(tmp_path_factory, cache) -> Run:
    """A run on PNG files whose class names would like to leave the folder."""
    manifest = image_files(tmp_path_factory.mktemp("files"), HOSTILE, 30)
    return pipeline.run(Settings(data=DataSettings(data=manifest)), cache)


def chosen(run: Run) -> Selection:
    kept = np.arange(len(run.scores) - 5)
    given = int(run.scores["given_label"].iloc[0])
    return Selection(kept, np.arange(len(kept), len(run.scores)), {0: (given + 1) % len(run.class_names)})


def test_copies_are_the_files_byte_for_byte_under_their_new_label(files, tmp_path):
    selection, images = chosen(files), files.images
    root = write_images(files, selection, tmp_path, "copy")
    copies = sorted(p for p in root.rglob("*.png"))
    assert len(copies) == 25
    assert all(p.resolve().is_relative_to(tmp_path.resolve()) for p in copies)
    assert len({p.parent for p in copies}) == 3
    new, original = next(p for p in copies if p.name == "0.png"), images.source(0)
    assert new.read_bytes() == original.read_bytes()
    other = next(p for p in copies if int(p.stem) == files.scores.index[files.scores["given_label"] == 1][0])
    assert new.parent == other.parent


def test_links_lead_to_the_originals(files, tmp_path):
    root = write_images(files, chosen(files), tmp_path, "link")
    links = list(root.rglob("*.png"))
    assert len(links) == 25
    assert all(p.is_symlink() and p.exists() for p in links)


def test_nothing_is_overwritten_and_no_half_folder_stays(files, tmp_path, monkeypatch):
    images = files.images
    write_images(files, chosen(files), tmp_path, "copy")
    with pytest.raises(UsageError, match="is there already"):
        write_images(files, chosen(files), tmp_path, "copy")

    def broken(index: int) -> bytes:
        if index == 7:
            raise DataError("7.png: no such file")
        return read(index)

    read = images.read
    monkeypatch.setattr(images, "read", broken)
    with pytest.raises(DataError, match="no such file"):
        write_images(files, chosen(files), tmp_path / "other", "copy")
    assert not [p for p in (tmp_path / "other").rglob("*") if p.is_file()]


def test_arrays_cannot_be_linked_but_copied_as_png(digits, tmp_path):
    images = digits.images
    with pytest.raises(UsageError, match="copy them instead"):
        write_images(digits, chosen(digits), tmp_path, "link")
    root = write_images(digits, chosen(digits), tmp_path, "copy")
    first = next(root.rglob(f"{digits.scores['index'].iloc[3]}.png"))
    np.testing.assert_array_equal(np.asarray(Image.open(first)), np.asarray(images.read(3)))


def test_parquet_reads_back_as_the_cleaned_dataset(digits, cache, tmp_path):
    selection = chosen(digits)
    path = write_images(digits, selection, tmp_path, "huggingface")
    metadata = json.loads(pq.read_schema(path).metadata[b"huggingface"])
    assert metadata["info"]["features"]["label"]["names"] == digits.class_names
    again = prepare(Settings(data=DataSettings(data=path))).dataset
    assert len(again) == len(selection.kept)
    assert again.labels[0] == selection.relabelled[0]
    np.testing.assert_array_equal(again.labels[1:], digits.scores["given_label"].to_numpy()[1:195])


def test_applying_the_decisions_gives_the_same_files(digits, cache, tmp_path, monkeypatch):
    monkeypatch.delenv("LSI_DATABASE_URL", raising=False)
    reviews = Reviews.of_cache(cache)
    reviews.record(digits.subject, "ann", [Decision(4, "exclude"), Decision(9, "relabel", 2), Decision(11, "keep")])
    made, applied = tmp_path / "made", tmp_path / "applied"
    common = ["--cache", str(cache), "--json"]
    assert main(["export", digits.name, "--decisions", "--output", str(made), "--images", "huggingface", *common]) == 0
    (cache / "reviews.db").rename(tmp_path / "gone.db")
    words = ["apply", str(made / "decisions.json"), "--output", str(applied), "--images", "huggingface", *common]
    assert main(words) == 0
    names = sorted(p.name for p in made.iterdir())
    assert names == sorted(p.name for p in applied.iterdir())
    for name in names:
        assert (made / name).read_bytes() == (applied / name).read_bytes(), name
    removed = (applied / "removed_indices.txt").read_text().split()
    assert removed == [str(digits.scores["index"].iloc[4])]


def test_decisions_on_an_example_need_neither_run_nor_data(digits, tmp_path):
    """The file names which of the examples it is about; that is not always the one that comes without being named."""
    assert main(["export", digits.name, "--keep-top", "199", "--output", str(tmp_path / "made"), "--cache",
                 str(digits.folder.parent.parent), "--json"]) == 0  # fmt: skip
    words = ["apply", str(tmp_path / "made" / "decisions.json"), "--cache", str(tmp_path / "empty")]
    assert main([*words, "--output", str(tmp_path / "applied")]) == 0
    removed = (tmp_path / "applied" / "removed_indices.txt").read_text()
    assert removed == (tmp_path / "made" / "removed_indices.txt").read_text()
    kept = (tmp_path / "applied" / "kept_indices.txt").read_text().split()
    assert len(removed.split()) == 1
    assert len(kept) == 1_796


def test_data_that_are_named_as_they_are_by_default_are_named(digits, tmp_path, capsys):
    here = ["--cache", str(digits.folder.parent.parent), "--output", str(tmp_path / "out")]
    assert main(["export", digits.name, "--keep-top", "199", *here]) == 0
    (tmp_path / "out" / "decisions.json").rename(tmp_path / "d.json")
    apply = ["apply", str(tmp_path / "d.json"), *here]
    for words, n_kept in (([], 199), (["--split", "train"], 1_796), (["--dataset", "digits"], 1_796)):
        assert main([*apply, *words]) == 0
        assert len((tmp_path / "out" / "kept_indices.txt").read_text().split()) == n_kept, words
    capsys.readouterr()
    for words in (["--dataset", "fashion"], ["--split", "train"]):
        assert main([*apply, "--run", digits.name, *words]) == 2
        assert "Give --run or the data, not both" in capsys.readouterr().err


def test_decisions_go_from_one_cache_to_another(digits, cache, tmp_path, monkeypatch, capsys, request):
    """Written beside one run, read in elsewhere, shown by a run with other settings; a file of before needs a run."""
    monkeypatch.delenv("LSI_DATABASE_URL", raising=False)
    reviews = Reviews.of_cache(cache)
    reviews.record(digits.subject, "ann", [Decision(4, "exclude"), Decision(9, "relabel", 2), Decision(11, "keep")])
    before = reviews.current(digits.subject)
    request.addfinalizer(lambda: (reviews.undo(digits.subject, "ann"), reviews.close()))
    path, elsewhere = tmp_path / "decisions.json", ["--cache", str(tmp_path / "elsewhere"), "--json"]
    assert main(["decisions", "export", str(path), "--run", digits.name, "--cache", str(cache)]) == 0
    for added in (len(before), 0):
        capsys.readouterr()
        assert main(["decisions", "import", str(path), *elsewhere]) == 0
        assert json.loads(capsys.readouterr().out)["added"] == added
    there = Reviews.of_cache(tmp_path / "elsewhere").current(replace(digits.subject, run="another"))
    columns = ["action", "label", "reviewer"]
    pd.testing.assert_frame_equal(there[columns].sort_index(), before[columns].sort_index(), check_dtype=False)
    old = json.loads(path.read_text())
    records = [{k: v for k, v in r.items() if k in ("index", "id", "action", "label", "reviewer", "time")}
               for r in old["decisions"]]  # fmt: skip
    with pytest.raises(DataError, match="name a run"):
        records_to_add({"run": digits.name, "decisions": records})
    assert records_to_add({"run": digits.name, "decisions": records}, digits.subject) == records_to_add(old)


def test_an_export_by_rule_carries_its_decisions(digits, tmp_path):
    selection = select(digits, drop_issues=True)
    export(digits, selection, tmp_path)
    content = json.loads((tmp_path / "decisions.json").read_text())
    back = selection_from_records(digits, content["decisions"])
    assert len(selection.removed)
    np.testing.assert_array_equal(back.removed, selection.removed)


def test_what_a_filter_hides_is_excluded_by_record(digits):
    decided = pd.DataFrame(
        {"action": ["exclude", "relabel", "relabel"], "label": [np.nan, 3.0, 4.0], "reviewer": "a", "time": "t"},
        index=[5, 8, 120],
    )
    everything = selection_of(digits, decided)
    shown = everything.within(np.arange(100))
    hidden = np.setdiff1d(shown.removed, everything.removed)
    records = decision_records(digits.subject, decided) + exclusion_records(digits.subject, hidden, "filter")
    back = selection_from_records(digits, records)
    np.testing.assert_array_equal(back.kept, shown.kept)
    np.testing.assert_array_equal(back.kept, np.setdiff1d(np.arange(100), [5]))
    assert back.relabelled == shown.relabelled == {8: 3}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"index": 10**6}, "belong to other data"),
        ({"id": "another"}, "belong to other data"),
        ({"action": "burn"}, "expected keep or relabel"),
        ({"action": "relabel", "label": 99}, "expected a label 0 … 9, got 99"),
    ],
)
def test_decisions_that_do_not_fit_are_refused(digits, change, message):
    index, id_ = digits.scores[["index", "id"]].iloc[3]
    record = {"index": int(index), "id": id_, "action": "keep", "label": None} | change
    with pytest.raises(DataError, match=message):
        selection_from_records(digits, [record])


def test_records_read_back_as_the_selection(digits):
    decided = pd.DataFrame(
        {"action": ["exclude", "relabel"], "label": [np.nan, 3.0], "reviewer": "a", "time": "t"}, index=[5, 8]
    )
    there, back = (
        selection_of(digits, decided),
        selection_from_records(digits, decision_records(digits.subject, decided)),
    )
    np.testing.assert_array_equal(there.removed, back.removed)
    assert there.relabelled == back.relabelled == {8: 3}


def test_the_report_says_what_was_decided_and_no_path_of_a_disk(files, digits):
    decided = pd.DataFrame({"action": ["relabel", "exclude", "keep"], "label": [3.0, np.nan, np.nan]}, index=[8, 5, 6])
    html = queries.report_of_run(digits, None, decided)
    body = html[html.index("</script>") :]
    given = digits.class_names[digits.scores["given_label"][8]]
    assert f"<s>{given}</s> <b>{digits.class_names[3]}</b>" in body
    assert re.sub(r"\s+", " ", body).count("<b>1</b> confirmed, <b>1</b> relabelled, <b>1</b> excluded.") == 1
    assert "1 sample is left out, 1 relabelled." in re.sub(r"\s+", " ", body)
    of_files = queries.report_of_run(files, None, decided.iloc[:0])
    place = files.settings.data.data
    assert place is not None
    assert place.is_absolute()
    assert str(place.parent) not in of_files


def test_the_report_stands_alone_and_shows_text_as_text(files, digits, cache, tmp_path, capsys):
    assert main(["report", digits.name, "--output", str(tmp_path / "r.html"), "--cache", str(cache)]) == 0
    html = (tmp_path / "r.html").read_text()
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=[\"']?https?:", html)
    assert html.count("data:image/webp;base64,") >= 24
    assert "Curated by leaving out every suspected label." in html
    assert re.search(r"curation helps|no measurable gain|curation hurts", html)
    hostile = queries.report_of_run(files, None, Reviews.of_cache(cache).current(files.subject))
    body = hostile[hostile.index("</script>") :]
    assert "<img src=x" not in body
    assert "&lt;img src=x" in body
