"""LSI of every sample and its three terms; `score` is the library's front door."""

from lsi.laplace.scores.evaluate import LeaveOneOut, evaluate, posterior_of, structure_of
from lsi.laplace.scores.front import Method, Result, compute, score
from lsi.laplace.scores.inputs import as_design_and_labels, as_position, as_tensor
from lsi.laplace.scores.record import Scores
from lsi.laplace.scores.regression import RegressionResult, RegressionScores, score_ridge

__all__ = [
    "LeaveOneOut",
    "Method",
    "RegressionResult",
    "RegressionScores",
    "Result",
    "Scores",
    "as_design_and_labels",
    "as_position",
    "as_tensor",
    "compute",
    "evaluate",
    "posterior_of",
    "score",
    "score_ridge",
    "structure_of",
]
