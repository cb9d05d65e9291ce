"""LSI of every sample and its three terms; `score` is the library's front door."""

from lsi.scores.evaluate import LeaveOneOut, evaluate, posterior_of
from lsi.scores.front import Method, Result, check, choose_device, compute, score
from lsi.scores.record import Scores
from lsi.scores.regression import RegressionScores, score_ridge
from lsi.scores.second_look import second_look

__all__ = [
    "LeaveOneOut",
    "Method",
    "RegressionScores",
    "Result",
    "Scores",
    "check",
    "choose_device",
    "compute",
    "evaluate",
    "posterior_of",
    "score",
    "score_ridge",
    "second_look",
]
