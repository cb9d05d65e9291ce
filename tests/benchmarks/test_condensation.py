"""What the app and the docs say of keeping a part is what the study left."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.evidence.sections_subsets import best, gains
from benchmarks.evidence.subsets import coverage_centric, d_optimal, herding, k_centre
from benchmarks.record import RESULTS
from lsi.ui.redundancy import _RULES, EVEN, HIGHEST

PAGE = Path(__file__).parent.parent.parent / "docs" / "how-to" / "thin-out.md"


@pytest.fixture(scope="module")
def study() -> dict:
    return json.loads((RESULTS / "evidence_condensation.json").read_text())


def gain(study: dict, model: str, rule: str, share: str, noisy: bool) -> str:
    settings = {name: v[model] for name, v in study["settings"].items() if ("clean" not in name) == noisy}
    return f"{100 * gains(settings, share)[rule].mean():+.1f}".replace("-", "−")


def test_the_app_says_what_was_measured(study):
    ours, highest = study["ours"], "highest LSI"
    for noisy in (False, True):
        assert gain(study, "probe", ours, "0.3", noisy) in _RULES[EVEN]
        assert gain(study, "probe", highest, "0.3", noisy) in _RULES[HIGHEST]
    assert gain(study, "probe", highest, "0.5", False) in _RULES[HIGHEST]


def test_the_page_says_what_was_measured(study):
    text, ours = PAGE.read_text(encoding="utf-8"), study["ours"]
    for model in ("probe", "network"):
        for rule in (ours, "random, suspects out"):
            for share in ("0.1", "0.3"):
                assert gain(study, model, rule, share, True).removeprefix("+") in text
    for share in ("0.1", "0.2", "0.3"):
        assert gain(study, "probe", "herding", share, False).removeprefix("+") in text


def test_the_best_are_those_within_a_standard_error():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.01, 400)
    found = {"top": noise + 0.1, "near": noise[::-1] + 0.1, "far": noise + 0.05}
    assert set(best(found)) == {"top", "near"}


def test_every_rule_of_the_field_keeps_as_many_as_are_asked_for():
    rng = np.random.default_rng(0)
    features, labels, score = rng.normal(size=(120, 8)), np.arange(120) % 3, rng.random(120)
    for kept in (k_centre(features, 30, 0), herding(features, labels, 30), d_optimal(features, 30),
                 coverage_centric(score, 30, 0.1, rng)):  # fmt: skip
        assert len(set(kept.tolist())) == 30
    # the first of a D-optimal design is the longest, the second of k-centre the farthest from the first
    assert d_optimal(features, 1)[0] == np.linalg.norm(features, axis=1).argmax()
    assert k_centre(features, 2, 5)[1] == np.linalg.norm(features - features[5], axis=1).argmax()
    hardest = np.argsort(-score)[:12]
    assert not set(hardest) & set(coverage_centric(score, 30, 0.1, rng)), "the hardest tenth is out"
