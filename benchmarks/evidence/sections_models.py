"""The evidence page about models: approximations, cost, settings, transfer, typicality, life without labels."""

from typing import Any

import numpy as np

from benchmarks.tables import table

AGREEMENT = ("Spearman", "overlap of the top", "median relative error")


def fidelity(r: dict[str, Any]) -> str:
    """Return a table a dataset."""
    parts = []
    for dataset, one in r.items():
        if not isinstance(one, dict) or "rows" not in one:
            continue
        rows = [
            [name, *agreement(v), f"{v['seconds']:.2f} / {v['against']:.2f}" if "seconds" in v else ""]
            for name, v in one["rows"].items()
        ]
        parts.append(
            f"**{dataset}**, n = {one['n']:,}, d = {one['d']}, λ = {one['prior_precision']:.3g}\n\n"
            + table(["approximation", *AGREEMENT, "seconds"], rows)
        )
    return "\n\n".join(parts)


def agreement(v: dict[str, Any]) -> list[str]:
    """Return the cells below `AGREEMENT`: how one ranking agrees with a more exact one."""
    return [f"{v['spearman']:.4f}", f"{v['top_overlap']:.0%} of {v['top']}", f"{v['median_relative_error']:.1e}"]


def cost(r: dict[str, Any]) -> str:
    """Return seconds and exponents, and the comparison with cross-validation."""
    rows = [
        [name, ", ".join(f"{v:,}" for v in g["values"]), ", ".join(f"{s:.2f}" for s in g["seconds"]),
         "" if g["exponent"] is None else f"{g['exponent']:.2f}",
         ", ".join(f"{row['peak_gib']:.2f}" for row in g["rows"])]
        for name, g in r["growth"].items()
    ]  # fmt: skip
    base = r["base"]
    ends = [
        [name, f"{side['features']['at_that_rate']:.0f}" if "features" in side else "",
         *(f"{side['ours'][part]:.1f}" for part in ("choice", "fit", "posterior", "loo")),
         f"**{side['ours']['all']:.1f}**",
         f"{side['cross_validation']:.1f}", f"**{side['cross_validation_parallel']:.1f}**"]
        for name, side in r["sides"].items()
    ]  # fmt: skip
    head = ["data", "features", "choice of λ", "fit", "posterior", "leave-one-out, all terms", "together",
            "cross-validation", "in parallel"]  # fmt: skip
    extracted = [side["features"]["images"] for side in r["sides"].values() if "features" in side]
    before = [row["before_gib"] for g in r["growth"].values() for row in g["rows"]]
    return (
        f"Posterior and leave-one-out with all terms, around n = {base['n']:,}, d = {base['d']}, k = {base['k']}, each "
        "in a process of its own; the exponent is that of a power law through all points but the first, peak memory "
        f"that of the process, which holds {max(before):.2f} GiB before it sees the data.\n\n"
        + table(["", "values", "seconds", "exponent", "peak GiB"], rows)
        + f"\n\nSeconds at n = {r['n']:,}, d = {r['d']}, k = 10, end to end with the structure full, beside five-fold "
        "cross-validation of scikit-learn's logistic regression at its defaults, which cleanlab starts from, as it "
        "comes and with a process a fold (`n_jobs=-1`); the faster of two turns each. 'Together' is without features, "
        f"which both sides need; their seconds are those of {max(extracted, default=0):,} images, taken to n:\n\n"
        + table(head, ends)
    )


def settings(r: dict[str, Any]) -> str:
    """Return figures by setting, and what the defaults follow."""
    datasets = datasets_with(r, "rows")
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
        "- **`label_score` from a probe fitted through the noise of the labels**: the first table of this page."
    )


def transfer(r: dict[str, Any]) -> str:
    """Return rank agreement and the network's accuracy by what it was trained on."""
    parts = []
    for dataset, one in datasets_with(r, "agreement"):
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
    datasets = datasets_with(r, "measures")
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
        + (_votes(r["votes"]) if "votes" in r else "")
    )  # fmt: skip


def _votes(r: dict[str, Any]) -> str:
    """Return how scores go with the disagreement of annotators."""
    rows = [
        [name, *(f"{one[name]['auroc']:.3f} ({one[name]['spearman']:+.2f})" for one in r["labels"].values())]
        for name in next(iter(r["labels"].values()))
    ]
    return (
        f"\n\n**Where people hesitate.** {r['n']:,} images of CIFAR-10 with the votes of three annotators (CIFAR-10N), "
        f"who disagree on {r['disagree']:.0%} of them. AUROC for the images on which they disagree, and the Spearman "
        "correlation with the entropy of their votes, by scores on right labels and on those of the majority:\n\n"
        + table(["score", *r["labels"]], rows)
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


def datasets_with(r: dict[str, Any], has: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the parts of a result, one a dataset, that hold a key."""
    return [(name, one) for name, one in r.items() if isinstance(one, dict) and has in one]


def _p(value: float) -> str:
    return "< 1e-10" if value < 1e-10 else f"{value:.1g}"
