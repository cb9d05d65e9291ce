"""A run as text: the ends of its table, and its figures."""

import math
from typing import Any

import pandas as pd

from lsi.audit.summary import precision_recall_at
from lsi.cli.output import text_table
from lsi.data.plan import counted
from lsi.export import why_no_duplicates
from lsi.export.wording import high_means, how_judged, is_corrupted, quality_words
from lsi.runs.comparison import Comparison
from lsi.runs.numbers import as_written, nats, told_apart
from lsi.runs.run import Run
from lsi.runs.titles import decisions_without_effect, features_of


def print_plan(run: Run) -> None:
    """Print how the data were read, where the run knows."""
    for line in run.plan_lines:
        print(line)


def print_run(run: Run, rows: int) -> None:
    """Print the top and bottom of a run's table and its summaries."""
    manifest = run.manifest
    summary, probe, data = manifest["summary"], manifest["probe"], manifest["dataset"]
    table = run.captioned().sort_values("lsi_rank")
    print(f"{run.name}: {data['n_samples']:,} samples, {_about_task(run)}")
    print(
        f"features {features_of(run)}, {manifest['features']['n_features']} of them; "
        f"structure {manifest['leave_one_out']['structure']}; prior precision {probe['prior_precision']:.4g}; "
        + _exactness(run)
    )
    for note in manifest["features"].get("notes", []):
        print(f"note: {note}")
    if judged := how_judged(manifest):
        print(f"note: {judged}")
    if lost := decisions_without_effect(manifest.get("decided") or {}):
        print(f"note: {lost}")
    rows = min(rows, (len(table) + 1) // 2)
    ends = _ends(run, table, rows)
    print(f"\nmost information ({high_means(run.task)})")
    print(text_table(ends.head(rows)))
    print("\nleast information (typical or redundant)")
    print(text_table(ends.tail(rows)))
    print(
        f"\nLSI: {nats(summary['lsi_sum'])} nats in all, mean {nats(summary['lsi_mean'])}, median "
        f"{nats(summary['lsi_median'])}; the top tenth holds {summary['share_of_top_tenth']:.0%}"
    )
    if run.task == "classification":
        print(f"leave-one-out accuracy {summary['loo_accuracy']:.1%}; {summary['n_label_issues']} suspected labels")
    else:
        suspected = "" if run.task == "self" else f"; {summary['n_label_issues']} suspected targets"
        print(f"leave-one-out R² {manifest['targets']['loo_r2']:.3f}{suspected}")
    n_groups = summary["n_near_duplicate_groups"]
    groups = f"{summary['n_near_duplicates']:,} samples in {n_groups:,} near-duplicate group{'s' * (n_groups != 1)}"
    print(why_no_duplicates(run) or groups)
    flagged = quality_words(manifest.get("quality"))
    if flagged:
        print(f"image quality: {', '.join(flagged)}")
    _print_calibration(manifest.get("calibration"), summary["n_label_issues"], run)
    if data["skipped"]:
        first = data["skipped"][0]
        what = "without a vector" if "file" in manifest["features"] else "unreadable"
        print(f"left out: {len(data['skipped'])} {what}, the first {first['id']}: {first['reason']}")
    _print_detection(manifest["detection"], manifest["settings"]["noise"])


def print_comparison(before: Run, after: Run, found: Comparison, rows: int) -> None:
    """Print what differs between two runs.

    Args:
        before: the one run.
        after: the other.
        found: their comparison.
        rows: how many classes, labels and samples to print of each.
    """
    print(f"before {before.name}\nafter  {after.name}\n")
    print(text_table(found.figures))
    if len(found.classes):
        print("\nclasses whose suspects changed most: after, before in brackets; mean LSI in nats")
        print(text_table(_changed_classes(found).head(rows)))
    labels = found.relabelled()
    agreement = found.rank_agreement
    ranks = "" if math.isnan(agreement) else f"; rank agreement of LSI (Spearman) {agreement:.3f}"
    other = f", {len(labels):,} under another label" if found.has_labels else ""
    print(f"\n{len(found.shared):,} samples in both{other}; {len(found.added):,} came, "
          f"{len(found.removed):,} left{ranks}")  # fmt: skip
    if len(labels):
        print(text_table(labels[["id", "given_before", "given_after"]].head(rows)))
    print("\nranks that moved most (share of the samples with at most that much information)")
    print(text_table(found.moved(rows)[["id", "given_after", "rank_before", "rank_after", "lsi_before", "lsi_after"]]))


def _changed_classes(found: Comparison) -> pd.DataFrame:
    """Return the classes of a comparison as text, those whose suspects changed most first."""
    table = found.classes
    distance = (table["suspected_after"] - table["suspected_before"]).abs()
    table = table.loc[distance.sort_values(ascending=False, kind="stable").index]
    words = {"class": table["class"].tolist()}
    for name in ("samples", "suspected", "lsi"):
        pairs = zip(table[f"{name}_after"], table[f"{name}_before"], strict=True)
        words[name] = [f"{as_written(float(after))} ({as_written(float(before))})" for after, before in pairs]
    return pd.DataFrame(words)


def _exactness(run: Run) -> str:
    probe = run.manifest["probe"]
    if run.task == "classification":
        return f"converged to {probe['newton_decrement']:.0e} posterior standard deviations"
    return f"noise variance {probe['noise_variance']:.3g} of the standardised targets"


def _ends(run: Run, table: pd.DataFrame, rows: int) -> pd.DataFrame:
    """Return so many rows of both ends of a table, with its targets told apart."""
    ends = pd.concat([table.head(rows), table.tail(rows)])[_columns(run)]
    given = [column for column in ends.columns if column.startswith("target ")]
    return ends.assign(**{column: told_apart(ends[column].to_numpy()) for column in given})


def _columns(run: Run) -> list[str]:
    """Return the columns that say most of a sample."""
    first = ["lsi_rank", "index"]
    if run.task == "classification":
        return [*first, "given", "predicted", "lsi", "mean_term", "loo_p_given", "is_label_issue"]
    numbers = [c for name in run.target_names[:2] for c in (f"target {name}", f"loo_prediction {name}")]
    rest = ["lsi", "mean_term", "standardised_residual", *([] if run.task == "self" else ["is_label_issue"])]
    return [*first, "id", *numbers, *rest]


def _about_task(run: Run) -> str:
    if run.task == "classification":
        return f"{len(run.class_names)} classes"
    m = run.manifest["targets"]["n_targets"]
    return {
        "regression": f"regression of {', '.join(run.target_names)}",
        "paired": f"paired with an embedding of {m} numbers",
        "self": f"no labels: one view predicts {m} numbers of another",
    }[run.task]


def _print_calibration(calibration: dict[str, Any] | None, suspected: int, run: Run) -> None:
    if calibration is None:
        return
    table = run.scores
    rows = [*(max(1, round(calibration["expected_wrong"] * f)) for f in (0.25, 0.5, 1, 2)), suspected]
    counts = tuple(sorted({min(r, len(table)) for r in rows if r > 0}))
    print(
        f"\nexpect about {calibration['expected_wrong']:.0f} wrong labels "
        f"({calibration['expected_wrong'] / len(table):.1%}), going by {calibration['n_planted']:,} planted flips"
    )
    print(
        text_table(
            pd.DataFrame(precision_recall_at(table["label_score"].to_numpy(), table["p_wrong"].to_numpy(), counts))
        )
    )


def _print_detection(detection: dict[str, Any] | None, noise: dict[str, Any]) -> None:
    if detection is None:
        return
    count, share = detection["n_corrupted"], f"{detection['noise_rate']:.1%}"
    if is_corrupted(noise):
        print(f"\nfinding the {count} corrupted samples ({share})")
    else:
        print(f"\nthis labelling differs from the data's own for {counted(count, 'sample')} ({share}); finding these")
    rows = pd.DataFrame({m: detection[m] for m in ("label_score", "self_confidence", "lsi")}).T
    rows.index = pd.Index(["label_score", "leave-one-out self-confidence", "LSI"])
    print(rows.to_string(float_format=lambda v: f"{v:.3f}"))
