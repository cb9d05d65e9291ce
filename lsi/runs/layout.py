"""How a run's files are called, and the kinds of entries of the cache that belong to runs."""

from lsi.probabilities import files_of

TITLE = "title.json"  # what people call the run; not part of what was computed
KIND, DESIGNS, PROJECTIONS = "runs", "designs", "projections"  # kinds of the cache's entries
SOURCES = ("features", DESIGNS)  # the kinds that a run is computed from
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
# columns of a run's tables that only some runs have: a column of the data by such a name is never taken for one
SOMETIMES = frozenset({"true_label", "is_corrupted", "label_in_data", "is_confirmed", "suggested_label", "confidence",
                       "loo_p_given", "standardised_residual"})  # fmt: skip
BESIDE = " (data)"  # what the name of a column of the data gets behind it beside one of the run's own
FILES = (
    MANIFEST, SCORES, UNLABELLED, SAMPLES, *files_of(PROBABILITIES), *files_of(LABEL_PROBABILITIES), COVARIANCE,
    TARGETS, PROBE, NEIGHBOURS, CONTENTS, DECIDED,
)  # fmt: skip
