"""LSI Lens: which samples of a dataset matter, which labels look wrong, and what can go."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lsi.version import VERSION

if TYPE_CHECKING:
    from lsi.laplace.explanation import Explanation, explain
    from lsi.laplace.scores import LeaveOneOut, RegressionScores, Scores, score
    from lsi.runs.listing import open_run
    from lsi.runs.run import Run

__version__ = VERSION
__all__ = ["Explanation", "LeaveOneOut", "RegressionScores", "Run", "Scores", "explain", "open_run", "score"]

_HOMES = {
    "Explanation": "lsi.laplace.explanation",
    "LeaveOneOut": "lsi.laplace.scores",
    "RegressionScores": "lsi.laplace.scores",
    "Run": "lsi.runs.run",
    "Scores": "lsi.laplace.scores",
    "explain": "lsi.laplace.explanation",
    "open_run": "lsi.runs.listing",
    "score": "lsi.laplace.scores",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for: `import lsi` alone loads no torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'lsi' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
