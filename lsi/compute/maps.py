"""The map of a run: UMAP positions of its samples, computed once and kept in the cache."""

from pathlib import Path

import numpy as np

from lsi.files import save_array
from lsi.progress import Progress
from lsi.runs.layout import PROJECTIONS
from lsi.runs.run import Run
from lsi.runs.store import Entry, Store

PROJECTION = "projection.npy"


def projection_of_run(run: Run, cache: Path, progress: Progress | None = None) -> np.ndarray:
    """Return the UMAP positions of a run's samples, (n, 2), from the cache where they are.

    Args:
        run: the run.
        cache: where the positions are kept.
        progress: told when it begins and ends.

    Raises:
        DataError: they are not computed yet, and the design matrix is not there.
    """
    progress = progress or Progress()

    def compute_projection(entry: Entry) -> list[str]:
        from lsi.features.projection import project  # brings torch and numba, which looking at a map does without
        from lsi.features.standardise import fit_standardisation
        from lsi.runs.model import targets_of

        progress.report("projection", 0, 1)
        features = run.design.values[:, :-1]
        if "n_unused" in run.manifest["features"]:  # one half of them is the target of the other
            if run.design.recipe.standardisation is None:  # the targets are standardised always
                features = fit_standardisation(features, 0).apply(features)
            features = np.hstack([features, targets_of(run)])
        save_array(entry.path(PROJECTION), project(features, run.settings.seed))
        return [PROJECTION]

    entry = Store(cache).get(PROJECTIONS, run.projection_key, compute_projection)
    progress.report("done", 1, 1)
    return np.load(entry.path(PROJECTION))


def cached_projection(run: Run, cache: Path) -> np.ndarray | None:
    """Return the UMAP positions if they are computed, in this cache or beside the run, else None, at once."""
    entries = [Store(place).entry(PROJECTIONS, run.projection_key) for place in (cache, run.folder.parent.parent)]
    return next((np.load(entry.path(PROJECTION)) for entry in entries if entry.is_sealed()), None)
