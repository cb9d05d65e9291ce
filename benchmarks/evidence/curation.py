"""Does cleaning help? What the product would remove or relabel, against removing as many at random."""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import stdtrit

from benchmarks.evidence import probes, small_net
from benchmarks.evidence.problems import Source, flipped, sources
from lsi.audit.duplicates import near_duplicates, neighbours
from lsi.audit.label_issues import label_issues
from lsi.audit.through_noise import judge_labels

TEST = 1 / 3
LOWEST = 0.2  # share of lowest LSI to do without
Arm = tuple[np.ndarray, np.ndarray]  # rows of the pool, and their labels


def study(quick: bool, cache: Path) -> dict[str, Any]:
    """Return, for each dataset and kind of noise, accuracy on clean unseen images by what was done to the rest."""
    found = {}
    for source in sources(cache, 450 if quick else 6_000):
        if quick and found:
            break
        seeds = range(2 if quick else 5)
        noises = {"symmetric 20%": [flipped(source.clean, "symmetric", 0.2, seed) for seed in seeds]}
        if source.human is not None:
            noises = {"human (CIFAR-10N)": [source.human for _ in seeds]} | noises
        for noise, labels in noises.items():
            rows = [once(source, labels[seed], seed, quick) for seed in seeds]
            result = {"n": len(source.clean), "removed": rows[0]["removed"], "seeds": len(rows),
                      "probe": _arms(rows, "probe"), "network": _arms(rows, "network")}  # fmt: skip
            found[f"{source.name}, {noise}"] = result
            print(source.name, noise, {k: v["gain"] for k, v in result["network"].items()}, flush=True)
    return found


def once(source: Source, given: np.ndarray, seed: int, quick: bool) -> dict[str, Any]:
    rng, k = np.random.default_rng(seed), int(source.clean.max()) + 1
    test, rest = np.split(rng.permutation(len(given)), [round(TEST * len(given))])
    images, steps = source.pixels(), 60 if quick else small_net.STEPS
    result: dict[str, Any] = {"probe": {}, "network": {}, "removed": {}}
    for name, (rows, labels) in arms(source, given, rest, k, rng).items():
        probe = probes.fitted(source.features[rows], labels, k)
        result["probe"][name] = probes.accuracy(probe, source.features[test], source.clean[test])
        net = small_net.train(images[rows], labels, k, seed, small_net.Training(steps))
        result["network"][name] = small_net.accuracy(net, images[test], source.clean[test])
        result["removed"][name] = int(len(rest) - len(rows))
    return result


def arms(source: Source, given: np.ndarray, rest: np.ndarray, k: int, rng: np.random.Generator) -> dict[str, Arm]:
    """Return the training sets by name; each removal has a random one of the same size beside it."""
    probe = probes.fitted(source.features[rest], given[rest], k)
    scores = probes.scores_of(probe)
    label_probabilities = judge_labels(probe, given[rest], scores.loo_probabilities).dense()
    suspect = label_issues(given[rest], label_probabilities, "expected_errors")
    lowest = np.argsort(scores.lsi)[: round(LOWEST * len(rest))]
    found: dict[str, Arm] = {"as given": (rest, given[rest])}

    def removal(name: str, keep: np.ndarray, rows: np.ndarray) -> None:
        found[name] = rows[keep], given[rows[keep]]
        thinned = rng.permutation(rows)[: int(keep.sum())]
        found[f"{name}: as many at random"] = thinned, given[thinned]

    removal("suspects removed", ~suspect, rest)
    found["suspects relabelled"] = rest, np.where(suspect, label_probabilities.argmax(axis=1), given[rest])
    removal("lowest LSI removed", ~np.isin(np.arange(len(rest)), lowest), rest)
    once = rest[: 2 * len(rest) // 3]
    copied = np.concatenate([once, once[: len(once) // 2]])
    found["a half comes twice"] = copied, given[copied]
    groups = near_duplicates(neighbours(source.features[copied]), source.features[copied]).group
    _, first = np.unique(np.where(groups < 0, -1 - np.arange(len(groups)), groups), return_index=True)
    removal("one of each duplicate group kept", np.isin(np.arange(len(copied)), first), copied)
    return found


AGAINST = {
    "suspects removed": "suspects removed: as many at random",
    "suspects relabelled": "as given",
    "lowest LSI removed": "lowest LSI removed: as many at random",
    "one of each duplicate group kept": "one of each duplicate group kept: as many at random",
}


def _arms(rows: list[dict[str, Any]], model: str) -> dict[str, dict[str, float]]:
    """Return each arm's mean accuracy, and its gain over what it stands against, with a 95 % interval (Student's t)."""
    values = {name: np.array([row[model][name] for row in rows]) for name in rows[0][model]}
    found = {}
    for name, against in AGAINST.items():
        gain = values[name] - values[against]
        half = float(stdtrit(len(gain) - 1, 0.975) * gain.std(ddof=1) / np.sqrt(len(gain)))
        found[name] = {"accuracy": float(values[name].mean()), "against": float(values[against].mean()),
                       "as_given": float(values["as given"].mean()), "gain": float(gain.mean()),
                       "low": float(gain.mean()) - half, "high": float(gain.mean()) + half}  # fmt: skip
    return found
