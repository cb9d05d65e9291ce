"""subset.py of an export: what it gives for each kind of dataset, and what it refuses."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from torch import tensor
from torch.utils.data import DataLoader, Subset, TensorDataset
from torchvision.datasets import ImageFolder

from lsi.export import Selection, export
from tests.export.made import made_run, subset_of

NAMES = ["cat", "dog", "owl"]
KEPT = Selection(np.array([0, 2, 3, 5]), np.array([1, 4]), {3: 2})
LABELS = [0, 1, 2, 0, 1, 2]
NEW = ["cat", "owl", "owl", "owl"]  # of samples 0, 2, 3, 5
PATHS = [f"{NAMES[c]}/{i}.png" for i, c in enumerate(LABELS)]


def exported(root: Path, task: str = "classification", **more: Any) -> Any:
    """Return the subset.py of an export of six samples, without names of their own unless files are given."""
    plan = {"source_length": 6} | more.pop("plan", {})
    run = made_run(root / "run", more.pop("ids", PATHS), LABELS, NAMES, plan=plan, **more)
    run.manifest["task"] = task
    export(run, KEPT, root / "out", formats=())
    return subset_of(root / "out")


class Pictures:
    """A dataset of six (image, label) tuples with what more a test gives it."""

    def __init__(self, items: Any = LABELS, n: int = 6, **more: Any) -> None:
        self.items, self.n = items, n
        vars(self).update(more)

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> tuple[int, Any]:
        return 10 * i, self.items[i]


@pytest.mark.parametrize(
    ("dataset", "labels"),
    [
        (Pictures(), [0, 2, 2, 2]),  # nothing says what its labels are: those of the audit, for all alike
        (Pictures([7] * 6), [0, 2, 2, 2]),
        (Pictures(class_to_idx={"owl": 0, "dog": 1, "cat": 2}), [2, 0, 0, 0]),
        (Pictures(classes=["owl", "cat", "dog"]), [1, 0, 0, 0]),
        (Pictures(targets=tensor([9, 4, 5, 9, 4, 5])), [9, 5, 5, 5]),
        (Pictures(labels=np.array([9, 4, 5, 9, 4, 5])), [9, 5, 5, 5]),
        (Pictures(targets=["c", "d", "o", "c", "d", "o"]), ["c", "o", "o", "o"]),
        (Pictures(targets=[0, 1, 2, 0, 1, 2], class_to_idx={"cat": 3, "dog": 4, "owl": 5}), [3, 5, 5, 5]),
        (Pictures(classes=[("cat", "tom"), ("dog",), ("owl",)]), None),
        (Pictures(target_transform=lambda c: -c), [0, -2, -2, -2]),
    ],
)  # fmt: skip
def test_new_labels_are_in_the_dataset_s_own_terms(tmp_path, dataset, labels):
    if labels is None:  # synonyms of a class, as ImageNet has them
        run = made_run(tmp_path / "run", PATHS, LABELS, ["cat, tom", "dog", "owl"])
        export(run, KEPT, tmp_path / "out", formats=())
        cleaned, labels = subset_of(tmp_path / "out").kept(dataset), [0, 2, 2, 2]
    else:
        cleaned = exported(tmp_path).kept(dataset)
    assert [cleaned[i] for i in range(4)] == list(zip([0, 20, 30, 50], labels, strict=True))
    assert cleaned.indices == [0, 2, 3, 5]
    assert cleaned.ids == [PATHS[i] for i in (0, 2, 3, 5)]


def test_another_labelling_of_the_same_samples_goes_by_names(tmp_path):
    labelling = {"labels": "mine.csv"}
    cleaned = exported(tmp_path, data=labelling).kept(Pictures(targets=["owl", "cat", "cat", "dog", "dog", "owl"]))
    assert cleaned.labels == NEW
    with pytest.raises(ValueError, match="Expected a label of its own for each class"):
        exported(tmp_path / "b", data=labelling).kept(Pictures(targets=[1, 1, 0, 0, 0, 1], class_to_idx={"cat": 1}))


@pytest.mark.parametrize("targets", [[9, 4, 5, 4, 9, 5], ["cat", "owl", "dog", "cat", "dog", "owl"]])
def test_a_dataset_in_another_order_is_found_out_by_its_labels(tmp_path, targets):
    message = r"Expected the label '\w+' for sample \d, '\w+/\d\.png', which is labelled like those of '\w+' here: this"
    with pytest.raises(ValueError, match=message):
        exported(tmp_path).kept(Pictures(targets=targets))
    table = pd.DataFrame({"what": targets})
    with pytest.raises(ValueError, match=message):
        exported(tmp_path / "b").cleaned_table(table, label="what")
    other = exported(tmp_path / "c", plan={"columns": {"label": "label"}})
    assert len(other.cleaned_table(table, label="what")) == 4, "another column than the one that was audited"


@pytest.mark.parametrize("first", ["line 0\nand more", None])
def test_a_table_in_another_order_is_found_out_by_its_texts(tmp_path, first):
    texts = [f"line {i}\nand more" for i in range(6)]
    run = made_run(tmp_path / "run", PATHS, LABELS, NAMES, metadata=pd.DataFrame({"text": texts}),
                   plan={"source_length": 6, "columns": {"text": "words", "label": "label"}})  # fmt: skip
    run.manifest["dataset"]["metadata"] = []
    export(run, KEPT, tmp_path / "out", formats=())
    subset = subset_of(tmp_path / "out")
    table = pd.DataFrame({"words": texts, "label": [7] * 6}).assign(words=lambda t: t.words.str.replace("\n", "\r\n"))
    named = table.assign(label=[NAMES[c] for c in LABELS])
    named.loc[0, "words"] = first
    assert subset.cleaned_table(named)["label"].tolist() == NEW
    named = named.iloc[::-1] if first else named.iloc[[0, 5, 4, 3, 2, 1]]
    row = 0 if first else 1
    with pytest.raises(ValueError, match=rf"Expected 'line {row}\\nand more' in row {row}, column words, got 'line 5"):
        subset.cleaned_table(named)


def test_a_subset_of_a_dataset_is_what_it_is_cut_from(tmp_path, photos):
    (photos / "cat" / "9.gif").unlink()
    (photos / "owl").rename(photos / "ape")  # sorted before the others in the folder, not in the audit
    names = {"ape": "owl"}
    folder = ImageFolder(str(photos), target_transform=lambda c: 10 * c)
    folder.class_to_idx = {names.get(name, name): c for name, c in folder.class_to_idx.items()}
    folder.samples = [(path.replace("/ape/", "/owl/"), c) for path, c in folder.samples]
    ids = sorted(PATHS)
    order = [next(i for i, (path, _) in enumerate(folder.samples) if path.endswith(name)) for name in ids]
    subset = folder_run(tmp_path, photos, ids, length=6)
    cleaned = subset.kept(Subset(Subset(folder, order[::-1]), range(5, -1, -1)))
    assert cleaned.labels == [1, 2, 0, 0]
    folder.target_transform = None
    with pytest.raises(ValueError, match=r"Expected 'cat/0\.png' as sample 0, got .*owl/5\.png"):
        subset.kept(Subset(folder, order[::-1]))


def test_labels_of_tensors_are_the_dataset_s_own(tmp_path):
    numbers = tensor([9, 4, 5, 9, 4, 5])
    subset = exported(tmp_path)
    assert subset.kept(Pictures(targets=numbers[:, None])).labels == [9, 5, 5, 5]
    assert subset.kept(TensorDataset(tensor(range(6)), numbers)).labels == [9, 5, 5, 5]
    assert subset.kept(TensorDataset(tensor(range(6)), numbers / 2)).labels == [0, 2, 2, 2]


@pytest.mark.parametrize("name", ["samples", "imgs"])
@pytest.mark.parametrize("shape", [(6, 1), (6, 4, 4), (6,), (2, 3)])
def test_arrays_of_images_are_no_paths_and_stay_arrays(tmp_path, name, shape):
    class Array(np.ndarray):
        def tolist(self) -> list:
            raise AssertionError("pictures became lists")

    dataset = Pictures(**{name: np.zeros(shape).view(Array)}, labels=np.zeros((6, 50)).view(Array))
    subset = exported(tmp_path)
    assert subset.kept(dataset).labels == [0, 2, 2, 2]
    assert subset.kept(Pictures(**{name: tensor(np.zeros(shape))})).labels == [0, 2, 2, 2]
    assert subset.kept(TensorDataset(tensor(range(6)), tensor(np.zeros((6, 2), int)))).labels == [0, 2, 2, 2]


@pytest.mark.parametrize("gap", [None, float("nan"), pd.NA])
@pytest.mark.parametrize("letters", ["occd?o", "cdoc?o"])
def test_a_label_that_is_missing_hides_no_other(tmp_path, letters, gap):
    words = {name[0]: name for name in NAMES}
    values = [words.get(letter, gap) for letter in letters]
    table = frame().assign(label=pd.Series(values, dtype=object))
    subset = exported(tmp_path, files=[Path(p) for p in PATHS], data={"labels": "mine.csv"})
    assert subset.cleaned_table(table)["label"].tolist() == NEW
    assert subset.kept(Pictures(targets=values)).labels == NEW


def test_a_loader_gets_the_new_labels_in_batches(tmp_path):
    images, labels = next(iter(DataLoader(exported(tmp_path).kept(Pictures()), batch_size=4)))
    assert images.tolist() == [0, 20, 30, 50]
    assert labels.tolist() == [0, 2, 2, 2]


def test_items_that_are_dicts_or_no_tuples_carry_the_label_too(tmp_path):
    subset = exported(tmp_path)
    dicts = subset.kept([{"x": i, "y": None} for i in range(6)], label="y")
    assert dicts[2] == {"x": 3, "y": 2}
    assert subset.kept(list("abcdef"))[2] == ("d", 2)
    triples = subset.kept([("a", 0, "rest")] * 6)
    assert triples[2] == ("a", 2, "rest")
    assert triples[[0, 2]] == [("a", 0, "rest"), ("a", 2, "rest")]


def test_without_classes_items_stay_as_they_are(tmp_path):
    cleaned = exported(tmp_path, task="self").kept(list("abcdef"))
    assert (cleaned.labels, [cleaned[i] for i in range(4)]) == (None, list("acdf"))


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (
            Pictures(n=7),
            r"Expected the 6 samples of the source, got 7\. Give the whole dataset of split val, unfiltered",
        ),
        (Pictures(n=5), r"Expected sample 5, 'owl/5\.png', got a dataset of 5 samples\. Give the whole dataset"),
        ({"train": [], "test": []}, "Expected one dataset, got several: train, test"),
        (iter(range(6)), "Expected a dataset with a length, got range_iterator"),
    ],
)
def test_a_dataset_of_another_length_is_refused(tmp_path, dataset, message):
    with pytest.raises(ValueError, match=message):
        exported(tmp_path, plan={"split": "val"}).kept(dataset)


def test_without_the_length_of_the_source_the_largest_index_must_fit(tmp_path):
    subset = exported(tmp_path, plan={"source_length": 0})
    assert len(subset.kept(Pictures([0] * 9, n=9))) == 4
    with pytest.raises(ValueError, match=r"Expected sample 5, 'owl/5\.png', got a dataset of 5 samples"):
        subset.kept(Pictures(n=5))


@pytest.fixture
def photos(tmp_path) -> Path:
    for name in (*PATHS, "cat/9.gif"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (1, 1)).save(tmp_path / "photos" / name)
    return tmp_path / "photos"


def folder_run(root: Path, photos: Path, ids: list[str], kept: Selection = KEPT, length: int = 7) -> Any:
    labels = [NAMES.index(name.split("/")[0]) for name in ids]
    run = made_run(root / "run", ids, labels, NAMES, files=[photos / name for name in ids],
                   plan={"source_length": length})  # fmt: skip
    export(run, kept, root / "out", formats=())
    return subset_of(root / "out")


def test_files_that_the_dataset_does_not_list_are_left_out_with_a_warning(tmp_path, photos):
    ids = [*sorted(PATHS), "cat/9.gif"]
    everything = Selection(np.arange(7), np.zeros(0, np.int64), {6: 1, 0: 1})
    subset = folder_run(tmp_path, photos, ids, everything)
    with pytest.warns(UserWarning, match=r"1 of the kept samples are left out, .*: 'cat/9\.gif' is the first"):
        cleaned = subset.kept(ImageFolder(str(photos)))
    assert cleaned.ids == ids[:6]
    assert [label for _, label in cleaned] == [1, 0, 1, 1, 2, 2]
    every = ImageFolder(str(photos), is_valid_file=lambda _: True)  # lists the .gif among the others
    with pytest.raises(ValueError, match=r"Expected 'dog/1\.png' as sample 2, got .*cat/9\.gif"):
        subset.kept(every)


@pytest.mark.parametrize("change", ["added", "renamed", "removed"])
def test_a_folder_that_has_changed_is_refused_by_the_first_file_that_differs(tmp_path, photos, change):
    (photos / "cat" / "9.gif").unlink()
    subset = folder_run(tmp_path, photos, sorted(PATHS), length=6)
    assert subset.kept(ImageFolder(str(photos))).labels == [0, 1, 2, 2]
    if change == "added":
        (photos / "cat" / "1.png").write_bytes((photos / "cat" / "0.png").read_bytes())
        message = "Expected the 6 samples of the source, got 7"
    elif change == "renamed":
        (photos / "cat" / "3.png").rename(photos / "cat" / "4.png")
        message = r"Expected 'cat/3\.png' as sample 1, got .*cat/4\.png': this is not the dataset that was audited"
    else:
        (photos / "owl" / "5.png").unlink()
        message = r"Expected sample 5, 'owl/5\.png', got a dataset of 5 samples"
    with pytest.raises(ValueError, match=message):
        subset.kept(ImageFolder(str(photos)))


def frame(**more: Any) -> pd.DataFrame:
    return pd.DataFrame({"path": PATHS, "label": [NAMES[c] for c in LABELS], **more})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([NAMES[c] for c in LABELS], NEW),
        ([c + 5 for c in LABELS], [5, 7, 7, 7]),
        (pd.Categorical([NAMES[c] for c in LABELS]), NEW),
        (np.array(LABELS, np.int8), [0, 2, 2, 2]),
        (pd.Categorical(["cat ", "dog", "owl", "cat", "dog", "owl"]), NEW),  # joined classes get one name
    ],
)
def test_a_table_keeps_its_type_of_label(tmp_path, values, expected):
    table = frame().assign(label=values)
    cleaned = exported(tmp_path, files=[Path(p) for p in PATHS]).cleaned_table(table)
    assert list(cleaned["label"]) == expected
    assert cleaned["label"].dtype == table["label"].dtype
    assert list(cleaned.index) == [0, 2, 3, 5]
    assert list(table["label"]) == list(values), "the table that was given stays as it is"


def test_a_table_is_found_out_by_its_paths_or_its_own_ids(tmp_path):
    by_path = exported(tmp_path, files=[Path(p) for p in PATHS])
    with pytest.raises(ValueError, match=r"Expected 'cat/0\.png' in row 0, column path, got 'owl/5\.png': this is not"):
        by_path.kept(frame().iloc[::-1])
    with pytest.raises(ValueError, match=r"Expected a column of labels; name it by label=…: there are path, what"):
        by_path.cleaned_table(frame().rename(columns={"label": "what"}))
    assert list(by_path.cleaned_table(frame().rename(columns={"label": "what"}), label="what")["what"]) == NEW
    with pytest.raises(ValueError, match="Expected a column 'such'; there are path, label"):
        by_path.cleaned_table(frame(), label="such")
    numbers = [f"00{i}" for i in range(6)]
    by_id = exported(tmp_path / "b", ids=numbers, plan={"columns": {"id": " UID", "image": "path"}})
    table = frame(uid=range(6)).assign(path="elsewhere.png")  # read without dtype=str: 001 is 1
    assert list(by_id.cleaned_table(table)["uid"]) == [0, 2, 3, 5]
    with pytest.raises(ValueError, match=r"Expected '000' in row 0, column uid, got '5'"):
        by_id.cleaned_table(table.iloc[::-1])


def test_a_label_that_was_changed_since_the_audit_is_not_put_back(tmp_path):
    subset = exported(tmp_path, files=[Path(p) for p in PATHS])
    names = [NAMES[c] for c in LABELS]
    changed = frame().assign(label=["owl", *names[1:]])
    with pytest.raises(ValueError, match=r"'cat' for sample 0, .* like those of 'owl' here: it was changed since"):
        subset.cleaned_table(changed)
    decided = frame().assign(label=[*names[:3], "owl", "owl", "owl"])  # 3 as decided, 4 is left out anyway
    assert subset.cleaned_table(decided)["label"].tolist() == NEW


def test_datasets_of_hugging_face_carry_the_new_label(tmp_path, photos):
    datasets = pytest.importorskip("datasets")
    subset = exported(tmp_path, files=[photos / p for p in PATHS])
    table = {"path": PATHS, "label": [NAMES[c] for c in LABELS]}
    assert [item["label"] for item in subset.kept(datasets.Dataset.from_dict(table))] == NEW
    numbers = datasets.ClassLabel(names=["owl", "dog", "cat"])
    encoded = datasets.Dataset.from_dict(table).cast_column("label", numbers)
    assert subset.kept(encoded).labels == [2, 0, 0, 0]
    images = datasets.Dataset.from_dict({"image": [str(photos / p) for p in PATHS], "label": LABELS})
    images = images.cast_column("image", datasets.Image())
    assert [item["label"] for item in subset.kept(images)] == [0, 2, 2, 2]
    with pytest.raises(ValueError, match=r"Expected 'cat/0\.png' in row 0, column image, got .*owl/5\.png"):
        subset.kept(images.select(range(5, -1, -1)))
    with pytest.raises(ValueError, match="Expected one dataset, got several: train"):
        subset.kept(datasets.DatasetDict(train=images))


def test_it_stands_alone_with_pytorch(tmp_path):
    exported(tmp_path)
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['lsi', 'pandas', 'numpy', 'pyarrow']))\n"
        "from subset import kept; print([item[1] for item in kept([(None, 0)] * 6)])"
    )
    words = [sys.executable, "-W", "ignore", "-c", program]
    found = subprocess.run(words, cwd=tmp_path / "out", capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[0, 2, 2, 2]"


def test_the_manifest_says_how_long_the_source_is(tmp_path):
    exported(tmp_path)
    facts = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))["export"]
    assert facts == {"run": "run", "n_kept": 4, "n_removed": 2, "n_relabelled": 1, "source_length": 6, "images": []}
