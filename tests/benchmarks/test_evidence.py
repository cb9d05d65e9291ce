"""The studies in their quick form: directions that must hold."""

import re

import numpy as np
import pytest

from benchmarks.evidence import (
    OURS,
    condensation,
    corrupted,
    cost,
    curation,
    effort,
    fidelity,
    figures,
    flagged,
    label_errors,
    many_classes,
    own_probabilities,
    page,
    quality,
    settings,
    stability,
    threshold,
    transfer,
    typicality,
    unlabelled,
)
from benchmarks.evidence.problems import Problem, confused, doubted, flipped, problems, sources


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("evidence")


def digits(cache, kind: str = "symmetric", share: float = 0.1) -> Problem:
    source = next(sources(cache, 600))
    return Problem("digits", kind, source.features, flipped(source.clean, kind, share, 0), source.clean)


def test_flips_are_of_their_kind(cache):
    clean = np.arange(1_000) % 10
    for kind, share in (("symmetric", 0.2), ("pair", 0.2), ("one class", 0.2)):
        noisy = flipped(clean, kind, share, 0)
        assert (noisy != clean).sum() == (200 if kind != "one class" else 20)
    assert set((flipped(clean, "pair", 0.2, 0) - clean) % 10) == {0, 1}
    assert set(clean[flipped(clean, "one class", 0.2, 0) != clean]) == {3}


def test_the_page_is_what_the_studies_left(tmp_path):
    page.write(tmp_path / "evidence.md")
    written = (tmp_path / "evidence.md").read_text()
    assert written == page.PAGE.read_text()
    shown = re.findall(r"!\[[^\]]+\]\((images/[^)]+)\)", written)
    assert len(shown) == len(figures.FIGURES)
    for path in shown:
        assert "<svg" in (tmp_path / path).read_text()
        assert (page.PAGE.parent / path).exists()


def test_about_as_many_labels_are_flagged_as_are_wrong(cache):
    source, problem = next(sources(cache, 600)), digits(cache)
    sparse = confused(source.clean, 0.2, 0)
    assert 0.1 < (sparse != source.clean).mean() < 0.35
    doubt = doubted(source.features, source.clean, 0.05, 0)
    assert (doubt != source.clean).sum() == 30
    _, probabilities, _ = label_errors.ours(problem)
    found = flagged._flagged(problem, probabilities)
    assert list(found) == list(flagged.RULES)
    assert 0.6 < found[flagged.RULES[0]]["per_wrong"] <= found[flagged.RULES[3]]["per_wrong"]
    assert found[flagged.RULES[0]]["f1"] > 0.8


def test_wrong_labels_rank_above_the_rest(cache):
    problem = digits(cache)
    found, label_probabilities, seconds = label_errors.ours(problem)
    assert label_probabilities.shape == (600, 10)
    for name in OURS:
        assert label_errors.quality(problem, *found[name])["auroc"] > 0.9, name
    score = label_errors.quality(problem, *found["label_score"])
    assert score["suggestion_right"] > 0.7
    assert seconds["lsi"] > 0
    scores, flags = label_errors.cross_validated(problem, 1.0)
    assert problem.wrong[flags].mean() > 3 * problem.wrong.mean()
    peers = label_errors.by_neighbours(problem) | scores | label_errors.self_influence(problem)
    assert all(label_errors.quality(problem, *one)["auroc"] > 0.6 for one in peers.values())


def test_a_second_look_helps_most_where_labels_are_worst(cache):
    problem = digits(cache, share=0.4)
    found, _, _ = label_errors.ours(problem)
    gain = [label_errors.quality(problem, *found[n])["auroc"] for n in ("label_score", "leave-one-out self-confidence")]
    assert gain[0] > gain[1]


def test_errors_with_a_direction_are_found_through_the_noise(cache):
    source = next(sources(cache, 600))
    problem = Problem("digits", "sparse", source.features, confused(source.clean, 0.4, 1), source.clean)
    found, _, _ = label_errors.ours(problem)
    auroc = {name: label_errors.quality(problem, *found[name])["auroc"] for name in ("label_score", "without suspects")}
    assert auroc["label_score"] > auroc["without suspects"] + 0.005


def test_looking_from_the_worst_label_on_finds_most_wrong_ones(cache):
    row = effort.one(digits(cache, share=0.2))
    assert all(found == sorted(found) for found in row["found"].values())
    at_twice = {name: found[-1] for name, found in row["found"].items()}
    assert min(at_twice["label_score"], at_twice["label_score, computed again every 50 looks"]) > 0.9
    assert at_twice["at random"] < 0.6


def test_approximations_agree_and_a_stronger_prior_shrinks_the_mean_term(cache):
    source = next(sources(cache, 600))
    found = fidelity.one(source.features, flipped(source.clean, "symmetric", 0.05, 0), quick=True)
    rows = found["rows"]
    assert rows["Newton step against refit, full"]["spearman"] > 0.98
    assert rows["float32 against float64"]["spearman"] > 0.999
    assert rows["diag against full"]["spearman"] > 0.9
    assert rows["λ × 10"]["mean_term"] < found["mean_term"] < rows["λ × 0.1"]["mean_term"]


def test_black_images_stand_out_and_twins_have_low_lsi(tmp_path):
    found = corrupted.study(True, tmp_path)["digits"]
    assert found["rows"]["black"]["lsi"] > 0.8
    assert found["rows"]["noise of 3 deviations"]["lsi"] > found["rows"]["noise of 0.5 deviations"]["lsi"]
    assert found["copies"]["share_with_lower_lsi"] > 0.95
    assert found["copies"]["found_as_near_duplicates"] == 1


def test_damage_to_images_shows_in_the_columns_and_the_flags(tmp_path):
    found = quality.study(True, tmp_path)
    rows = found["sets"]["photographs of 300 px"]["rows"]
    assert set(rows) == set(quality.DAMAGES)
    assert rows.pop("over-exposed three times")["auroc"] > 0.8
    assert all(row["auroc"] is None or row["auroc"] > 0.95 for row in rows.values())
    assert all(row["recall"] > 0.9 for row in rows.values())
    assert rows["an exact copy"]["precision"] == 1
    assert [one["side"] for one in found["cost"]] == [32, 500]


def test_lsi_chooses_what_a_network_learns_from_and_rankings_agree(cache):
    found = transfer.study(True, cache)["digits"]
    assert found["agreement"]["kron"]["spearman"] > 0.95
    assert found["agreement"]["small network, trained on these images"]["spearman"] > 0.4
    accuracies = found["selection"][0]
    assert {len(one) for one in accuracies.values()} == {1}
    assert accuracies["random"][30] > 0.6


def test_low_lsi_is_typical_and_hard_classes_hold_more(cache):
    found = typicality.one(next(sources(cache, 600)))
    assert found["measures"]["distance to the class mean"]["effect"] > 0.5
    assert found["measures"]["negative leave-one-out margin"]["spearman"] > 0.9
    assert found["classes"]["spearman"] > 0.5


def test_cleaning_beats_random_removal(cache):
    found = curation.study(True, cache)["digits, symmetric 20%"]
    assert found["network"]["suspects removed"]["gain"] > 0
    assert 0 < found["removed"]["suspects removed"] < 150
    doubled = found["removed"]["one of each duplicate group kept"]
    assert doubled == pytest.approx(100, abs=20)


def test_a_part_without_suspects_is_better_than_a_random_one_and_the_highest_lsi_worse(cache, monkeypatch):
    monkeypatch.setattr(condensation, "SHARES", (0.1,))
    monkeypatch.setattr(condensation, "NETWORK_SHARES", ())
    found = condensation.study(True, cache)
    rules = found["settings"]["digits, symmetric 20%"]["probe"]["0.1"]
    assert np.mean(rules[found["ours"]]) > np.mean(rules["random"]) > np.mean(rules["highest LSI"])
    assert all(len(values) == 2 for values in rules.values())


def test_predicted_precision_is_near_the_true_one(cache):
    row = threshold.one(digits(cache, share=0.2))
    assert row["worst"] < 0.15
    assert row["expected_wrong"] == pytest.approx(row["wrong"], rel=0.25)


def test_numbers_pairs_and_the_contrastive_reference(tmp_path):
    found = unlabelled.study(True, tmp_path)
    assert found["numbers"][0]["standardised residual"] > 0.85
    assert found["pairs"][0]["standardised residual, pixels"] > 0.7
    assert found["contrastive"]["spearman"] > 0
    assert found["cost"]["seconds"] > 0


def test_settings_are_compared_on_equal_labels(tmp_path):
    rows = settings.study(True, tmp_path)["digits"]["rows"]
    assert {"default", "32 components", "not standardised", "λ = 1", "structure kron"} <= set(rows)
    assert all(row["label_score"] > 0.85 for row in rows.values())


def test_cost_is_measured_on_both_sides(tmp_path):
    found = cost.study(True, tmp_path)
    side = found["sides"]["synthetic"]
    assert side["ours"]["all"] > 0
    assert side["cross_validation"] > 0
    assert set(found["growth"]) == {"full over n", "kron over n"}
    for one in found["growth"].values():
        assert all(row["peak_gib"] >= row["before_gib"] > 0 and row["posterior"] > 0 for row in one["rows"])


@pytest.mark.shared
def test_every_source_gives_problems(cache):
    names = {(p.name, p.noise) for p, _ in problems(cache, 100, 1)}
    assert ("CIFAR-10", "human (CIFAR-10N)") in names
    assert ("digits", "pair 20%") in names


def test_two_sets_of_features_together_find_at_least_what_the_worse_one_does(cache):
    problem = digits(cache, share=0.2)
    found = stability.one(problem, {"few": problem.features[:, :4]})
    alone = {name: v["auroc"] for name, v in found["alone"].items()}
    both = found["pairs"]["default and few"]
    assert alone["default"] > alone["few"] + 0.02
    assert both["auroc"] > alone["few"]
    assert both["precision"] > both["precision_of_one"]
    assert all(0.5 < half["lsi"] < 1 for half in found["halves"])


def test_own_probabilities_are_out_of_fold_and_looked_at_by_the_product(cache):
    source = next(sources(cache, 400))
    problem = Problem("digits", "", source.features, flipped(source.clean, "symmetric", 0.2, 0), source.clean)
    [(name, p)] = own_probabilities.out_of_fold(source, problem, quick=True)
    assert name in own_probabilities.NETWORKS
    np.testing.assert_allclose(p.sum(axis=1), 1)
    row = own_probabilities.one(problem, p, source, cache)
    assert row["accuracy"] > 0.5
    assert row["scores"]["label_score"]["auroc"] > 0.8
    assert set(row["scores"]) >= {"label_score", "the model's self_confidence", "the model's normalized_margin"}


def test_classes_are_cut_and_half_of_the_flips_stay_within_what_was_cut(cache):
    source = next(sources(cache, 600))
    right, parents = many_classes.clusters(source.features, source.clean, 3)
    assert (parents[right] == source.clean).all()
    given = many_classes.flipped_nearby(right, parents, 0.2)
    changed = given != right
    assert changed.sum() == 120
    assert 0.4 < (parents[given] == parents[right])[changed].mean() < 0.7
    same = source.features.copy()
    same[source.clean == 2] = 0  # so that two of its clusters are empty
    right, parents = many_classes.clusters(same, source.clean, 3)
    assert (parents[right] == source.clean).all()
    assert np.bincount(parents).tolist() == [3, 3, 1, *[3] * 7]
    row = many_classes.one(source, 3, quick=True)
    assert row["k"] == 30
    assert row["agreement"]["kron against full"]["spearman"] > 0.9
    assert row["detectors"]["label_score (kron)"]["auroc"] > 0.6
