"""Feature extraction against the plain eager float32 loop, each in a process of its own, on the same images.

    python -m benchmarks.bench_features [--quick]

Reading, resizing and all preparation count on both sides. Images: CIFAR-10 where it lies beside the project, else
random ones of the same size.
"""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.record import save
from lsi.config import DataSettings
from lsi.data import load
from lsi.data.images import ArrayImages
from lsi.features import bfloat16_is_fast, extract, load_backbone, plan
from lsi.memory import keep_freed_memory
from lsi.progress import Progress

CIFAR = Path("../shared/data/cifar10/train.parquet")


def images(n: int):
    if CIFAR.exists():
        found = load(DataSettings(data=CIFAR), Path()).images
        assert found is not None
        return ArrayImages(np.stack([np.asarray(found.read(i)) for i in range(n)]))
    return ArrayImages(np.random.default_rng(0).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8))


def ours(n: int, batch: int, folder: Path) -> float:
    source = images(n)
    start = time.perf_counter()
    keep_freed_memory()
    backbone = load_backbone("efficientnet_lite0")
    device = torch.device("cpu")
    half = backbone.bfloat16_from if bfloat16_is_fast(device) else None
    extract(source, replace(plan(source, backbone, 160, batch), bfloat16_from=half), folder, device, Progress())
    return time.perf_counter() - start


def plain(n: int, batch: int, folder: Path) -> float:
    """The loop that one writes first: the same network in eager mode, batch after batch."""
    source = images(n)
    start = time.perf_counter()
    net = load_backbone("efficientnet_lite0").module
    assert net is not None
    net.eval()
    rows = []
    with torch.no_grad():
        for first in range(0, n, batch):
            pixels = [
                np.asarray(source.read(i).resize((160, 160), Image.Resampling.BICUBIC))
                for i in range(first, min(first + batch, n))
            ]
            tensor = (torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() - 127) / 128
            rows.append(net(tensor))
    np.save(folder / "features.npy", torch.cat(rows).numpy())
    return time.perf_counter() - start


def main() -> None:
    if "--one" in sys.argv:
        name, n, batch, folder = sys.argv[-4:]
        seconds = {"ours": ours, "plain": plain}[name](int(n), int(batch), Path(folder))
        print(json.dumps({"seconds": seconds}))
        return
    quick = "--quick" in sys.argv
    n = 128 if quick else 6_000
    rows = [compare(n, batch) for batch in ((32,) if quick else (32, 64, 128))]
    save("features_quick" if quick else "features", {"images": n, "size": 160, "batches": rows})


def compare(n: int, batch: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as root:
        seconds, features = {}, {}
        for name in ("ours", "plain"):
            folder = Path(root) / name
            folder.mkdir()
            command = [
                sys.executable,
                "-m",
                "benchmarks.bench_features",
                "--one",
                name,
                str(n),
                str(batch),
                str(folder),
            ]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            seconds[name] = json.loads(output.strip().splitlines()[-1])["seconds"]
            features[name] = np.load(folder / "features.npy")
    a, b = features["ours"], features["plain"]
    cosine = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return {
        "batch": batch,
        "seconds": seconds,
        "images_per_second": {k: n / v for k, v in seconds.items()},
        "speedup": seconds["plain"] / seconds["ours"],
        "smallest_cosine": float(cosine.min()),
    }


if __name__ == "__main__":
    main()
