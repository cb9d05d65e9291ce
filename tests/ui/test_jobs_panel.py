"""The form that starts a computation, and what follows it."""

import dataclasses

import pytest

from lsi.compute import jobs
from lsi.config import Settings


@pytest.fixture
def started(monkeypatch) -> list[Settings]:
    """What would have been started."""
    found: list[Settings] = []
    monkeypatch.setattr(jobs, "start", lambda settings, cache: found.append(settings))
    return found


def field(app, kind: str, label: str):
    return next(w for w in getattr(app, kind) if w.label == label)


def test_the_form_starts_what_it_says(app, started):
    app.run()
    field(app, "number_input", "Subset (0: all)").set_value(500)
    field(app, "slider", "Labels to flip on purpose").set_value(20)
    field(app, "toggle", "Say how precise a cut is").set_value(True)
    field(app, "button", "Compute").click().run()
    assert not app.exception
    usual = Settings()
    assert started == [
        dataclasses.replace(
            usual,
            data=dataclasses.replace(usual.data, subset=500),
            noise=dataclasses.replace(usual.noise, corrupt_label=0.2),
            score=dataclasses.replace(usual.score, calibrate=True),
        )
    ]


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


@pytest.mark.parametrize("label", ["Compute", "Browse by information"])
def test_a_job_that_ends_takes_no_click_along(app, started, label):
    app.run()
    app.session_state["awaited"] = {"a job that has ended by now"}
    field(app, "button", label).click().run()
    if label == "Compute":
        assert len(started) == 1
    else:
        assert app.title[0].value == "Samples"
