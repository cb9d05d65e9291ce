"""How a run's files are called, and the kinds of entries of the cache that belong to runs."""

from lsi.probabilities import files_of

TITLE = "title.json"  # what people call the run; not part of what was computed
KIND, DESIGNS, PROJECTIONS = "runs", "designs", "projections"  # kinds of the cache's entries
DESIGN = "design"  # folder of the design matrix in a run that was copied out of the cache
(
    MANIFEST,
    SCORES,
    UNLABELLED,
    SAMPLES,
    PROBABILITIES,
    LABEL_PROBABILITIES,
    COVARIANCE,
    TARGETS,
    PROBE,
    NEIGHBOURS,
    CONTENTS,
    DECIDED,
) = (
    "manifest.json",
    "scores.parquet",
    "unlabelled.parquet",
    "samples.parquet",
    "loo_probabilities",
    "label_probabilities",
    "posterior_covariance.npy",
    "targets.npy",
    "probe.npz",
    "neighbours.npz",
    "contents.npy",
    "decided.json",
)
FILES = (
    MANIFEST, SCORES, UNLABELLED, SAMPLES, *files_of(PROBABILITIES), *files_of(LABEL_PROBABILITIES), COVARIANCE,
    TARGETS, PROBE, NEIGHBOURS, CONTENTS, DECIDED,
)  # fmt: skip
