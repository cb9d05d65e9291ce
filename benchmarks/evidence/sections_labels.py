"""The evidence page about labels: who finds wrong ones, damaged images, what cleaning gains, how precise a cut is."""

from typing import Any

import numpy as np

from benchmarks.evidence import OURS
from benchmarks.evidence.sections_models import datasets_with
from benchmarks.tables import table


def label_errors(r: dict[str, Any]) -> str:
    """Return the mean over seeds by problem, the mean over problems, suggestions and seconds."""
    groups = by_noise(r)
    names = list(r["rows"][0]["detectors"])
    peers = [n for n in names if n not in OURS]

    def mean(rows: list[dict[str, Any]], name: str, what: str) -> float:
        return float(np.mean([row["detectors"][name][what] for row in rows]))

    body, gaps = [], []
    for (dataset, noise), rows in groups.items():
        best = max(peers, key=lambda n: mean(rows, n, "auroc"))
        gaps.append(mean(rows, "label_score", "auroc") - mean(rows, best, "auroc"))
        body.append([dataset, noise, str(len(rows)), *(f"{mean(rows, n, 'auroc'):.3f}" for n in OURS[:5]),
                     f"{mean(rows, best, 'auroc'):.3f} ({best})", f"{gaps[-1]:+.3f}"])  # fmt: skip
    every = [row for rows in groups.values() for row in rows]
    means = [
        [n, *(f"{np.mean([mean(rows, n, w) for rows in groups.values()]):.3f}"
              for w in ("auroc", "average_precision", "precision_at_errors")),
         f"{np.mean([mean(rows, n, 'suggestion_right') for rows in groups.values()]):.3f}"
         if "suggestion_right" in every[0]["detectors"][n] else ""]
        for n in sorted(names, key=lambda n: -np.mean([mean(rows, n, "auroc") for rows in groups.values()]))
    ]  # fmt: skip
    seconds = {k: np.mean([row["seconds"][k] for row in every]) for k in every[0]["seconds"] if k != "prior_precision"}
    spent = [[name, f"{value:.1f}"] for name, value in seconds.items()]
    flagged = [
        [name, *(f"{np.mean([np.mean([r['flagged'][name][w] for r in rows]) for rows in groups.values()]):.3f}"
                 for w in ("precision", "recall", "f1"))]
        for name in every[0]["flagged"]
    ]  # fmt: skip
    n = max(row["n"] for row in every)
    return (
        f"At most {n:,} samples a problem; AUROC for finding wrong labels, mean over seeds. `label_score` is the "
        "probability of the given label as the right one, leave-one-out, by a probe fitted through the noise of the "
        "labels; `without suspects` is where that fit begins. The last column is `label_score` less the best "
        "peer of that row.\n\n"
        + table(["dataset", "noise", "seeds", *OURS[:5], "best peer", "difference"], body)
        + f"\n\n`label_score` lies {min(gaps):+.4f} from the best peer at worst. Mean over the rows above:\n\n"
        + table(["score", "AUROC", "average precision", "precision at the number of errors", "suggestion right"], means)
        + "\n\nSets of labels that are flagged without a threshold of one's own, mean over the same rows:\n\n"
        + table(["set", "precision", "recall", "F1"], flagged)
        + "\n\nSeconds a problem, on average (`lsi`: choice of λ, fit, all terms in full, diag and kron):\n\n"
        + table(["", "seconds"], spent)
    )


def flagged(r: dict[str, Any]) -> str:
    """Return how many labels each rule flags for each wrong one by kind of noise, and means over problems."""
    rules = list(r["rows"][0]["rules"])
    body = [
        [dataset, noise, f"{np.mean([o['wrong'] for o in rows]):.0f}",
         *(f"{mean_of(rows, rule, 'per_wrong'):.2f} ({mean_of(rows, rule, 'f1'):.2f})" for rule in rules)]
        for (dataset, noise), rows in by_noise(r).items()
    ]  # fmt: skip
    findable = [row for row in r["rows"] if not row["noise"].startswith("where")]
    means = [
        [rule, *(f"{np.mean([1 / most <= o['rules'][rule]['per_wrong'] <= most for o in findable]):.0%}"
                 for most in (1.5, 2)),
         *(f"{mean_of(findable, rule, w):.3f}" for w in ("precision", "recall", "f1"))]
        for rule in rules
    ]  # fmt: skip
    n = max(row["n"] for row in r["rows"])
    return (
        f"At most {n:,} samples a problem, two seeds. Labels flagged for each wrong one, F1 in brackets:\n\n"
        + table(["dataset", "noise", "wrong", *rules], body)
        + "\n\nShare of problems and seeds in which at most that many times as many, or as few, labels are flagged as "
        "are wrong, and means over them; without the noise that sits where a probe doubts, half of which at best is "
        "found:\n\n" + table(["rule", "within 1.5", "within 2", "precision", "recall", "F1"], means)
    )


def effort(r: dict[str, Any]) -> str:
    """Return the share of the wrong labels found by looks, for every order of looking."""
    names = list(r["rows"][0]["found"])
    body = [
        [row["dataset"], row["noise"], f"{row['wrong']:,}",
         *(" / ".join(f"{share:.0%}" for share in row["found"][name]) for name in names)]
        for row in r["rows"]
    ]  # fmt: skip
    gains = [[np.subtract(row["found"][names[1]], row["found"][names[0]]) for row in r["rows"]]]
    gain = np.mean(gains, axis=(0, 1))
    looks = " / ".join(f"{m:g}" for m in r["multiples"])
    return (
        f"A reviewer who errs never looks at labels from the worst one on. Share of the wrong labels found after "
        f"{looks} looks for each wrong label; computed again, the next looks know what the earlier ones found.\n\n"
        + table(["dataset", "noise", "wrong", *names], body)
        + f"\n\nComputing again after every {r['step']} looks changes the share that is found, on the mean, by "
        + ", ".join(f"{100 * g:+.1f}" for g in gain)
        + (" points: it does not help." if gain.max() < 0.005 else " points.")
    )


def mean_of(rows: list[dict[str, Any]], rule: str, figure: str) -> float:
    """Return the mean of a figure of a rule over rows."""
    return float(np.mean([row["rules"][rule][figure] for row in rows]))


def by_noise(r: dict[str, Any]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Return the rows of each dataset and kind of noise, one a seed."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in r["rows"]:
        groups.setdefault((row["dataset"], row["noise"]), []).append(row)
    return groups


def corrupted(r: dict[str, Any]) -> str:
    """Return AUROC by damage for each dataset, and what copies do."""
    parts = []
    for dataset, one in r.items():
        if not isinstance(one, dict) or "rows" not in one:
            continue
        rows = [[name, f"{v['lsi']:.3f}", f"{v['self_confidence']:.3f}"] for name, v in one["rows"].items()]
        c = one["copies"]
        parts.append(
            f"**{dataset}**, {one['damaged']} of {one['n']:,} images damaged: AUROC for finding them\n\n"
            + table(["damage", "LSI", "leave-one-out self-confidence"], rows)
            + "\n\nWith two copies beside it, an image's LSI is lower than alone for "
            f"{c['share_with_lower_lsi']:.0%} of them, in the median {c['median_ratio']:.0%} of it; "
            f"{c['found_as_near_duplicates']:.0%} are found as near duplicates."
        )
    return "\n\n".join(parts)


def quality(r: dict[str, Any]) -> str:
    """Return what LSI, the columns and the flags of image quality find of planted damage, and what measuring costs."""
    every = [v for one in r["sets"].values() for v in one["rows"].values()]
    spans = [f"{min(values):.2f} to {max(values):.2f}" for values in
             ([v[score] for v in every if score in v] for score in ("lsi", "self_confidence")) if values]  # fmt: skip
    seen = f" (AUROC {spans[0]} below; leave-one-out self-confidence {spans[1]})" if spans else ""
    parts = [
        "What is wrong with an image alone is what LSI cannot see. It tells how much the model learns from a sample by "
        "the features and the label; an image that is dark, washed out, blurred, empty, of another size or a copy may "
        f"be easy to learn from or hard, and LSI ranks it among the others{seen}. The probability of the label falls "
        "where damage hides what the label says, but does not tell damage from a wrong label. Image quality is "
        "therefore measured on the images, while they are read for the features: columns of the table, and flags by "
        "rules that compare each image with its dataset. Over-exposure is the hardest to flag, as a white sky is as "
        "bright. A flag is a reason to look, and says nothing of the label."
    ]
    for name, one in r["sets"].items():
        rows = [
            [damage, v["column"], "" if v["auroc"] is None else f"{v['auroc']:.3f}", v["flag"],
             f"{v['precision']:.2f}", f"{v['recall']:.2f}",
             *([f"{v['lsi']:.3f}", f"{v['self_confidence']:.3f}"] if "lsi" in v else [])]
            for damage, v in one["rows"].items()
        ]  # fmt: skip
        head = ["damage", "column", "its AUROC", "flag", "precision", "recall"]
        head += ["AUROC of LSI", "of leave-one-out self-confidence"] if len(rows[0]) > len(head) else []
        parts.append(
            f"**{name}**, {one['damaged']} of {one['n']:,} images damaged, one kind at a time; precision and recall of "
            "copies count their originals as well\n\n" + table(head, rows)
        )
    costs = [
        f"{c['without']:.2f} s without and {c['with']:.2f} s with it for {c['n']} JPEG images of {c['side']} px "
        f"({100 * (c['with'] / c['without'] - 1):+.1f} %)"
        for c in r["cost"]
    ]
    parts.append(f"Measuring costs, in the processor's time of a whole extraction on one thread: {'; '.join(costs)}.")
    return "\n\n".join(parts)


def curation(r: dict[str, Any]) -> str:
    """Return the gain of every way to clean, over removing as many at random."""
    rows = []
    for name, one in datasets_with(r, "network"):
        for what in one["network"]:
            cells = []
            for model in ("probe", "network"):
                v = one[model][what]
                cells.append(f"{v['accuracy']:.1%} against {v['against']:.1%}: {100 * v['gain']:+.1f} "
                             f"({100 * v['low']:+.1f} to {100 * v['high']:+.1f})")  # fmt: skip
            rows.append([name, what, f"{one['removed'][what]:,}", *cells])
    return (
        "Accuracy on clean unseen images (a third of the data), against removing as many at random (for relabelling: "
        "against the labels as given); in points, with a 95 % interval over five seeds of split, noise and network. "
        "Suspects are the product's; 'removed' is of the first seed.\n\n"
        + table(["data", "what was done", "removed", "probe", "small network from scratch"], rows)
    )


def threshold(r: dict[str, Any]) -> str:
    """Return predicted and true precision over cuts."""
    multiples = r["multiples"]
    rows = [
        [row["dataset"], row["noise"], f"{row['n']:,}", f"{row['expected_wrong']:.0f} / {row['wrong']:,}",
         *(f"{p:.2f} / {t:.2f}" for p, t in zip(row["precision"], row["true_precision"], strict=True)),
         f"{row['worst']:.3f}"]
        for row in r["rows"]
    ]  # fmt: skip
    human = [row for row in r["rows"] if row["noise"].startswith("human")]
    summary = _human_cuts(human, multiples) if human else ""
    head = [f"{m:g} ×" for m in multiples]
    return (
        "Precision of the worst label scores, predicted (by flips planted in the given labels, without knowing the "
        "right ones) / true, at cuts of so many times the number of wrong labels; and the number of wrong labels "
        "expected / true.\n\n"
        + table(["data", "noise", "n", "wrong", *head, "largest difference"], rows)
        + f"\n\n{summary}"
    )


def _human_cuts(rows: list[dict[str, Any]], multiples: list[float]) -> str:
    """Return how far predictions are off on human labels, and how far chance alone would take them."""
    whole = max(rows, key=lambda row: row["n"])
    parts = [row for row in rows if row is not whole]
    text = (
        f"On {whole['n']:,} images with human labels the predicted precision is off by {whole['worst']:.3f} at most "
        f"({whole['expected_wrong']:,.0f} wrong labels expected, {whole['wrong']:,} there)."
    )
    if parts:
        true = np.array([row["true_precision"] for row in parts])
        gaps = np.abs(np.array([row["precision"] for row in parts]) - true)
        counts = np.round(np.outer([row["wrong"] for row in parts], multiples))
        chance = np.sqrt(true * (1 - true) / counts)
        row, cut = np.unravel_index(gaps.argmax(), gaps.shape)
        text += (
            f" On {len(parts)} random parts of them, {len(multiples)} cuts each, it is off by {gaps.mean():.3f} on "
            f"average and within 0.05 in {(gaps <= 0.05).mean():.0%} of the cuts; {gaps[row, cut]:.3f} at most, where "
            f"{counts[row, cut]:.0f} images are cut and the true precision has a standard error of "
            f"{chance[row, cut]:.3f}. By chance alone it would be off by {chance.mean():.3f} (one standard error)."
        )
    return text + (
        " Three choices (that annotators hesitate where the model does, the share held between two estimates, and the "
        "look that is counted) were settled on other random parts of the same data, so this is no independent test. "
        "Where only one class is wrong, or few labels are, it expects too many: images that are hard look the same."
    )
