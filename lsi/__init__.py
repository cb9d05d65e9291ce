"""LSI Lens: which samples of a dataset matter, which labels look wrong, and what can go."""

from lsi.explanation import Explanation, explain
from lsi.scores import LeaveOneOut, RegressionScores, Scores, score

__version__ = "0.1.0"
__all__ = ["Explanation", "LeaveOneOut", "RegressionScores", "Scores", "explain", "score"]
