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
    n = max(row["n"] for row in every)
    return (
        f"At most {n:,} samples a problem; AUROC for finding wrong labels, mean over seeds. `label_score` is the "
        "probability of the given label at a second look: by a probe fitted without the suspects of the first, "
        "leave-one-out for everybody else. The last column is `label_score` less the best peer of that row.\n\n"
        + table(["dataset", "noise", "seeds", *OURS[:5], "best peer", "difference"], body)
        + f"\n\n`label_score` lies {min(gaps):+.3f} from the best peer at worst. Mean over the rows above:\n\n"
        + table(["score", "AUROC", "average precision", "precision at the number of errors", "suggestion right"], means)
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
    base, mine = r["base"], r["ours"]
    return (
        f"Leave-one-out with all terms, around n = {base['n']:,}, d = {base['d']}, k = {base['k']}; the exponent is "
        "that of a power law through all points but the first.\n\n"
        + table(["", "values", "seconds", "exponent"], rows)
        + f"\n\nAt n = {r['n']:,}, d = {r['d']}, k = 10, end to end: choice of λ {mine['choice']:.1f} s, fit "
        f"{mine['fit']:.1f} s, leave-one-out with all terms in full and diag {mine['loo']:.1f} s, together "
        f"**{mine['all']:.1f} s**; five-fold cross-validation of scikit-learn's logistic regression, which cleanlab "
        f"starts from, **{r['cross_validation']:.1f} s**."
    )


SECTIONS = {
    "label_errors": ("Who finds wrong labels?", label_errors),
    "fidelity": ("What do the approximations cost?", fidelity),
    "cost": ("How does it grow?", cost),
    "corrupted": ("Does LSI show corrupted images?", corrupted),
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
