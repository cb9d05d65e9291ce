"""Runs without a computation: what exports read of them, and as many samples as a test wants."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from lsi.export import Selection
from lsi.files import write_json
from lsi.runs.layout import MANIFEST, SAMPLES, SCORES
from lsi.runs.run import Run

# names as people have them and as they hurt: case, composition, devices, blanks, dots, formulas, quotes, controls
LETTERS = list("aAbée\u0301ßİ .-=+@'\"?*<:|\\\n\r\t,;#_01猫\U0001f431")
WORDS = ["CON", "nul", "com1", "aux.x", "train", "test", "__MACOSX", "x" * 243, "é" * 121, "=1+1", "@x", "-1", "001",
         "NA", "a?", "a_", "a_-2", "Cat", "cat", "cat ", "cat."]  # fmt: skip
nasty = st.one_of(st.sampled_from(WORDS), st.text(st.sampled_from(LETTERS), min_size=1, max_size=4))


def made_run(
    folder: Path,
    ids: Sequence[str],
    labels: Sequence[int],
    class_names: Sequence[str],
    index: Sequence[int] | None = None,
    *,
    files: Sequence[Path] | None = None,
    **more: Any,
) -> Run:
    """Write a run of these samples; `more` are a split, a frame of metadata, a plan, settings of the data."""
    n = len(ids)
    scores = pd.DataFrame(
        {"index": np.arange(n) if index is None else np.asarray(index, np.int64), "id": list(ids),
         "given_label": np.asarray(labels, np.int32), "predicted_label": np.asarray(labels, np.int32),
         "is_label_issue": np.arange(n) % 3 == 0, "label_score": np.linspace(0, 1, n), "lsi": np.linspace(1, 0, n),
         "loo_residual_norm": 0.0, "standardised_residual": 0.0}
    )  # fmt: skip
    if more.get("split") is not None:
        scores["split"] = list(more["split"])
    metadata = more.get("metadata")
    if metadata is not None:
        scores = pd.concat([scores, metadata.reset_index(drop=True)], axis=1)
    folder.mkdir(parents=True)
    table = pa.Table.from_pandas(scores, preserve_index=False)
    pq.write_table(table.replace_schema_metadata(None), folder / SCORES)  # pandas cannot read its own word for lists
    samples = more.get("samples")
    if files is not None:
        stats = [path.stat() if path.exists() else None for path in files]
        samples = pd.DataFrame(
            {"checksum": "", "file": [str(path.absolute()).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
                                      for path in files],
             "size": [s.st_size if s else 0 for s in stats], "mtime_ns": [s.st_mtime_ns if s else 0 for s in stats],
             "noisy": False, "position": np.arange(n)}
        )  # fmt: skip
    if samples is not None:
        samples.to_parquet(folder / SAMPLES, index=False)
    dataset = {"class_names": list(class_names), "has_images": samples is not None, "plan": more.get("plan"),
               "metadata": [] if metadata is None else list(metadata.columns)}  # fmt: skip
    manifest = {"task": "classification", "dataset": dataset, "images": {"files": more.get("shared", [])},
                "settings": {"data": more.get("data", {})}}  # fmt: skip
    write_json(folder / MANIFEST, manifest)
    return Run(folder)


def chosen(n: int, k: int, draw: Any) -> Selection:
    """Draw which of n samples stay, and which of them get another of k labels."""
    kept = np.array(sorted(draw(st.sets(st.integers(0, n - 1), min_size=1))), dtype=np.int64)
    relabelled = draw(st.dictionaries(st.sampled_from(kept.tolist()), st.integers(0, k - 1), max_size=5))
    return Selection(kept, np.setdiff1d(np.arange(n), kept), relabelled)


def subset_of(folder: Path) -> Any:
    """Import the subset.py of an export, as somebody does who has nothing but PyTorch."""
    spec = importlib.util.spec_from_file_location("subset", folder / "subset.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
