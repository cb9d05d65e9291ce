"""Write docs/figures.md from the JSON that the benchmarks left, and from nothing else.

python -m benchmarks.tables
"""

import json
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.record import RESULTS

PAGE = Path(__file__).parent.parent / "docs" / "figures.md"
HEAD = """# Figures

Written by `python -m benchmarks.tables` from `benchmarks/results/*.json`; `make bench` measures them anew. Machines are
shared and noisy: compare within a table, where everything ran side by side.
"""


def engine(r: dict[str, Any]) -> str:
    rows = [
        [f"{s['n']:,}", f"{s['fit_seconds']:.1f}", f"{s['seconds']:.1f}", f"{s['floor_seconds']:.1f}",
         f"{s['ratio_to_floor']:.2f}", f"{s['peak_gib']:.2f}"]
        for s in r["sizes"]
    ]  # fmt: skip
    peer = r["retraining"]
    return (
        f"d = {r['d']}, k = {r['k']}: the probe, and all terms in full and diag, against the flops that their matrix "
        "products need, at the rate measured in the same process.\n\n"
        + table(["samples", "fit, s", "all, s", "floor, s", "ratio", "peak, GiB"], rows)
        + f"\n\nA straight line through the seconds deviates by at most {r['linear_fit']['largest_deviation']:.0%}. "
        f"One leave-one-out of the research protocol ({peer['epochs']:,} epochs of SGD and laplace-torch's diagonal at "
        f"n = {peer['n']:,}) took {peer['seconds_per_sample']:.0f} s, {r['speedup_per_sample']:,.0f} times ours."
    )


def features(r: dict[str, Any]) -> str:
    rows = [
        [str(b["batch"]), f"{b['images_per_second']['plain']:.0f}", f"{b['images_per_second']['ours']:.0f}",
         f"{b['speedup']:.1f}", f"{b['smallest_cosine']:.5f}"]
        for b in r["batches"]
    ]  # fmt: skip
    return (
        f"EfficientNet-Lite0 on {r['images']:,} images at {r['size']} px, reading and preparation included, against "
        "the plain eager float32 loop.\n\n"
        + table(["batch", "plain, images/s", "ours, images/s", "times", "smallest cosine"], rows)
    )


def real(r: dict[str, Any]) -> str:
    rows = [[name, f"{v['auroc']:.3f}", f"{v['average_precision']:.3f}"] for name, v in r["detection"].items()]
    return (
        f"CIFAR-10N aggregate labels, {r['samples']:,} images, {r['wrong']} of them labelled otherwise than in "
        "CIFAR-10: who finds them, on the same features.\n\n" + table(["score", "AUROC", "average precision"], rows)
    )


def app(one: dict[str, Any]) -> str:
    keys, maps, memory = one["queue_seconds"], one["map_seconds"], one["memory_gib"]
    scroll = one["scroll"]
    frames = f"; {scroll['frames_a_second']:.0f} frames a second" if "frames_a_second" in scroll else ""
    rows = [
        ["page change to first image or mark, median / worst", _pair(one["page_change_seconds"])],
        ["key press to next image, median / worst", _pair(keys)],
        ["longest blank tile while 2,000 pass", f"{scroll['longest_blank']:.2f} s{frames}"],
        ["map drawn from a warm run", f"{maps['drawn']:.2f} s"],
        ["lasso to count / to first image, worst of four",
         f"{max(maps['lasso_to_count']):.2f} s / {max(maps['lasso_to_gallery']):.2f} s"],
        ["points in the largest lasso", f"{max(maps['points']):,}"],
        ["server memory, one session / ten more / closed",
         f"{memory['before']:.2f} / {memory['ten_sessions']:.2f} / {memory['closed']:.2f} GiB"],
        ["40 keys 20 ms apart: recorded, in order", f"{keys['recorded_of_40']}, {keys['in_order']}"],
        ["requests that left the server's address", str(len(one["external_requests"]))],
    ]  # fmt: skip
    before = "" if frames else f"{BEFORE}\n\n"
    return f"{before}**{one['run']}, {one['n']:,} images**\n\n" + table(["measured in Chromium", ""], rows)


def million(r: dict[str, Any]) -> str:
    maps = r["map_seconds"]
    return (
        f"{BEFORE}\n\n**Map of {r['n']:,} points**: drawn in {maps['drawn']:.1f} s, lasso to count "
        f"{max(maps['lasso_to_count']):.2f} s at worst ({max(maps['points']):,} points)."
    )


def _each(tree: dict[str, Any], name: str) -> list[float]:
    return [one[name] for one in tree["scrolled"]]


def door(r: dict[str, Any]) -> str:
    """Return what the first minutes take, beside an earlier state where there was one."""
    trees = [name for name in ("now", "before") if name in r]
    waits = {
        "empty cache, server up → ranked images and suspects": lambda t: f"{median(t['first_minute']):.1f} s",
        f"gallery of {r['n']:,} images opened → first picture": lambda t: f"{median(t['opened']):.2f} s",
        "filter by a class → its pictures": lambda t: f"{median(f['image'] for f in t['filtered']):.2f} s",
        "frames a second while 1,000 tiles pass in 5 s": lambda t: f"{median(_each(t, 'frames_a_second')):.0f}",
        "longest blank tile while they pass": lambda t: f"{median(_each(t, 'longest_blank')):.2f} s",
        "key → next suspect, median of 60": lambda t: f"{1000 * t['review']['key_to_next']:.0f} ms",
        "60 suspects decided by keys, each another one": lambda t: str(t["review"]["different"]),
        "reloaded after them: goes on at the next": lambda t: "yes" if t["review"]["resumed_at_the_next"] else "no",
        "server memory after it": lambda t: f"{t['server_mib']:.0f} MiB",
    }
    rows = [[what, *(say(r[name]) for name in trees)] for what, say in waits.items()]
    for task in r["now"]["by_hand"]:
        counts = [r[name]["by_hand"][task] for name in trees]
        said = ("not possible" if c is None else f"{c['clicks']} clicks, {c['keys']} keys" for c in counts)
        rows.append([f"by hand: {task}", *said])
    return table(["measured in Chromium", *trees], rows)


# runs that were measured before gallery, map and panel became one page; to be taken off as they are measured again
BEFORE = "Measured before gallery, map and panel became one page."

SECTIONS = {"engine": ("Engine", engine), "features": ("Features", features), "real": ("Human label errors", real),
            "app_real": ("App", app), "app_large": ("App, a large run", app),
            "app_million": ("App, a million points", million), "door": ("First minutes at the app", door)}  # fmt: skip


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def page() -> str:
    """Return the page of all results that there are."""
    parts = [HEAD]
    for name, (title, section) in SECTIONS.items():
        path = RESULTS / f"{name}.json"
        if path.exists():
            result = json.loads(path.read_text())
            about = result["environment"]
            where = f"{about['processor']}, {about['cores']} cores, {about['cuda'] or 'no GPU'}"
            parts.append(f"## {title}\n\n{section(result)}\n\n<sub>{where}; {path.name}</sub>\n")
    return "\n".join(parts)


def main() -> None:
    PAGE.write_text(page())
    print(PAGE.read_text())


def _pair(found: dict[str, Any]) -> str:
    return f"{found['median']:.2f} s / {found['worst']:.2f} s"


if __name__ == "__main__":
    main()
