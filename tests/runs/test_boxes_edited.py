"""Boxes whose annotation was edited after a run: decisions stay with their box, and exports say what changed."""

import csv
import json
import runpy
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lsi.cli import main
from lsi.compute import pipeline
from lsi.config import DataSettings, FeatureSettings, Settings
from lsi.data import load
from lsi.errors import DataError
from lsi.export import select, write_images
from lsi.export.tables import image_paths
from lsi.features.joined import join_embeddings
from lsi.runs.decisions import Decision, Reviews
from lsi.runs.run import Run

KINDS = ("cat", "dog")


def annotate(root: Path, kind: str, boxes: dict[str, list[tuple[int, str]]]) -> None:
    """Write boxes as left edge and class name, by the name of their image."""
    if kind == "coco":
        images = [{"id": i, "file_name": name} for i, name in enumerate(boxes)]
        entries: list[dict[str, Any]] = [
            {"id": 100 * i + left, "image_id": i, "category_id": KINDS.index(label), "bbox": [left, 2, 8, 8]}
            for i, name in enumerate(boxes)
            for left, label in boxes[name]
        ]
        categories = [{"id": i, "name": name} for i, name in enumerate(KINDS)]
        content = {"images": images, "annotations": entries, "categories": categories}
        (root / "instances.json").write_text(json.dumps(content))
        return
    (root / "data.yaml").write_text(f"names: [{', '.join(KINDS)}]")
    for name, of_image in boxes.items():
        label = root / "labels" / name.replace(".png", ".txt")
        label.parent.mkdir(exist_ok=True)
        lines = [f"{KINDS.index(what)} {(left + 4) / 32} {6 / 16} {8 / 32} {8 / 16}" for left, what in of_image]
        label.write_text("\n".join(lines))


@pytest.fixture(params=["coco", "yolo"])
def place(tmp_path, monkeypatch, request) -> tuple[Path, str, dict]:
    monkeypatch.delenv("LSI_DATABASE_URL", raising=False)
    rng, root = np.random.default_rng(0), tmp_path / "data"
    (root / "images").mkdir(parents=True)
    boxes = {f"{i}.png": [(left, KINDS[(i + left) % 2]) for left in (1, 11, 22)] for i in range(8)}
    for name in boxes:
        Image.fromarray(rng.integers(0, 255, (16, 32, 3), dtype=np.uint8)).save(root / "images" / name)
    annotate(root, request.param, boxes)
    return root, request.param, boxes


def computed(root: Path) -> Run:
    settings = Settings(DataSettings(data=root, boxes=True), features=FeatureSettings(backbone="pixels"))
    return pipeline.run(settings, root.parent / "cache")


def exported(root: Path, *words: str) -> int:
    place = ["--cache", str(root.parent / "cache"), "--output", str(root.parent / "out")]
    return main(["export", "latest", *place, *words])


def test_decisions_stay_with_their_box_where_one_before_it_goes(place):
    root, kind, boxes = place
    run = computed(root)
    assert run.scores["id"][:3].str.partition("#")[2].tolist() == ["0", "1", "2"]
    with closing(Reviews.of_cache(root.parent / "cache")) as reviews:
        other = 1 - int(run.scores["given_label"][1])
        said = [
            Decision(0, "exclude"),
            Decision(1, "relabel", other),
            Decision(2, "keep"),
        ]
        reviews.record(run.subject, "ann", said)
        annotate(root, kind, boxes | {"0.png": boxes["0.png"][1:]})
        after = computed(root)
        assert len(after.scores) == len(run.scores) - 1
        assert reviews.current(after.subject)["action"].to_dict() == {0: "relabel", 1: "keep"}
        annotate(root, kind, boxes | {"0.png": boxes["0.png"][::-1]})
        turned = computed(root)
        assert reviews.current(turned.subject)["action"].to_dict() == {2: "exclude", 1: "relabel", 0: "keep"}


def test_an_export_says_which_boxes_went_and_copies_none_by_halves(place, capsys):
    root, kind, boxes = place
    run = computed(root)
    annotate(root, kind, boxes | {"3.png": [boxes["3.png"][0], (12, "dog"), boxes["3.png"][2]]})
    assert list(run.images.changes()) == [10]
    with pytest.raises(DataError, match=r"3\.png#1"):
        write_images(run, select(run), root.parent / "copies", "copy")
    capsys.readouterr()
    assert exported(root, "--images", "copy") == 1
    assert not (root.parent / "out").exists()
    assert exported(root) == 0
    assert "1 of 24 images has changed since this run" in capsys.readouterr().err


def test_an_export_says_that_boxes_changed_their_places(place, capsys):
    root, kind, boxes = place
    run = computed(root)
    annotate(root, kind, boxes | {"3.png": boxes["3.png"][::-1]})
    assert run.images.changes() == {}
    assert exported(root) == 0
    assert "2 of 24 samples are no longer at the row of the source where they were" in capsys.readouterr().err


def test_a_box_in_an_archive_has_no_path(place):
    root, _, _ = place
    archive = shutil.make_archive(str(root.parent / "packed"), "zip", root)
    run = computed(Path(archive))
    assert image_paths(run) is None
    assert exported(root) == 0
    with (root.parent / "out" / "audit.csv").open() as file:
        first = next(csv.DictReader(file))
    assert "path" not in first
    assert first["image"] == "images/0.png"


def test_a_second_labelling_of_boxes_is_joined_by_the_ids_of_their_annotations(place):
    root, kind, _ = place
    if kind != "coco":
        pytest.skip("boxes of YOLO have no ids")
    asked = DataSettings(data=root, boxes=True)
    data = load(asked, root)
    ids = data.metadata["annotation_id"].to_numpy()
    other = np.array(KINDS)[1 - data.labels]
    order, file = np.random.default_rng(0).permutation(len(ids)), root.parent / "second.csv"
    pd.DataFrame({"annotation_id": ids, "label": other}).iloc[order].to_csv(file, index=False)
    again = load(replace(asked, labels=str(file)), root)
    assert np.array_equal(np.array(again.class_names)[again.labels], other)
    pd.DataFrame({"annotation_id": ids, "label": other}).iloc[order[1:]].to_csv(file, index=False)
    with pytest.raises(DataError, match="expected each box once by its annotation_id"):
        load(replace(asked, labels=str(file)), root)
    vectors = pd.DataFrame({"annotation_id": ids, "v0": np.arange(24.0), "v1": 1.0}).iloc[order]
    vectors.to_csv(file, index=False)
    with pytest.raises(DataError, match="names boxes by annotation_id: give their ids"):
        join_embeddings(str(file), data.ids, np.arange(24))


def test_images_are_not_taken_for_their_boxes(place):
    root, kind, boxes = place
    annotate(root, kind, {name: of_image[:1] for name, of_image in boxes.items()})
    computed(root)
    assert exported(root) == 0
    kept = runpy.run_path(str(root.parent / "out" / "subset.py"))["kept"]
    with pytest.raises(ValueError, match="The audit is of boxes, and the items here are images"):
        kept([(name, 0) for name in boxes])
