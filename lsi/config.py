"""Settings as frozen records: the command line, the app's form and the cache keys are all made from these fields."""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from lsi.errors import UsageError
from lsi.memory import parse_memory
from lsi.references import BackboneKind, check_pixel_scale, kind_of_backbone, resolved, resolved_file, split_file

EMBEDDED = ("digits", "fashion")  # datasets that come with packages
Task = Literal["classification", "regression", "paired", "self"]
Structure = Literal["full", "kron", "diag"]
LooMethod = Literal["newton_step", "refit"]
IssueRule = Literal[
    "expected_errors",
    "low_self_confidence",
    "low_normalized_margin",
    "confident_learning",
    "predicted_neq_given",
    "prune_by_class",
    "prune_by_noise_rate",
    "both",
]

DATABASE = "database"  # of decisions, where they are not read from a file


@dataclass(frozen=True)
class DataSettings:
    """Which images and labels.

    Attributes:
        dataset: fashion (2,000 images of clothes) or digits, which come with packages, or a torchvision data set:
            cifar10, cifar100, fashionmnist, mnist, svhn, …
        data: your own data instead: a folder, .zip or .tar with one subfolder per class, with splits, or of images
            alone, with a table beside them or not; a table (.csv, .tsv, .jsonl, .parquet) with paths, texts or images,
            then labels, splits or numbers; Parquet or Arrow folders of the Hugging Face Hub; WebDataset shards; arrays
            (.npz, .npy); or an address such as s3://bucket/folder. `lsi inspect PATH` says how they are read.
        labels: audit this labelling of the same images instead: a .npy, .npz, .csv or .parquet file, with :KEY for
            the array or column; joined by a column of paths or ids where it has one, else in the order of the samples.
        split: which split of a torchvision dataset, or of a manifest or folder that has splits; "all" for every one.
        task: what is learnt from the features: classification; regression of numbers in the data; paired, the
            embedding of another modality; self, for images without labels: one random view predicts another. auto is
            classification where there are labels, self where there are none.
        targets: of a regression: columns of the data, by name, with commas between them; of regression or paired: an
            array (n, m) in a .npy or .npz file, with :KEY.
        subset: a stratified random subset of this many samples.
        on_error: what to do with a file that is no readable image: skip it and report it, or fail.
        image_column: of a table, the column of paths or images, where its name is not one of the usual.
        label_column: of a table, the column of labels.
        split_column: of a table, the column that says which split a row belongs to.
        id_column: of a table, a column of names for the samples; by default the paths.
        merge_classes: case joins class names that differ by case or blanks alone; they are reported otherwise.
        boxes: of COCO, YOLO or Pascal VOC annotations: each box is a sample, cut out, with its class as label.
    """

    dataset: str = "fashion"
    data: Path | None = None
    labels: str | None = None
    split: str = "train"
    subset: int | None = None
    on_error: Literal["skip", "fail"] = "skip"
    task: Task | Literal["auto"] = "auto"
    targets: str | None = None
    image_column: str | None = None
    label_column: str | None = None
    split_column: str | None = None
    id_column: str | None = None
    merge_classes: Literal["none", "case"] = "none"
    boxes: bool = False

    def __post_init__(self) -> None:
        if self.subset is not None and self.subset < 2:
            raise UsageError(f"Expected subset ≥ 2, got {self.subset}.")
        if self.task in ("regression", "paired") and not self.targets:
            raise UsageError(f"task={self.task} needs targets: the name of a column, or a file with an array.")
        if self.targets and self.task not in ("regression", "paired"):
            raise UsageError("targets need task=regression or task=paired.")

    @property
    def named(self) -> str:
        """What was named: the path of one's own data, or the dataset."""
        return self.dataset if self.data is None else str(self.data)


@dataclass(frozen=True)
class NoiseSettings:
    """What to corrupt on purpose, for experiments; the changed samples are marked in the result.

    Attributes:
        corrupt_label: move this share of the labels to another class, chosen at random.
        corrupt_data: add Gaussian noise of this many standard deviations of the pixel values to the images of
            --corrupt-data-label.
        corrupt_data_label: the classes whose images get the noise.
        human_label_noise: replace the labels by the published human ones (CIFAR-10N aggregate, CIFAR-100N).
    """

    corrupt_label: float = 0.0
    corrupt_data: float = 0.0
    corrupt_data_label: tuple[int, ...] = ()
    human_label_noise: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.corrupt_label <= 1:
            raise UsageError(f"Expected corrupt_label from 0 to 1, got {self.corrupt_label}.")
        if self.corrupt_data < 0:
            raise UsageError(f"Expected corrupt_data ≥ 0, got {self.corrupt_data}.")
        if (self.corrupt_data > 0) != bool(self.corrupt_data_label):
            raise UsageError("corrupt_data and corrupt_data_label belong together: give a strength and the classes.")


@dataclass(frozen=True)
class FeatureSettings:
    """From images to features.

    Attributes:
        backbone: the network whose features are looked at: efficientnet_lite0 (weights come with its package), resnet18
            or any torchvision classifier (weights are downloaded), timm/NAME (extra lsi-lens[timm]), FILE.onnx or
            FILE.onnx:OUTPUT (extra lsi-lens[onnx]), FILE.pt2 as torch.export.save writes it, MODULE:FUNCTION that
            returns an nn.Module, pixels, or auto: pixels for images up to 16 px, efficientnet_lite0 otherwise; for text
            all_minilm_l6_v2, which the extra lsi-lens[text] brings. The backbone decides what can be found: on all
            human labels of CIFAR-10 label_score finds the wrong ones with AUROC 0.907 on efficientnet_lite0, with 0.978
            on the out-of-fold probabilities of a ResNet-18 trained on these images, and with 0.994 on a Swin's. An
            exported network maps floats (b, 3, size, size) to (b, d): export what comes before the last layer, not the
            class scores. MODULE:FUNCTION and FILE.pt2 can run any code, so the app refuses them.
        image_size: side in pixels that images are resized to; by default what the model's own config or file says, else
            160 for images up to 64 px and 224 for others.
        batch_size: images a batch.
        precision: of the backbone: float32, or auto: bfloat16 in the later layers where the processor has it and the
            features are known to keep a cosine of 0.999.
        standardise: centre the features and divide all by one global scale.
        pca: keep at most this many principal components of standardised features; 0 keeps the features as they are, as
            probabilities always are.
        weights: of a timm or torchvision network, or of what MODULE:FUNCTION returns: a state dict in a .safetensors or
            .pth file; nothing is downloaded then.
        mean: subtracted from pixel values in 0 … 1 before the backbone, one number or one a channel; by default what
            the model's own config says, else ImageNet's.
        std: what they are divided by after, one number or one a channel.
        embeddings: ready vectors of the samples instead of a backbone: a .npy, .npz, .parquet or .csv file, with :KEY
            for the array or column, joined by id or path.
        probabilities: class probabilities of your own model instead of a backbone, in such a file, each sample's by a
            model that was not trained on it (out of fold). Their logarithm becomes the features.
    """

    backbone: str = "auto"
    image_size: int | None = None
    batch_size: int = 32
    precision: Literal["auto", "float32"] = "auto"
    standardise: bool = True
    pca: int = 256
    weights: Path | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    embeddings: str | None = None
    probabilities: str | None = None

    def __post_init__(self) -> None:
        if self.image_size is not None and not 8 <= self.image_size <= 2048:
            raise UsageError(f"Expected image_size from 8 to 2048, got {self.image_size}.")
        if self.batch_size < 1 or self.pca < 0:
            raise UsageError(f"Expected batch_size ≥ 1 and pca ≥ 0, got {self.batch_size} and {self.pca}.")
        check_pixel_scale("mean", self.mean)
        check_pixel_scale("std", self.std)
        if self.embeddings and self.probabilities:
            raise UsageError("embeddings and probabilities are both features: give one of them.")
        if self.vectors and (self.backbone != "auto" or self.weights or self.mean or self.std or self.image_size):
            name = "embeddings" if self.embeddings else "probabilities"
            raise UsageError(f"{name} stand for the backbone: leave backbone, weights, mean, std and image_size out.")
        fixed = ("auto", "pixels", "efficientnet_lite0", "all_minilm_l6_v2")
        no_weights = self.backbone in fixed or self.backbone_kind == "file"
        if self.weights is not None and no_weights:
            raise UsageError(
                "weights belong to a network of another name: give --backbone timm/NAME, a torchvision name or "
                f"MODULE:FUNCTION with them, got backbone {self.backbone}."
            )

    @property
    def vectors(self) -> str | None:
        """The file of ready vectors or probabilities, with :KEY, or None where a backbone makes the features."""
        return self.embeddings or self.probabilities

    @property
    def backbone_kind(self) -> BackboneKind:
        """What sort of backbone is meant: a known name, timm/NAME, a model file, or MODULE:FUNCTION."""
        return kind_of_backbone(self.backbone)

    @property
    def files(self) -> dict[str, Path]:
        """The files that the features are made with, by the setting that names them."""
        named = {"backbone": self.backbone if self.backbone_kind == "file" else None,
                 "embeddings": self.embeddings, "probabilities": self.probabilities}  # fmt: skip
        found = {name: split_file(value)[0] for name, value in named.items() if value}
        return found | ({} if self.weights is None else {"weights": self.weights})


OF_CLASSES = ("structure", "loo", "refit_top", "certify")  # score settings that mean nothing without class labels


@dataclass(frozen=True)
class ScoreSettings:
    """From features to LSI.

    Attributes:
        prior_precision: λ on the summed loss, or auto: the λ with the best leave-one-out likelihood.
        structure: of the posterior: full, kron, diag, or auto: full up to 12,000 weights, (k − 1)(d + 1) of k classes
            and d features, where time and memory allow, else kron. This and the next three are of class labels alone.
        loo: newton_step (closed form) or refit (solved to a tolerance, every sample).
        refit_top: with newton_step, refit this many samples of highest LSI as well.
        certify: samples whose distance to the true refit is computed, the highest LSI first; by default as many as
            are cheap.
        dtype: of the features in the computation.
        calibrate: plant flips in these labels and compute 3 to 12 times more (the fewer samples, the more), to say how
            precise a cut of label_score is and how many are wrong; refused beyond samples · classes² = 2·10¹⁰.
        preset: paper: raw features, diag, the prior and ridge strength that the paper's training amounts to.
    """

    prior_precision: float | Literal["auto"] = "auto"
    structure: Literal["auto", "full", "kron", "diag"] = "auto"
    loo: Literal["newton_step", "refit"] = "newton_step"
    refit_top: int = 0
    certify: int | None = None
    dtype: Literal["float32", "float64"] = "float32"
    calibrate: bool = False
    preset: Literal["none", "paper"] = "none"

    def __post_init__(self) -> None:
        if self.prior_precision != "auto" and not 0 < self.prior_precision < math.inf:
            raise UsageError(f"Expected prior_precision > 0 or auto, got {self.prior_precision}.")
        if self.refit_top < 0 or (self.certify or 0) < 0:
            raise UsageError(f"Expected refit_top ≥ 0 and certify ≥ 0, got {self.refit_top} and {self.certify}.")


@dataclass(frozen=True)
class EngineSettings:
    """Where a run is computed; says nothing of its result.

    Attributes:
        engine: local, or ray: on the workers of a Ray cluster (needs the package ray; see docs/scale.md).
        ray_address: the cluster to join: auto, or host:port; by default Ray starts on this machine.
        memory: what a process may take, like 8GiB or 50% of what is free; auto: four fifths of what is free.
    """

    engine: Literal["local", "ray"] = "local"
    ray_address: str | None = None
    memory: str = "auto"

    def __post_init__(self) -> None:
        if self.engine not in ("local", "ray"):
            raise UsageError(f"Expected engine local or ray, got {self.engine!r}.")
        if self.ray_address and self.engine != "ray":
            raise UsageError("ray_address is for engine=ray.")
        parse_memory(self.memory)


@dataclass(frozen=True)
class Settings:
    """Everything a run depends on.

    Attributes:
        data: which images and labels.
        noise: what to corrupt on purpose.
        features: from images to features.
        score: from features to LSI.
        seed: of everything random: subset, noise, choice of λ, projection.
        device: cpu, cuda, or auto: CUDA where there is one.
        where: on which machines, and within which memory.
        decisions: what was decided before: a decisions.json, or DATABASE.
    """

    data: DataSettings = field(default_factory=DataSettings)
    noise: NoiseSettings = field(default_factory=NoiseSettings)
    features: FeatureSettings = field(default_factory=FeatureSettings)
    score: ScoreSettings = field(default_factory=ScoreSettings)
    seed: int = 0
    device: str = "auto"
    where: EngineSettings = field(default_factory=EngineSettings)
    decisions: str | None = None

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise UsageError(f"Expected seed ≥ 0, got {self.seed}.")
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device):
            raise UsageError(f"Expected device auto, cpu, cuda or cuda:N, got {self.device!r}.")
        usual = self.score.structure in ("auto", "diag") and self.features.pca in (0, FeatureSettings.pca)
        if self.score.preset == "paper" and not (usual and self.score.prior_precision == "auto"):
            raise UsageError("preset=paper sets structure, prior_precision and pca itself: leave them out.")

    def resolved(self) -> "Settings":
        """Return the settings with absolute paths, so that they mean the same wherever they are read."""
        data, features = self.data, self.features
        is_file = features.backbone_kind == "file"
        return replace(
            self,
            decisions=self.decisions if self.decisions == DATABASE else resolved_file(self.decisions),
            data=replace(
                data,
                data=resolved(data.data),
                labels=resolved_file(data.labels),
                targets=resolved_file(data.targets),
            ),
            features=replace(
                features,
                backbone=resolved_file(features.backbone) if is_file else features.backbone,
                weights=resolved(features.weights),
                embeddings=resolved_file(features.embeddings),
                probabilities=resolved_file(features.probabilities),
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as JSON holds them."""
        return _plain(asdict(self))

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "Settings":
        """Return the settings that `to_dict` wrote."""
        data = dict(values["data"])
        data["data"] = Path(data["data"]) if data["data"] is not None else None
        noise = {**values["noise"], "corrupt_data_label": tuple(values["noise"]["corrupt_data_label"])}
        features = dict(values["features"])  # a manifest of before lacks the later fields
        features["weights"] = Path(features["weights"]) if features.get("weights") else None
        features |= {name: tuple(features[name]) for name in ("mean", "std") if features.get(name) is not None}
        return Settings(
            DataSettings(**data),
            NoiseSettings(**noise),
            FeatureSettings(**features),
            ScoreSettings(**values["score"]),
            values["seed"],
            values["device"],
            EngineSettings(**values.get("where", {})),
            values.get("decisions"),
        )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value
