"""Which part of a dataset to keep? Accuracy on clean unseen samples by what was kept, from 10 to 70 %."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.evidence import probes, small_net
from benchmarks.evidence.problems import Source, flipped, sources
from benchmarks.evidence.subsets import Pool, el2n, subsets
from lsi.audit.label_issues import label_issues
from lsi.audit.through_noise import judge_labels

TEST = 1 / 3
SHARES = (0.1, 0.2, 0.3, 0.5, 0.7)
OURS = "even over LSI, suspects out"
STEPS, EARLY = 200, 60  # of the network, and of those whose EL2N is read
NETWORK_SHARES, NETWORK_SEEDS = (0.1, 0.3, 0.7), 2
NETWORK_RULES = ("random", "random, suspects out", "highest LSI", "lowest LSI", OURS, "CCS on EL2N", "k-centre")


def study(quick: bool, cache: Path) -> dict[str, Any]:
    """Return accuracies by dataset and noise, model, share and rule: one for each seed."""
    found: dict[str, Any] = {}
    for source in sources(cache, 450 if quick else 3_000):
        if quick and found:
            break
        seeds = range(2 if quick else 5)
        noises = {"clean": [source.clean for _ in seeds],
                  "symmetric 20%": [flipped(source.clean, "symmetric", 0.2, seed) for seed in seeds]}  # fmt: skip
        if source.human is not None:
            noises["human (CIFAR-10N)"] = [source.human for _ in seeds]
        for noise, labels in noises.items():
            rows = [once(source, labels[seed], seed, quick) for seed in seeds]
            found[f"{source.name}, {noise}"] = {
                "probe": _gathered([row["probe"] for row in rows]),
                "network": _gathered([row["network"] for row in rows if row["network"]]),
                "all": [row["all"] for row in rows],
            }
            means = {share: f"{np.mean(rules[OURS]):.3f} {np.mean(rules['random']):.3f}"
                     for share, rules in found[f"{source.name}, {noise}"]["probe"].items()}  # fmt: skip
            print(source.name, noise, means, flush=True)
    return {"settings": found, "shares": list(SHARES), "ours": OURS}


def once(source: Source, given: np.ndarray, seed: int, quick: bool) -> dict[str, Any]:
    """Return accuracy by share and rule of one split, for the probe and where it is its turn for the network."""
    rng, k = np.random.default_rng(seed), int(source.clean.max()) + 1
    test, rest = np.split(rng.permutation(len(given)), [round(TEST * len(given))])
    images, labels, steps = source.pixels(), given[rest], 20 if quick else STEPS
    whole = probes.fitted(source.features[rest], labels, k)
    scores = probes.scores_of(whole)
    judged = judge_labels(whole, labels, scores.loo_probabilities).dense()
    difficulty = el2n(images[rest], labels, k, 10 if quick else EARLY)
    pool = Pool(source.features[rest], labels, scores.lsi, label_issues(labels, judged, "expected_errors"), difficulty)
    prior = whole.objective.prior_precision
    result: dict[str, Any] = {
        "probe": {}, "network": {}, "all": probes.accuracy(whole, source.features[test], source.clean[test]),
    }  # fmt: skip
    for share in SHARES:
        chosen = subsets(pool, share, rng)
        result["probe"][share] = {
            name: probes.accuracy(probes.fitted(pool.features[rows], labels[rows], k, prior * len(rows) / len(rest)),
                                  source.features[test], source.clean[test])
            for name, rows in chosen.items()
        }  # fmt: skip
        if share in NETWORK_SHARES and seed < NETWORK_SEEDS:
            for name in NETWORK_RULES:
                rows = chosen[name]
                net = small_net.train(images[rest][rows], labels[rows], k, seed, small_net.Training(steps))
                accuracy = small_net.accuracy(net, images[test], source.clean[test])
                result["network"].setdefault(share, {})[name] = accuracy
    return result


def _gathered(rows: list[dict[float, dict[str, float]]]) -> dict[str, dict[str, list[float]]]:
    """Return one accuracy a seed, by share and rule; nothing where it was no seed's turn."""
    if not rows:
        return {}
    return {f"{share:g}": {name: [row[share][name] for row in rows] for name in rows[0][share]} for share in rows[0]}
