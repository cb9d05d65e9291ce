"""Pictures of every page, light and dark, of clothes and of thirty classes: into artefacts/screenshots.

The gallery of the README is one of them. Run by `make screenshots`; needs Chromium.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from lsi.compute import maps, pipeline
from lsi.config import DATABASE, DataSettings, FeatureSettings, Settings
from lsi.runs.decisions import Decision, Reviews
from lsi.runs.remarks import add_remark
from lsi.ui.first_run import FIRST
from tests.e2e.browser import chromium, launch, serve, settle

OUT, README = Path("artefacts/screenshots"), Path("docs/images/samples.png")
PAGES = ("", "samples", "samples?panel=Detail", "issues", "map", "classes", "redundancy", "export", "runs")
SIZES = ((1440, 900), (1024, 768))


def thirty_classes(folder: Path, n: int = 900) -> Path:
    """Write n images of thirty classes of waves, a twentieth of them in a wrong folder."""
    rng, (y, x) = np.random.default_rng(0), np.mgrid[:48, :48]
    for i in range(n):
        c = i % 30
        shown = (c + rng.integers(1, 30)) % 30 if rng.random() < 0.05 else c
        waves = [127 + 100 * np.sin(x / (3 + c % 6) + c), 127 + 100 * np.cos(y / (2 + c % 5) + 2 * c)]
        pixels = np.stack([*waves, np.full((48, 48), 37 * c % 255)], axis=-1) + rng.normal(0, 25, (48, 48, 3))
        path = folder / f"{shown:02d} {'broad' if shown % 2 else 'narrow'} waves" / f"{i:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)
    return folder


def runs(cache: Path) -> dict[str, str]:
    """Compute clothes, thirty classes, and these again from thirty decisions; return the names of the runs."""
    settings = Settings(
        DataSettings(data=thirty_classes(cache / "thirty")), features=FeatureSettings(backbone="pixels")
    )
    clothes, waves = pipeline.run(FIRST, cache), pipeline.run(settings, cache)
    table, reviews = waves.scores, Reviews.of_cache(cache)
    batch = [
        Decision(int(i), "relabel", int(table["suggested_label"][i]), given=int(table["given_label"][i]))
        for i in table[table["is_label_issue"]].sort_values("label_score").index[:30]
    ]
    reviews.record(waves.subject, "ann", batch)
    add_remark(reviews, clothes.subject, "ann", range(40), "tag", "second look")
    most = int(clothes.scores["lsi"].to_numpy().argmax())
    add_remark(reviews, clothes.subject, "ann", [most], "tag", "cropped")
    add_remark(reviews, clothes.subject, "ann", [most], "note", "Ask the shop what this was sold as.")
    reviews.close()
    cleaned = pipeline.run(replace(settings, decisions=DATABASE), cache)
    for run in (clothes, waves, cleaned):
        maps.projection_of_run(run, cache)
    return {"clothes": clothes.name, "waves": cleaned.name}


def main() -> None:
    """Take them all."""
    path = chromium()
    if path is None:
        raise SystemExit("Screenshots need Chromium (Debian: apt-get install chromium).")
    shutil.rmtree(OUT, ignore_errors=True)
    cache = OUT / "cache"
    names = runs(cache)
    with serve(cache) as server, launch(path) as browser:
        for scheme in ("light", "dark"):
            for width, height in SIZES:
                context = browser.new_context(
                    viewport={"width": width, "height": height}, base_url=server.address, color_scheme=scheme
                )
                page = context.new_page()
                page.set_default_timeout(60_000)
                for what, run in names.items():
                    for name in PAGES:
                        page.goto(f"/{name}{'&' if '?' in name else '?'}run={run}")
                        settle(page)
                        page.wait_for_timeout(2_000)
                        settle(page)
                        page.screenshot(
                            path=OUT / f"{what}-{name.replace('?panel=', '-') or 'overview'}-{width}-{scheme}.png"
                        )
                context.close()
    shutil.copyfile(OUT / "clothes-samples-1440-light.png", README)
    print(f"{OUT}: {len(list(OUT.glob('*.png')))} pictures; {README} renewed")


if __name__ == "__main__":
    main()
