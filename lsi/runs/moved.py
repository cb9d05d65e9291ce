"""Whether the samples of a run still stand at the rows of the source that an export names."""

from pathlib import Path

from lsi.data import load
from lsi.data.checksums import with_checksums
from lsi.environment import default_data_root
from lsi.errors import LsiError
from lsi.runs.run import WITH_NOISE, Run


def moved_rows(run: Run, cache: Path) -> int:
    """Return how many of a run's samples stand at another row of the source now; 0 where the data cannot be opened.

    Args:
        run: the run.
        cache: where checksums of images are kept, so that those that stayed the same are not read.
    """
    try:
        settings = run.settings.data
        dataset = with_checksums(load(settings, default_data_root()), cache, settings.data)
        now: set[tuple[int, str]] = set()
        for part in (dataset, dataset.unlabelled):
            if part is not None:
                contents = part.checksums if part.images is None else part.image_contents
                now.update(zip(part.source_index.tolist(), contents, strict=True))
    except (LsiError, OSError):
        return 0
    contents = (str(content).removesuffix(WITH_NOISE) for content in run.subject.contents)
    return sum(place not in now for place in zip(run.scores["index"].tolist(), contents, strict=True))
