"""Write docs/evidence.md from the JSON of the studies, and from nothing else."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import RESULTS
from benchmarks.tables import table

PAGE = Path(__file__).parent.parent.parent / "docs" / "evidence.md"
HEAD = """# Evidence

Written by `make evidence` from `benchmarks/results/evidence_*.json`. Everything in a row ran on the same features and
labels in the same process. Negative results stay in.
"""
OURS = ("label_score", "mean of both looks", "leave-one-out self-confidence", "leave-one-out margin", "LSI full",
        "LSI diag", "LSI kron")  # fmt: skip


def label_errors(r: dict[str, Any]) -> str:
    """Return the mean over seeds by problem, the mean over problems, suggestions and seconds."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in r["rows"]:
        groups.setdefault((row["dataset"], row["noise"]), []).append(row)
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
        "probability of the given label at a second look: by a probe fitted without the suspects of the first, "
        "leave-one-out for everybody else. The last column is `label_score` less the best peer of that row.\n\n"
        + table(["dataset", "noise", "seeds", *OURS[:5], "best peer", "difference"], body)
        + f"\n\n`label_score` lies {min(gaps):+.3f} from the best peer at worst. Mean over the rows above:\n\n"
        + table(["score", "AUROC", "average precision", "precision at the number of errors", "suggestion right"], means)
        + "\n\nSets of labels that are flagged without a threshold of one's own, mean over the same rows:\n\n"
        + table(["set", "precision", "recall", "F1"], flagged)
        + "\n\nSeconds a problem, on average (`lsi`: choice of λ, fit, all terms in full, diag and kron):\n\n"
        + table(["", "seconds"], spent)
    )


def fidelity(r: dict[str, Any]) -> str:
    """Return a table a dataset."""
    parts = []
    for dataset, one in r.items():
        if not isinstance(one, dict) or "rows" not in one:
            continue
        rows = [
            [name, f"{v['spearman']:.4f}", f"{v['top_overlap']:.0%} of {v['top']}", f"{v['median_relative_error']:.1e}",
             f"{v['seconds']:.2f} / {v['against']:.2f}" if "seconds" in v else ""]
            for name, v in one["rows"].items()
        ]  # fmt: skip
        parts.append(
            f"**{dataset}**, n = {one['n']:,}, d = {one['d']}, λ = {one['prior_precision']:.3g}\n\n"
            + table(["approximation", "Spearman", "overlap of the top", "median relative error", "seconds"], rows)
        )
    return "\n\n".join(parts)


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


def cost(r: dict[str, Any]) -> str:
    """Return seconds and exponents, and the comparison with cross-validation."""
    rows = [
        [name, ", ".join(f"{v:,}" for v in g["values"]), ", ".join(f"{s:.2f}" for s in g["seconds"]),
         "" if g["exponent"] is None else f"{g['exponent']:.2f}"]
        for name, g in r["growth"].items()
    ]  # fmt: skip
    base = r["base"]
    ends = [
        [name, *(f"{side['ours'][part]:.1f}" for part in ("choice", "fit", "loo")), f"**{side['ours']['all']:.1f}**",
         f"**{side['cross_validation']:.1f}**"]
        for name, side in r["sides"].items()
    ]  # fmt: skip
    return (
        f"Leave-one-out with all terms, around n = {base['n']:,}, d = {base['d']}, k = {base['k']}; the exponent is "
        "that of a power law through all points but the first.\n\n"
        + table(["", "values", "seconds", "exponent"], rows)
        + f"\n\nSeconds at n = {r['n']:,}, d = {r['d']}, k = 10, end to end with the structure full, beside five-fold "
        "cross-validation of scikit-learn's logistic regression at its defaults, which cleanlab starts from:\n\n"
        + table(["features", "choice of λ", "fit", "leave-one-out, all terms", "together", "cross-validation"], ends)
    )


def transfer(r: dict[str, Any]) -> str:
    """Return rank agreement and the network's accuracy by what it was trained on."""
    parts = []
    for dataset, one in _datasets(r, "agreement"):
        agreement = [[name, f"{v['spearman']:.3f}", f"{v['top_overlap']:.0%}"] for name, v in one["agreement"].items()]
        shares = list(one["selection"][0]["top"])
        rows = []
        for name in ("top", "middle", "bottom", "random"):
            values = np.array([[seed[name][share] for share in shares] for seed in one["selection"]])
            rows.append([name, *(f"{m:.1%} ± {s:.1%}" for m, s in zip(values.mean(0), values.std(0), strict=True))])
        parts.append(
            f"**{dataset}**, n = {one['n']:,}: LSI by other means against that by the defaults, over all images and in "
            "the twentieth of highest LSI\n\n"
            + table(["", "Spearman", "overlap of the top"], agreement)
            + "\n\nAccuracy on unseen images of a small network trained from scratch on a part of two thirds of these, "
            f"chosen by LSI; mean and standard deviation of {len(one['selection'])} seeds\n\n"
            + table(["part by LSI", *(f"{share} %" for share in shares)], rows)
        )
    return "\n\n".join(parts)


def typicality(r: dict[str, Any]) -> str:
    """Return what goes with LSI, and the difficulty of classes and datasets."""
    datasets = _datasets(r, "measures")
    rows = [
        [dataset, name, f"{v['spearman']:+.2f}", f"{v['effect']:+.2f}", _p(v["p_of_test"])]
        for dataset, one in datasets
        for name, v in one["measures"].items()
    ]
    whole = [
        [dataset, f"{one['n']:,}", f"{one['mean_lsi']:.3g}", f"{one['dataset_error']:.1%}",
         f"{one['classes']['spearman']:+.2f} ({_p(one['classes']['p'])})"]
        for dataset, one in datasets
    ]  # fmt: skip
    return (
        "On clean labels. Correlation of LSI with what makes an image atypical; and between the tenths of highest and "
        "of lowest LSI the rank-biserial effect (1: every high-LSI image has the larger value) with a two-sided "
        "Mann–Whitney test.\n\n"
        + table(["dataset", "measure", "Spearman with LSI", "effect", "p"], rows)
        + "\n\nDatasets and their classes: is the LSI of a class the error of the probe on it?\n\n"
        + table(["dataset", "n", "mean LSI in nats", "leave-one-out error",
                 "Spearman of class LSI with class error (p)"], whole)
    )  # fmt: skip


def curation(r: dict[str, Any]) -> str:
    """Return the gain of every way to clean, over removing as many at random."""
    rows = []
    for name, one in _datasets(r, "network"):
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
    gaps = [abs(p - t) for row in human for p, t in zip(row["precision"], row["true_precision"], strict=True)]
    summary = ""
    if human:
        within = sum(row["worst"] <= 0.05 for row in human)
        summary = (
            f"On human labels the predicted precision is off by {np.mean(gaps):.3f} on average and {max(gaps):.3f} at "
            f"most, over {len(human)} samples of the data and {len(multiples)} cuts each; all cuts are within 0.05 in "
            f"{within} of them. Two choices (that annotators hesitate where the model does, and the share held between "
            "two estimates) were settled on other random parts of the same data, so this is no independent test. "
            "Where only one class is wrong, or few labels are, it expects too many: images that are hard look the same."
        )
    head = [f"{m:g} ×" for m in multiples]
    return (
        "Precision of the worst label scores, predicted (by flips planted in the given labels, without knowing the "
        "right ones) / true, at cuts of so many times the number of wrong labels; and the number of wrong labels "
        "expected / true.\n\n"
        + table(["data", "noise", "n", "wrong", *head, "largest difference"], rows)
        + f"\n\n{summary}"
    )


def unlabelled(r: dict[str, Any]) -> str:
    """Return what is found without class labels, twins, the cost, the contrastive reference."""
    parts = []
    if "foreign" in r:
        first = r["foreign"][0]
        rows = []
        for name in first["auroc"]:
            values = [one["auroc"][name] for one in r["foreign"]]
            rows.append([name, *(f"{v:.3f}" for v in values), f"{np.mean(values):.3f}"])
        parts.append(
            f"**Images without labels.** {first['foreign']} images of Fashion-MNIST among {first['n']:,}, the others "
            "test images of CIFAR-10: AUROC for the foreign ones.\n\n"
            + table(["score", *(f"seed {i}" for i in range(len(r["foreign"]))), "mean"], rows)
        )
        t = r["twins"]
        parts.append(
            f"**Twins.** An image that is there three times holds less than alone in {t['lower_share']:.0%} of fifty "
            f"cases, in the median {t['median_ratio']:.0%} of it; the three left out together hold "
            f"{t['together_ratio']:.0%} of what the image held alone."
        )
    found = [
        ["moved numbers", "diabetes, 5 % of the targets moved by four deviations", "numbers"],
        ["pairs out of place", "halves of digits, 5 % of the pairs shuffled", "pairs"],
        ["flipped sentiments", "200 sentences written by hand, 10 % flipped", "sentiments"],
    ]
    rows = []
    for what, data, name in found:
        for score in r[name][0] if name in r else ():
            values = [one[score] for one in r[name]]
            rows.append([what, data, score, str(len(values)), f"{np.mean(values):.3f}", f"{min(values):.3f}"])
    parts.append("**What is out of place.** AUROC for finding it.\n\n"
                 + table(["what", "data", "score", "seeds", "mean", "lowest"], rows))  # fmt: skip
    c, k = r["contrastive"], r["cost"]
    parts.append(
        f"**Contrastive pairs.** On {c['n']} pairs, LSI of the Gaussian head and LSI of the contrastive objective by "
        f"true refits agree with a rank correlation of {c['spearman']:.2f}; they find shuffled pairs with AUROC "
        f"{c['auroc_gaussian']:.2f} and {c['auroc_contrastive']:.2f}, in {c['seconds_gaussian']:.3f} s and "
        f"{c['seconds_refits']:.0f} s."
    )
    parts.append(
        f"**Cost.** n = {k['n']:,}, d = {k['d']}, m = {k['m']} targets: choice of σ² and λ, fit and all terms take "
        f"**{k['seconds']:.1f} s**."
    )
    return "\n\n".join(parts)


def settings(r: dict[str, Any]) -> str:
    """Return figures by setting, and what the defaults follow."""
    datasets = _datasets(r, "rows")
    rows = []
    for name in dict.fromkeys(name for _, one in datasets for name in one["rows"]):
        cells = []
        for _, one in datasets:
            v = one["rows"].get(name)
            cells += [""] * 4 if v is None else [f"{v['label_score']:.3f}", f"{v['lsi']:.3f}", f"{v['accuracy']:.1%}",
                                                 f"{v['seconds']:.1f}"]  # fmt: skip
        rows.append([name, *cells])
    whats = ("label_score", "LSI", "accuracy", "seconds")
    head = [f"{dataset}: {what}" for dataset, _ in datasets for what in whats]

    def change(*names: str) -> str:
        """Return by how much label_score changes against the default, over some settings."""
        gaps = [v["label_score"] - one["rows"]["default"]["label_score"]
                for _, one in datasets for name, v in one["rows"].items() if name in names]  # fmt: skip
        return f"{min(gaps):+.3f} to {max(gaps):+.3f}"

    noises = ", ".join(f"{dataset} {one['noise']}" for dataset, one in datasets)
    return (
        f"One setting changed at a time: AUROC of `label_score` and of LSI for wrong labels ({noises}), leave-one-out "
        "accuracy against the right labels, seconds of choice, fit and scores.\n\n"
        + table(["", *head], rows)
        + "\n\nWhat the defaults follow; in brackets the change of `label_score` against them:\n\n"
        f"- **λ by the best leave-one-out likelihood** (λ = 1: {change('λ = 1')}; ten times less or more: "
        f"{change('λ × 0.1', 'λ × 10')}).\n"
        f"- **Structure full, and kron beyond 12,000 weights** (kron: {change('structure kron')}).\n"
        f"- **Standardisation by one global scale** (raw features: {change('not standardised')}).\n"
        f"- **256 principal components** (32 to 128: {change('32 components', '64 components', '128 components')}; "
        f"512 or all: {change('512 components', 'no PCA')}).\n"
        f"- **160 px for images of up to 64 px** (96 px: {change('96 px')}; 224 px: {change('224 px')}).\n"
        "- **`label_score` from a second look**: the first table of this page."
    )


def _datasets(r: dict[str, Any], has: str) -> list[tuple[str, dict[str, Any]]]:
    return [(name, one) for name, one in r.items() if isinstance(one, dict) and has in one]


def _p(value: float) -> str:
    return "< 1e-10" if value < 1e-10 else f"{value:.1g}"


SECTIONS = {
    "label_errors": ("Who finds wrong labels?", label_errors),
    "fidelity": ("What do the approximations cost?", fidelity),
    "cost": ("How does it grow?", cost),
    "settings": ("Which settings?", settings),
    "corrupted": ("Does LSI show corrupted images?", corrupted),
    "transfer": ("Does the ranking carry over?", transfer),
    "typicality": ("Are low-LSI images the typical ones, and high-LSI classes the hard ones?", typicality),
    "curation": ("Does cleaning help?", curation),
    "threshold": ("Can we say how precise a cut is?", threshold),
    "unlabelled": ("What without class labels?", unlabelled),
}


def write() -> None:
    """Write the page from the studies that are there."""
    parts = [HEAD]
    for name, (title, section) in SECTIONS.items():
        path = RESULTS / f"evidence_{name}.json"
        if path.exists():
            result = json.loads(path.read_text())
            parts.append(f"## {title}\n\n{section(result)}\n\n<sub>{path.name}, {result['seconds']:.0f} s</sub>\n")
    PAGE.write_text("\n".join(parts))
