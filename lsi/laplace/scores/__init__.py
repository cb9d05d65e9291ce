"""LSI of every sample and its three terms; `score` is the library's front door."""

from lsi.laplace.scores.evaluate import LeaveOneOut, evaluate, posterior_of
from lsi.laplace.scores.front import Method, Result, check, compute, score
from lsi.laplace.scores.record import Scores
from lsi.laplace.scores.regression import RegressionScores, score_ridge

__all__ = [
    "LeaveOneOut",
    "Method",
    "RegressionScores",
    "Result",
    "Scores",
    "check",
    "compute",
    "evaluate",
    "posterior_of",
    "score",
    "score_ridge",
]
