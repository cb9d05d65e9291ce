"""The commands as frozen records: their fields are their options, their docstrings their help."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from lsi.config import DataSettings, EngineSettings, FeatureSettings, IssueRule, NoiseSettings, ScoreSettings, Settings
from lsi.environment import default_cache


@dataclass(frozen=True, kw_only=True)
class Common:
    """What every command takes.

    Attributes:
        cache: where everything computed is kept. A run that is named by its folder has the decisions, map and trail of
            the cache that it lies in; where that cannot be written, the trail and a new map are kept in this one.
        json: print JSON instead of text.
        verbose: log what happens, and show tracebacks.
    """

    cache: Path = field(default_factory=default_cache)
    json: bool = False
    verbose: bool = False


RunName = Annotated[str, tyro.conf.Positional]
Formats = tuple[Literal["txt", "csv", "json", "npy", "parquet"], ...]
ImageFormats = tuple[Literal["copy", "link", "huggingface"], ...]


@dataclass(frozen=True)
class Compute(Common):
    """Compute LSI for every sample of a dataset, and print the ranked table and the folder it lies in.

    Attributes:
        decisions: apply these decisions first: a decisions.json that an export wrote, or database for those that were
            made in the app. What was excluded is left out, new labels count, and what a person confirmed is not
            suspected again.
        output: copy the run's files into this folder as well.
        quiet: no progress bar; how the data are read is printed all the same.
        project: compute the 2-D view too.
        progress: write what is going on into this JSON file, for whoever follows from outside.
    """

    data: Annotated[DataSettings, tyro.conf.arg(name="")] = field(default_factory=DataSettings)
    noise: Annotated[NoiseSettings, tyro.conf.arg(name="")] = field(default_factory=NoiseSettings)
    features: Annotated[FeatureSettings, tyro.conf.arg(name="")] = field(default_factory=FeatureSettings)
    score: Annotated[ScoreSettings, tyro.conf.arg(name="")] = field(default_factory=ScoreSettings)
    where: Annotated[EngineSettings, tyro.conf.arg(name="")] = field(default_factory=EngineSettings)
    seed: int = 0
    device: str = "auto"
    decisions: str | None = None
    output: Path | None = None
    quiet: bool = False
    project: bool = False
    progress: Path | None = None

    def settings(self) -> Settings:
        """Return the settings of the run."""
        return Settings(
            self.data, self.noise, self.features, self.score, self.seed, self.device, self.where, self.decisions
        )


@dataclass(frozen=True)
class Inspect(Common):
    """Say how data would be read: what lies there, what is the image, the label and the split, what is ignored.

    Nothing is computed and no pixel is read.

    Attributes:
        path: folder, archive, table, arrays or address; without it the dataset that --dataset names.
    """

    path: Annotated[Path | None, tyro.conf.Positional] = None
    settings: Annotated[DataSettings, tyro.conf.arg(name="")] = field(default_factory=DataSettings)


@dataclass(frozen=True)
class Show(Common):
    """Print the top and bottom of a run's table and its summaries.

    Attributes:
        run: name of a run, the start of its name, its folder, or latest: the one computed last.
        rows: rows to print at either end.
    """

    run: RunName = "latest"
    rows: int = 10


@dataclass(frozen=True)
class Issues(Common):
    """Print the suspected label issues of a run, the worst first.

    Attributes:
        run: name of a run, the start of its name, its folder, or latest.
        filter_by: the rule that says what is suspected: expected_errors, as in the table, or one by cleanlab's name.
        rows: how many to print; 0 for all.
    """

    run: RunName = "latest"
    filter_by: IssueRule = "expected_errors"
    rows: int = 20


@dataclass(frozen=True)
class Explain(Common):
    """Show which training samples support and which contradict a sample's label, and what each other label would cost.

    Attributes:
        run: name of a run, the start of its name, its folder, or latest.
        index: position of the sample in the source, as the table's index column says.
        rows: how many influential samples to print on either side.
    """

    run: RunName
    index: Annotated[int, tyro.conf.Positional]
    rows: int = 5


@dataclass(frozen=True)
class Project(Common):
    """Compute the 2-D view (UMAP) of a run and print where it lies.

    Attributes:
        run: name of a run, the start of its name, its folder, or latest.
    """

    run: RunName = "latest"


@dataclass(frozen=True)
class Export(Common):
    """Write index lists and tables of a curated subset.

    Attributes:
        run: name of a run, the start of its name, its folder, or latest: the one computed last.
        output: the folder to write into.
        drop_issues: leave out the suspected label issues.
        keep_one: keep one sample of each near-duplicate group.
        drop_leaks: remove near duplicates of what is held out (test, then validation) from the other splits.
        keep_top: keep only this many samples, those of highest LSI among the rest.
        keep_share: keep this share of the samples, such as 0.3: suspected labels leave first, and the rest is thinned
            out evenly over the LSI of each class.
        decisions: what people decided in the app, instead of the rules above.
        formats: of the index lists.
        images: write the kept images too, under their new labels: copied or linked into one folder per class, or
            as Hugging Face Parquet.
        tools: write what other tools read too: label-studio (tasks with what is suggested; its own export is read in by
            `lsi decisions import`), or fiftyone (a script that makes a dataset).
        image_root: what stands before the path of an image in Label Studio's tasks, such as an address.
    """

    run: RunName = "latest"
    output: Path = Path("lsi-export")
    drop_issues: bool = False
    keep_one: bool = False
    drop_leaks: bool = False
    keep_top: int | None = None
    keep_share: float | None = None
    decisions: bool = False
    formats: Formats = ("txt", "csv", "json", "npy", "parquet")
    images: ImageFormats = ()
    tools: tuple[Literal["label-studio", "fiftyone"], ...] = ()
    image_root: str = "/data/local-files/?d="


class _Unsaid(str):
    """The value of an option that was not given; the same word where it was given is none."""


def _unsaid() -> DataSettings:
    usual = DataSettings()
    return DataSettings(_Unsaid(usual.dataset), split=_Unsaid(usual.split))


@dataclass(frozen=True)
class Apply(Common):
    """Write the same files as export from a file of decisions: on a run, or on data that no run is needed for.

    Without --run and data they are applied to the run that they were made on, or the newest one on the same data.

    Attributes:
        file: the decisions.json that an export wrote.
        run: the run to apply them to.
        output: the folder to write into.
        formats: of the index lists.
        images: write the kept images too, as in export.
    """

    file: Annotated[Path, tyro.conf.Positional]
    data: Annotated[DataSettings, tyro.conf.arg(name="")] = field(default_factory=_unsaid)
    run: str | None = None
    output: Path = Path("lsi-export")
    formats: Formats = ("txt", "csv", "json", "npy", "parquet")
    images: ImageFormats = ()

    @property
    def is_dataset_named(self) -> bool:
        """Whether an option says which dataset, the usual one too."""
        return self.data.data is not None or not isinstance(self.data.dataset, _Unsaid)

    @property
    def is_data_named(self) -> bool:
        """Whether any option says which data, or which part of them."""
        is_part_named = self.data != DataSettings() or not isinstance(self.data.split, _Unsaid)
        return self.is_dataset_named or is_part_named


@dataclass(frozen=True)
class Decisions(Common):
    """Read decisions in that were made elsewhere, or write those in force about a run's samples.

    Decisions belong to the samples, by id and content: every run on the same data shows them. What is here already, and
    what is older than a decision here about the same sample, is left out.

    Attributes:
        action: import or export.
        file: the decisions.json to read or to write; an export of Label Studio can be read too.
        run: of an export, the run whose samples are meant; of an import, one on the data (files of older versions need
            it; others take one on data of their name, else of their samples). Its name, its start, folder, or latest.
        all: of an export, those on samples of the dataset and for classes that the run does not have as well. Such a
            file can be read in again; `apply` refuses one with decisions for classes that the data lack.
    """

    action: Annotated[Literal["import", "export"], tyro.conf.Positional]
    file: Annotated[Path, tyro.conf.Positional] = Path("decisions.json")
    run: str | None = None
    all: bool = False


@dataclass(frozen=True)
class Trail(Common):
    """List who did what, the oldest first: decisions, undos, computations, exports, renamed or deleted runs.

    Attributes:
        output: a .csv to write all of it to, with times in UTC, instead of printing the latest.
        rows: how many to print; 0 for all.
    """

    output: Path | None = None
    rows: int = 50


@dataclass(frozen=True)
class Report(Common):
    """Write one HTML file that shows a run, opens offline and needs no server; or a folder with all its images.

    Attributes:
        run: name of a run, the start of its name, its folder, or latest: the one computed last.
        output: the file; by default the run's name with .html.
        static: write a folder for any web server instead: the gallery, the map and the filter with every image,
            and the report beside them.
    """

    run: RunName = "latest"
    output: Path | None = None
    static: Path | None = None


@dataclass(frozen=True)
class Compare(Common):
    """Compare two runs on the same data: figures, labels, samples that came or left, ranks that moved.

    Attributes:
        before: name of a run, the start of its name, its folder, or parent for the one whose decisions the other
            started from.
        after: likewise, or latest.
        rows: how many samples that moved most to print.
    """

    before: RunName = "parent"
    after: RunName = "latest"
    rows: int = 10


@dataclass(frozen=True)
class Runs(Common):
    """List the runs in the cache, the newest first; or give one a title, or delete it.

    Attributes:
        action: list, rename or delete. Deleting leaves decisions and features.
        run: name of a run, the start of its name, its title, its folder, or latest; nothing for a list.
        title: what people call it; without one its title is taken back.
    """

    action: Annotated[Literal["list", "rename", "delete"], tyro.conf.Positional] = "list"
    run: Annotated[str, tyro.conf.Positional] = ""
    title: Annotated[str, tyro.conf.Positional] = ""


@dataclass(frozen=True)
class Cache(Common):
    """List what the cache holds and how large it is, or clear it.

    Attributes:
        action: list, size or clear.
        kinds: what to clear; runs, jobs and uploads only where they are named. Design matrices and maps that a
            run refers to stay as long as the run does; what is being computed stays, and the upload, features, designs
            and maps that it may need.
    """

    action: Annotated[Literal["list", "size", "clear"], tyro.conf.Positional] = "list"
    kinds: tuple[Literal["features", "designs", "projections", "runs", "jobs", "uploads"], ...] = (
        "features",
        "designs",
        "projections",
    )


@dataclass(frozen=True)
class App(Common):
    """Start the app in the browser.

    It answers on this machine only. To let others in, see LSI_HOSTS and LSI_ALLOW_ANONYMOUS in the documentation.

    Attributes:
        port: to listen on.
        address: to listen on.
    """

    port: int = 8501
    address: str = "127.0.0.1"


COMMANDS = {
    "app": App,
    "inspect": Inspect,
    "compute": Compute,
    "show": Show,
    "issues": Issues,
    "explain": Explain,
    "project": Project,
    "export": Export,
    "apply": Apply,
    "decisions": Decisions,
    "trail": Trail,
    "report": Report,
    "compare": Compare,
    "runs": Runs,
    "cache": Cache,
}
