"""The run that a newcomer finds: images of clothes, some of their labels flipped on purpose."""

from lsi.compute import jobs
from lsi.config import DataSettings, FeatureSettings, NoiseSettings, ScoreSettings, Settings
from lsi.environment import default_cache, read_only

FIRST = Settings(
    DataSettings(dataset="fashion"),
    NoiseSettings(corrupt_label=0.05),
    FeatureSettings(backbone="pixels", pca=64),
    ScoreSettings(certify=100),  # all 2,000 would take another second
)


def start_first_run() -> None:
    """Compute it where nothing has been computed yet, so that there is something to see.

    The server calls it before it imports what pages need: the job's process starts meanwhile.

    Raises:
        StorageError: the cache cannot be written.
    """
    cache = default_cache()
    is_empty = not any((cache / "runs").glob("*/manifest.json"))
    if is_empty and not read_only() and not jobs.list_jobs(cache):
        jobs.start(FIRST, cache)
