"""A run with everything that can stand beside scores: metadata, image quality, samples without a label, a plan."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from lsi.data import Dataset
from lsi.data.images import FileImages
from lsi.files import write_json
from lsi.runs.images import describe_images
from lsi.runs.layout import MANIFEST, SAMPLES, SCORES, UNLABELLED
from lsi.runs.run import Run
from lsi.runs.store import Entry
from lsi.ui.flags import FLAGS

CAMERAS = ("A7", "D850", "X100", "iPhone *15*")
LONG = "A very long remark on how this picture was taken. " * 8
PLAN = ["photos/: class folders, 60 images in 3 classes", "ignored: 3 hidden files", "2 samples without a label"]


def enrich(run: Run, unlabelled: list[Path]) -> Run:
    """Write into a finished run what a run of data with metadata holds, and return it anew."""
    rng, scores = np.random.default_rng(0), run.scores.copy()
    metadata = _metadata(len(scores), rng)
    quality = _quality(len(scores), rng)
    columns = metadata.columns.tolist()
    known = scores.drop(columns=[c for c in quality.columns if c in scores.columns])
    pd.concat([known, metadata, quality], axis=1).to_parquet(run.folder / SCORES, index=False)
    dataset = Dataset("rest", np.array([p.name for p in unlabelled]), np.zeros(len(unlabelled), int), ("all",),
                      images=FileImages(unlabelled))  # fmt: skip
    rows = describe_images(dataset, None)
    rows["position"] = len(scores) + np.arange(len(rows))
    samples = pd.concat([pd.read_parquet(run.folder / SAMPLES), rows], ignore_index=True)
    samples.to_parquet(run.folder / SAMPLES, index=False)
    rest = pd.DataFrame({"index": np.arange(len(rows)) + len(scores), "id": dataset.ids,
                         "predicted_label": rng.integers(0, len(run.class_names), len(rows)),
                         "confidence": rng.uniform(0.2, 1, len(rows))})  # fmt: skip
    pd.concat([rest, _metadata(len(rows), rng)], axis=1).to_parquet(run.folder / UNLABELLED, index=False)
    manifest: dict[str, Any] = dict(run.manifest)
    manifest["dataset"] = manifest["dataset"] | {"metadata": columns, "plan": {"lines": PLAN}}
    counts = {flag: int(quality[flag].sum()) for flag in FLAGS}
    manifest["quality"] = {"thresholds": {}, "counts": counts, "n_unmeasured": 0}
    write_json(run.folder / MANIFEST, manifest)
    found = Run(run.folder)
    Entry(run.folder).seal(found.files)
    return found


def pictures(folder: Path, n: int) -> list[Path]:
    """Write n small images and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, paths = np.random.default_rng(1), [folder / f"{i}.png" for i in range(n)]
    for path in paths:
        Image.fromarray(rng.integers(0, 255, (10, 10, 3), dtype=np.uint8)).save(path)
    return paths


def _metadata(n: int, rng: np.random.Generator) -> pd.DataFrame:
    cameras = np.array([*CAMERAS, None], dtype=object)[rng.choice(5, n, p=[0.4, 0.25, 0.2, 0.1, 0.05])]
    exposure = [None if v < 0.002 else f"{v:.5f}" for v in rng.exponential(0.02, n)]
    return pd.DataFrame(
        {
            "camera": cameras,
            "exposure": exposure,  # numbers as the text of a CSV file
            "flash": np.where(rng.random(n) < 0.2, "True", "False"),
            "iso": rng.choice([100, 200, 400, 800, 1600, 3200], n),
            "altitude": np.where(rng.random(n) < 0.3, np.nan, rng.normal(450, 200, n).round(1)),
            "photographer": [f"person {int(v)}" for v in rng.zipf(1.5, n).clip(max=2000)],
            "remark": [LONG if i % 7 == 0 else f"picture no. {i} <b>" for i in range(n)],
        }
    )


def _quality(n: int, rng: np.random.Generator) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "brightness": rng.beta(4, 4, n),
            "contrast": rng.beta(2, 6, n),
            "sharpness": rng.normal(2, 1, n),
            "entropy": rng.uniform(2, 8, n),
            "width": rng.choice([640, 800, 1920], n, p=[0.8, 0.18, 0.02]),
            "height": rng.choice([480, 600], n),
        }
    )
    table["aspect"] = table["width"] / table["height"]
    table["is_dark"], table["is_bright"] = table["brightness"] < 0.2, table["brightness"] > 0.85
    table["is_blurry"], table["is_low_information"] = table["sharpness"] < 0, table["entropy"] < 2.2
    table["is_odd_size"], table["is_odd_aspect"] = table["width"] == 1920, table["aspect"] > 2.2
    table["is_exact_duplicate"] = False
    table.loc[[1, 2], "is_exact_duplicate"] = True
    return table
