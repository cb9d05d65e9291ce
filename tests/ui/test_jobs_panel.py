"""The form that starts a computation, and what follows it."""

import dataclasses
import os
import threading
import time

import pytest

from lsi.compute import jobs
from lsi.config import Settings
from lsi.errors import StorageError
from lsi.files import write_json
from lsi.runs.listing import list_runs
from lsi.ui import bar, browse, jobs_panel, preview
from lsi.ui.first_run import FIRST
from lsi.ui.session import View
from tests.cases import image_files
from tests.ui.conftest import ROOT


@pytest.fixture
def started(monkeypatch) -> list[Settings]:
    """What would have been started."""
    found: list[Settings] = []
    monkeypatch.setattr(
        jobs, "start", lambda settings, cache, decided="": found.append(settings) or jobs.Job(cache / "jobs" / "none")
    )
    return found


@pytest.fixture
def app(app):
    """The page with the example chosen in its form."""
    app.session_state["compute-field-kind"] = "An example"
    app.session_state["compute-kind-chosen"] = True
    return app


def field(app, kind: str, label: str):
    return next(w for w in getattr(app, kind) if w.label == label)


def choose(app, kind: str):
    """Run the page with that kind of data chosen in its form."""
    app.run()
    app.button_group(key="compute-field-kind").set_value(kind).run()
    assert not app.exception


def test_the_form_starts_what_it_says(app, started):
    app.run()
    app.selectbox(key="compute-field-dataset").set_value("digits")
    field(app, "number_input", "Subset (0: all)").set_value(500)
    field(app, "slider", "Labels to flip on purpose").set_value(20)
    field(app, "toggle", "Say how precise a cut is").set_value(True)
    field(app, "button", "Compute").click().run()
    assert not app.exception
    usual = Settings()
    assert started == [
        dataclasses.replace(
            usual,
            data=dataclasses.replace(usual.data, dataset="digits", subset=500),
            noise=dataclasses.replace(usual.noise, corrupt_label=0.2),
            score=dataclasses.replace(usual.score, calibrate=True),
        )
    ]


def test_a_first_run_that_ends_while_the_page_is_drawn_is_shown(cache, tmp_path, app, monkeypatch):
    """Its job runs no longer when the page looks for jobs, and was no run yet when the page looked for runs."""
    truth, looks = bar.run_names, []

    def late() -> list[str]:
        looks.append(1)
        return truth() if len(looks) > 1 else []

    monkeypatch.setattr(bar, "run_names", late)
    app.query_params.clear()
    app.run()
    assert len(looks) == 2
    assert not [i for i in app.info if "first run is being computed" in str(i.value)]
    assert app.metric


def test_a_job_that_is_done_before_the_page_looks_is_followed(app, cache, monkeypatch):
    """All that it needed was there: nobody ever saw it run."""
    newest = list_runs(cache)[0]
    job = ended(cache, monkeypatch)
    write_json(job.folder / jobs.PROGRESS, {"run": newest.name})
    monkeypatch.setattr(jobs, "start", lambda *_: job)
    app.run()
    field(app, "button", "Compute").click().run()
    assert app.session_state["awaited"] == {job.folder.name}


def test_a_form_that_cannot_be_computed_says_why_once(app, started):
    app.run()
    field(app, "text_input", "Prior precision").set_value("little")
    field(app, "button", "Compute").click().run()
    assert not started
    assert ["little" in e.value for e in app.error] == [True]
    field(app, "text_input", "Prior precision").set_value("0.5")
    field(app, "button", "Compute").click().run()
    assert not app.error
    assert [s.score.prior_precision for s in started] == [0.5]


FILES = {"Backbone": "net.onnx:out", "Weights file": "w.pth", "Embeddings instead of a backbone": "v.npz:a",
         "Out-of-fold probabilities instead of a backbone": "p.csv"}  # fmt: skip


@pytest.mark.parametrize("label", FILES)
def test_files_of_ones_own_model_are_read_below_the_data_roots_alone(app, started, monkeypatch, tmp_path, label):
    monkeypatch.setenv("LSI_DATA_ROOTS", str(tmp_path))
    field_of = {"Backbone": "backbone", "Weights file": "weights"}
    app.run()
    if label.startswith("Weights"):
        field(app, "text_input", "Backbone").set_value("resnet18")
    field(app, "text_input", label).set_value(f"../{FILES[label]}")
    field(app, "button", "Compute").click().run()
    assert not started
    assert ["lies outside the folders that this server may read" in e.value for e in app.error] == [True]
    field(app, "text_input", label).set_value(str(tmp_path / FILES[label]))
    field(app, "button", "Compute").click().run()
    assert not app.error
    found = started[0].features
    value = getattr(found, field_of[label]) if label in field_of else found.vectors
    assert str(value) == str(tmp_path / FILES[label])


@pytest.mark.parametrize("backbone", ["my_nets:best", "net.pt2"])
def test_a_backbone_that_can_run_any_code_is_refused(app, started, backbone):
    app.run()
    field(app, "text_input", "Backbone").set_value(backbone)
    field(app, "button", "Compute").click().run()
    assert not started
    assert ["can run any code" in e.value for e in app.error] == [True]


@pytest.mark.parametrize("label", ["Compute", "Browse by information"])
def test_a_job_that_ends_takes_no_click_along(app, started, label):
    app.run()
    app.session_state["awaited"] = {"a job that has ended by now"}
    field(app, "button", label).click().run()
    if label == "Compute":
        assert len(started) == 1
    else:
        assert app.title[0].value == "Samples"


COLUMNS = {"Column of images": "image_column", "Column of labels": "label_column", "Column of splits": "split_column",
           "Column of names": "id_column"}  # fmt: skip


def test_the_form_says_how_the_data_are_read(app, started, tmp_path, monkeypatch):
    monkeypatch.setenv("LSI_DATA_ROOTS", str(tmp_path))
    choose(app, "A folder or file")
    field(app, "text_input", "Folder or file").set_value(str(tmp_path))
    for label, name in COLUMNS.items():
        field(app, "text_input", label).set_value(f" {name} ")
    app.selectbox(key="compute-field-split").set_value("test")
    field(app, "toggle", "Ignore case in class names").set_value(True)
    field(app, "toggle", "One sample for each bounding box").set_value(True)
    field(app, "number_input", "Image size").set_value(64)
    field(app, "button", "Compute").click().run()
    assert not app.exception
    data = started[0].data
    assert [getattr(data, name) for name in COLUMNS.values()] == list(COLUMNS.values())
    assert (data.data, data.split, data.merge_classes, data.boxes) == (tmp_path, "test", "case", True)
    assert started[0].features.image_size == 64


def test_a_form_without_data_says_what_is_missing(app, started):
    for kind, words in (("A folder or file", "Name a folder or a file"), ("An upload", "Choose a file to upload")):
        choose(app, kind)
        field(app, "button", "Compute").click().run()
        assert not started
        assert [words in e.value for e in app.error] == [True]


def test_data_are_chosen_step_by_step_below_the_roots(app, started, tmp_path, monkeypatch):
    monkeypatch.setenv("LSI_DATA_ROOTS", str(tmp_path))
    (tmp_path / "photos").mkdir()
    manifest = image_files(tmp_path / "photos", ("cat", "dog"), 12)
    choose(app, "A folder or file")
    assert app.selectbox(key="compute-browsed").options == ["photos/"]
    app.selectbox(key="compute-browsed").select("photos/").run()
    assert field(app, "text_input", "Folder or file").value == str(tmp_path / "photos")
    assert app.selectbox(key="compute-browsed").options == [browse.UP, "manifest.csv"]  # single images are no data
    app.selectbox(key="compute-browsed").select("manifest.csv").run()
    assert "12 images in 2 classes" in looked(app)
    field(app, "button", "Compute").click().run()
    assert [s.data.data for s in started] == [manifest]


def test_a_link_round_in_a_circle_hides_nothing_else_of_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LSI_DATA_ROOTS", str(tmp_path))
    (tmp_path / "in").mkdir()
    (tmp_path / "a.csv").touch()
    for name in ("0", "z"):
        (tmp_path / name).symlink_to(tmp_path / name)
    assert browse.entries(tmp_path) == ["in/", "a.csv"]


def test_what_can_be_chosen_never_leaves_the_roots(tmp_path, monkeypatch):
    one, two = tmp_path / "one", tmp_path / "two"
    for name in ("one/inner/deep", "two", "outside"):
        (tmp_path / name).mkdir(parents=True)
    (one / ".hidden").mkdir()
    (one / "b.parquet").touch()
    (one / "a.PNG").touch()
    monkeypatch.setenv("LSI_DATA_ROOTS", f"{one}{os.pathsep}{two}")
    assert browse.place_of("") is None
    assert browse.entries(None) == [str(one), str(two)]
    assert browse.step(None, str(two)) == two
    assert browse.entries(one) == [browse.UP, "inner/", "b.parquet"]
    assert browse.step(one, browse.UP) is None
    assert browse.step(one / "inner", browse.UP) == one
    assert browse.step(one, "inner/") == one / "inner"
    assert browse.place_of(str(one / "b.parquet")) == one
    assert browse.place_of(str(one / "no" / "such" / "file")) == one
    for foreign in (str(tmp_path / "outside"), f"{one}/../outside", "~nobody/x", "s3://bucket/set"):
        assert browse.place_of(foreign) is None
    monkeypatch.setenv("LSI_DATA_ROOTS", str(one))
    assert browse.place_of("") == one
    assert browse.entries(one) == ["inner/", "b.parquet"]
    assert browse.entries(one / "gone") == [browse.UP]


def looked(app) -> str:
    """What the page says of the data, once it is known."""
    for _ in range(60):
        text = [m.value for m in app.markdown if "How these data would be read" in m.value]
        text += [e.value for e in app.error]
        if text:
            return "\n".join(text).replace("\\", "")
        app.run()
    raise AssertionError("nothing is said of the data")


def test_the_plan_is_shown_as_soon_as_data_are_named(app, started, tmp_path, monkeypatch):
    monkeypatch.setenv("LSI_DATA_ROOTS", str(tmp_path))
    manifest = image_files(tmp_path, ("cat", "Cat", "dog"), 12)
    choose(app, "A folder or file")
    assert not [m for m in app.markdown if "How these data" in m.value]
    field(app, "text_input", "Folder or file").set_value(str(manifest)).run()
    text = looked(app)
    assert "12 images in 3 classes" in text
    assert "label = label" in text
    field(app, "toggle", "Ignore case in class names").set_value(True).run()
    assert "12 images in 2 classes" in looked(app)
    assert not started


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"path,label\n", "names.csv"),
        (b"\x00\x01\x02", "names.csv"),
        (b"path,label\n{outside},a\n", "leads out of the folders that this server may read"),
    ],
)
def test_what_cannot_be_read_is_said_before_anything_is_computed(app, started, tmp_path, content, message):
    outside = image_files(tmp_path, ("a", "b"), 2).parent / "0.png"
    choose(app, "An upload")
    app.file_uploader[0].upload("names.csv", content.replace(b"{outside}", bytes(outside))).run()
    assert not app.exception
    assert message in looked(app)
    assert "/uploads/" not in looked(app)
    assert not started


def test_a_slow_look_holds_up_no_page(app, started, tmp_path, monkeypatch):
    monkeypatch.setenv("LSI_DATA_ROOTS", str(tmp_path))
    waiting = threading.Event()
    monkeypatch.setattr(preview, "inspect", lambda settings, root: waiting.wait(30))
    monkeypatch.setattr(preview, "_WAIT_SECONDS", 0.05)
    choose(app, "A folder or file")
    field(app, "text_input", "Folder or file").set_value(str(tmp_path)).run()
    assert any("Still looking at the data" in i.value for i in app.info)
    field(app, "button", "Compute").click().run()
    assert [s.data.data for s in started] == [tmp_path]
    waiting.set()
    assert "These data cannot be read (AttributeError)" in looked(app)  # what this inspect returns is no plan


def test_an_upload_is_computed_from_where_it_is_kept(app, started, cache):
    choose(app, "An upload")
    app.file_uploader[0].upload("My set.csv", b"path,label\n1.png,a\n").run()
    field(app, "button", "Compute").click().run()
    assert not app.exception
    path = started[0].data.data
    assert path.name == "My-set.csv"
    assert path.is_relative_to(cache / "uploads")


@pytest.mark.parametrize("address", ["s3://bucket/set", "s3:/bucket/set", "https://example.invalid/a.zip"])
def test_an_address_is_refused_in_the_app(app, started, address):
    choose(app, "A folder or file")
    field(app, "text_input", "Folder or file").set_value(address)
    field(app, "button", "Compute").click().run()
    assert not started
    assert "is an address: the app reads folders and files of its own machine" in app.error[0].value.replace("\\", "")


def ended(cache, monkeypatch, **facts) -> jobs.Job:
    """A job of a folder that failed or was cancelled, the only one there is."""
    job = jobs.Job(cache / "jobs" / "made")
    settings = dataclasses.replace(Settings(), data=dataclasses.replace(Settings().data, data=cache / "pets"))
    write_json(job.folder / jobs.JOB, {"pid": 0, "started": 1.0, "settings": settings.to_dict()} | facts)
    (job.folder / jobs.LOG).write_text("lsi: --data: no such folder\n")
    monkeypatch.setattr(jobs, "list_jobs", lambda _: [job])
    return job


@pytest.mark.parametrize(
    ("facts", "words", "again"),
    [({"cancelled": True}, "pets: cancelled. What was finished is kept.", "Resume"),
     ({}, "pets: no such folder", "Try again")],
)  # fmt: skip
def test_a_job_that_ended_without_a_run_can_be_started_again_or_dismissed(app, cache, monkeypatch, facts, words, again):
    job = ended(cache, monkeypatch, decided="7-3", **facts)
    started = []

    def start(settings, cache, decided):
        started.append((settings, decided))
        return jobs.Job(cache / "none")

    monkeypatch.setattr(jobs, "start", start)
    app.run()
    said = [e.value.replace("\\", "") for kind in ("info", "error") for e in getattr(app, kind)]
    assert words in said
    field(app, "button", again).click().run()
    assert [(s.data.data.name, decided) for s, decided in started] == [("pets", "7-3")]
    field(app, "button", "Dismiss").click().run()
    assert not [b for b in app.button if b.label in (again, "Dismiss")]
    assert job.is_dismissed


def test_a_running_job_is_said_in_plain_words_on_every_page(app, cache, monkeypatch):
    job = ended(cache, monkeypatch)
    monkeypatch.setattr(jobs.Job, "state", property(lambda _: "running"))
    shares, reports = [], [("dataset", 0, 1, ""), ("features", 50, 100, "images"), ("pixel range", 1, 9, "images"),
                           ("near duplicates", 0, 1, "")]  # fmt: skip
    for stage, done, total, unit in reports:
        write_json(job.folder / jobs.PROGRESS, {"stage": stage, "done": done, "total": total, "unit": unit})
        app.run()
        text, shares = progress_of(app)[0], [*shares, progress_of(app)[1]]
        assert "--" not in text
        assert text.replace("\\", "").startswith("pets: step ")
    assert shares == sorted(shares)
    assert shares[1] == round(100 * 1.5 / 6)
    app.switch_page(str(ROOT / "pages" / "samples.py")).run()
    assert "looking for near duplicates" in progress_of(app)[0]


@pytest.mark.parametrize("page", ["samples", "runs"])
def test_a_page_without_a_run_says_whether_the_first_one_is_on_its_way(app, tmp_path, monkeypatch, page):
    monkeypatch.setenv("LSI_CACHE", str(tmp_path / "empty"))
    ended(tmp_path / "empty", monkeypatch)
    app.run()
    app.switch_page(str(ROOT / "pages" / f"{page}.py")).run()
    assert [said.value for said in app.info] == ["There is no run yet. Start one on the Overview."]
    monkeypatch.setattr(jobs.Job, "state", property(lambda _: "running"))
    app.run()
    assert [said.value for said in app.info] == [
        "The first run is being computed. This page shows it as soon as it is done."
    ]


def test_the_overview_without_a_run_says_what_is_so(app, tmp_path, monkeypatch):
    """A job that failed, was cancelled, or whose run was deleted is no run on its way."""
    monkeypatch.setenv("LSI_CACHE", str(tmp_path / "empty"))
    job = ended(tmp_path / "empty", monkeypatch)
    app.run()
    assert [said.value for said in app.info] == ["There is no run yet. Start one below."]
    facts = job.facts
    write_json(job.folder / jobs.JOB, facts | {"settings": FIRST.resolved().to_dict()})
    monkeypatch.setattr(jobs.Job, "state", property(lambda _: "running"))
    app.run()
    assert ["2,000 images of clothes" in said.value for said in app.info] == [True]
    monkeypatch.setattr(jobs.Job, "state", property(lambda _: "done"))
    monkeypatch.setenv("LSI_READ_ONLY", "1")
    app.run()
    assert [said.value for said in app.info] == ["There is no run yet."]


def test_a_map_waits_for_the_job_of_its_own_run_alone(app, cache, monkeypatch):
    job = ended(cache, monkeypatch)
    monkeypatch.setattr(jobs.Job, "alive", property(lambda _: True))
    monkeypatch.setattr(View, "projection", lambda _: None)
    app.run()
    app.switch_page(str(ROOT / "pages" / "map.py")).run()
    assert field(app, "button", "Compute it now")
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))
    for facts, progress in (({}, {"run": run.name}), ({"settings": run.settings.to_dict()}, {})):
        write_json(job.folder / jobs.JOB, job.facts | facts)
        write_json(job.folder / jobs.PROGRESS, progress)
        app.run()
        assert not [b for b in app.button if b.label == "Compute it now"]
        assert any("The map is being computed" in i.value for i in app.info)


def test_a_cache_that_cannot_be_written_is_said_on_the_page(app, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LSI_CACHE", str(tmp_path / "file" / "cache"))
    app.run()
    (said,) = [e.value.replace("\\", "") for e in app.error]
    assert said.startswith(f"The cache folder {tmp_path / 'file' / 'cache'}")
    assert said.endswith("cannot be written (Not a directory). Name another cache with --cache or LSI_CACHE.")


def progress_of(app) -> tuple[str, int]:
    """Text and percent of the only bar on the page."""
    (bar,) = app.get("progress")
    return bar.proto.text, bar.proto.value


def test_who_has_seen_an_example_is_asked_for_data(app, started):
    del app.session_state["compute-kind-chosen"]  # it was drawn with an example while there was no run
    app.run()
    assert app.button_group(key="compute-field-kind").value == "A folder or file"
    assert field(app, "text_input", "Folder or file").value == ""


def test_a_usual_choice_is_written_once_so_that_a_click_on_its_way_is_not_undone(app):
    """What a script writes to a widget takes the place of what the browser shows, also of a click that it just saw."""
    del app.session_state["compute-kind-chosen"]
    app.run()
    assert app.button_group(key="compute-field-kind").proto.set_value
    app.run()
    assert app.button_group(key="compute-field-kind").value == "A folder or file"
    assert not app.button_group(key="compute-field-kind").proto.set_value


def several(cache, monkeypatch, **states: str) -> dict[str, jobs.Job]:
    """Jobs of these names and states, the oldest first."""
    found = {}
    for i, (name, state) in enumerate(states.items()):
        job = found[name] = jobs.Job(cache / "jobs" / name)
        settings = dataclasses.replace(Settings(), data=dataclasses.replace(Settings().data, data=cache / name))
        dismissed = {"dismissed": True} if state == "dismissed" else {}
        facts = {"pid": 0, "started": float(i), "settings": settings.to_dict(), "said": state} | dismissed
        write_json(job.folder / jobs.JOB, facts)
        (job.folder / jobs.LOG).write_text("lsi: no such folder\n")
    monkeypatch.setattr(jobs.Job, "state", property(lambda job: str(job.facts["said"]).replace("dismissed", "failed")))
    return found


def test_a_running_job_stays_on_the_page_whatever_came_after_it(app, cache, monkeypatch):
    several(cache, monkeypatch, long="running", old="failed", two="failed", three="failed", gone="dismissed",
            four="failed", none="dismissed")  # fmt: skip
    app.run()
    assert progress_of(app)[0] == "long: starting"
    assert [e.value for e in app.error] == [f"{name}: no such folder" for name in ("four", "three", "two")]


def test_a_job_that_ends_while_newer_ones_are_there_is_announced_as_well(app, cache, monkeypatch):
    """Of two that end at once the newer one takes the Overview, and the other one is said."""
    made = several(cache, monkeypatch, a="done", b="done", c="failed", d="failed", e="failed", f="failed")
    monkeypatch.setattr(jobs_panel.st, "session_state", {"awaited": {"a", "b"}})
    monkeypatch.setattr(jobs_panel, "cache", lambda: cache)
    assert [job.folder.name for job in jobs_panel._latest()] == ["f", "e", "d", "b", "a"]
    for name in ("a", "b"):
        write_json(made[name].folder / jobs.PROGRESS, {"run": f"run-{name}"})
    arrived = []
    monkeypatch.setattr(jobs_panel, "run_names", lambda: ["run-a", "run-b"])
    monkeypatch.setattr(jobs_panel, "_arrived", lambda *what: arrived.append(what))
    jobs_panel._announce([made["b"], made["a"]], is_home=True)
    jobs_panel._announce([made["b"], made["a"]], is_home=False)
    assert arrived == [("run-b", True), ("run-a", False), ("run-b", False), ("run-a", False)]


def test_a_long_job_that_fails_last_is_said_whatever_was_started_after_it(app, cache, monkeypatch):
    made = several(cache, monkeypatch, long="failed", older="failed", b="done", c="done")
    late = time.time() + 60
    os.utime(made["long"].folder / jobs.LOG, (late, late))
    app.run()
    assert [e.value for e in app.error] == ["long: no such folder"]


@pytest.mark.parametrize("label", ["Try again", "Dismiss", "Cancel", "Compute"])
def test_who_may_only_look_by_now_starts_and_ends_nothing(app, cache, monkeypatch, started, label):
    job = ended(cache, monkeypatch)
    monkeypatch.setattr(jobs.Job, "cancel", pytest.fail)
    if label == "Cancel":
        monkeypatch.setattr(jobs.Job, "state", property(lambda _: "running"))
    app.run()
    monkeypatch.setenv("LSI_READ_ONLY", "1")
    field(app, "button", label).click().run()
    assert not app.exception
    assert [t.value for t in app.toast] == ["Read-only: nothing can be changed here."]
    assert (started, job.is_dismissed) == ([], False)


def test_what_has_ended_is_not_noted_as_cancelled(cache, monkeypatch):
    """It ran when the page was drawn."""
    job = ended(cache, monkeypatch)
    monkeypatch.setattr(jobs_panel, "note", lambda *_what, **_facts: pytest.fail("noted"))
    monkeypatch.setattr(jobs_panel, "refused", lambda: False)
    said = []
    monkeypatch.setattr(jobs_panel.st, "toast", said.append)
    jobs_panel._cancel(job, "ann")
    assert said == ["It has ended meanwhile: there is nothing to cancel."]


def test_a_job_is_cancelled_where_that_cannot_be_written_down(cache, monkeypatch):
    """It may have filled the disk that the database lies on."""

    def full(*_what: object, **_facts: object) -> None:
        raise StorageError("database or disk is full")

    job, cancelled = ended(cache, monkeypatch), []
    monkeypatch.setattr(jobs_panel, "note", full)
    monkeypatch.setattr(jobs_panel, "refused", lambda: False)
    monkeypatch.setattr(jobs.Job, "state", property(lambda _: "running"))
    monkeypatch.setattr(jobs.Job, "cancel", lambda job: cancelled.append(job))
    with pytest.raises(StorageError):
        jobs_panel._cancel(job, "ann")
    assert cancelled == [job]


def test_a_job_of_another_machine_is_shown_and_cannot_be_cancelled_here(app, cache, monkeypatch):
    job = ended(cache, monkeypatch, host="lens-1")
    app.run()
    assert progress_of(app)[0] == "pets: starting"
    assert not [b for b in app.button if b.label in ("Cancel", "Try again")]
    assert "On lens-1, where alone it can be cancelled." in [c.value.replace("\\", "") for c in app.caption]
    for name in (jobs.JOB, jobs.LOG):
        os.utime(job.folder / name, (0, 0))
    app.run()
    assert field(app, "button", "Try again")
