"""The section on which part of a dataset to keep."""

from typing import Any

import numpy as np

from benchmarks.tables import table


def condensation(r: dict[str, Any]) -> str:
    """Return the gain of every rule over a random subset, by share kept, and where ours is among the best."""
    parts = [
        "A third of the samples tests, under clean labels; of the rest each rule keeps a share, under the labels as "
        "given, and a model learns from that alone. Gain in accuracy over a random subset, in points, the mean over "
        "the datasets and seeds of a group; in the first line the accuracy of the random subset itself. Bold: the "
        "best, and what lies within one standard error of its difference from the best."
    ]
    for model, words in (("probe", "Linear probe on frozen features"), ("network", "Small network from scratch")):
        for noisy, which in ((False, "clean labels"), (True, "20 % flipped labels, and human ones")):
            settings = {name: v[model] for name, v in r["settings"].items() if ("clean" not in name) == noisy}
            if settings and all(settings.values()):
                parts.append(f"**{words}, {which}** ({', '.join(settings)})\n\n" + _gains(settings, r["ours"]))
    verdicts = [f"{_among_best(r, model)} with the {model}" for model in ("probe", "network")
                if all(v[model] for v in r["settings"].values())]  # fmt: skip
    return "\n\n".join([*parts, f"Over all settings together, *{r['ours']}* is the best or within one standard error "
                        f"of the best at {' and at '.join(verdicts)}."])  # fmt: skip


def gains(settings: dict[str, Any], share: str) -> dict[str, np.ndarray]:
    """Return each rule's accuracy less that of a random subset of the same split, one entry a setting and seed."""
    rules = next(iter(settings.values()))[share]
    return {rule: np.concatenate([np.subtract(s[share][rule], s[share]["random"]) for s in settings.values()])
            for rule in rules}  # fmt: skip


def best(found: dict[str, np.ndarray]) -> list[str]:
    """Return the rule of highest mean and those whose mean lies within one standard error of the difference from it."""
    top = max(found, key=lambda rule: found[rule].mean())

    def is_near(rule: str) -> bool:
        difference = found[top] - found[rule]
        return bool(difference.mean() <= difference.std(ddof=1) / np.sqrt(len(difference)))

    return [rule for rule in found if rule == top or is_near(rule)]


def _gains(settings: dict[str, Any], ours: str) -> str:
    shares = list(next(iter(settings.values())))
    found = {share: gains(settings, share) for share in shares}
    tops = {share: best(found[share]) for share in shares}
    random = [np.concatenate([s[share]["random"] for s in settings.values()]).mean() for share in shares]
    rows = [["random: accuracy", *(f"{100 * v:.1f} %" for v in random)]]
    for rule in found[shares[0]]:
        if rule != "random":
            cells = [f"{100 * found[share][rule].mean():+.1f}" for share in shares]
            cells = [f"**{c}**" if rule in tops[share] else c for c, share in zip(cells, shares, strict=True)]
            rows.append([f"*{rule}*" if rule == ours else rule, *cells])
    return table(["", *(f"{float(share):.0%} kept" for share in shares)], rows)


def _among_best(r: dict[str, Any], model: str) -> str:
    settings = {name: v[model] for name, v in r["settings"].items()}
    shares = list(next(iter(settings.values())))
    held = [f"{float(share):.0%}" for share in shares if r["ours"] in best(gains(settings, share))]
    return f"{len(held)} of {len(shares)} shares" + (f" ({', '.join(held)})" if 0 < len(held) < len(shares) else "")
