"""Run the studies: `python -m benchmarks.evidence [STUDY …] [--quick]`; finished ones are kept unless --again."""

import argparse
import time
from pathlib import Path

from benchmarks.evidence import (
    condensation,
    corrupted,
    cost,
    curation,
    effort,
    fidelity,
    flagged,
    label_errors,
    many_classes,
    own_probabilities,
    quality,
    settings,
    stability,
    threshold,
    transfer,
    typicality,
    unlabelled,
)
from benchmarks.evidence.page import PAGE, write
from benchmarks.record import RESULTS, save
from lsi.memory import keep_freed_memory

STUDIES = {
    "label_errors": label_errors.study,
    "flagged": flagged.study,
    "effort": effort.study,
    "own_probabilities": own_probabilities.study,
    "many_classes": many_classes.study,
    "stability": stability.study,
    "fidelity": fidelity.study,
    "transfer": transfer.study,
    "typicality": typicality.study,
    "corrupted": corrupted.study,
    "quality": quality.study,
    "curation": curation.study,
    "condensation": condensation.study,
    "threshold": threshold.study,
    "unlabelled": unlabelled.study,
    "cost": cost.study,
    "settings": settings.study,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence")
    parser.add_argument("studies", nargs="*", choices=[*STUDIES, []], help="all by default")
    parser.add_argument("--quick", action="store_true", help="small sizes, one seed")
    parser.add_argument("--again", action="store_true", help="run finished studies anew")
    parser.add_argument("--cache", type=Path, default=Path("cache/evidence"), help="features are kept here")
    given = parser.parse_args()
    keep_freed_memory()
    for name in given.studies or STUDIES:
        result = f"evidence_{name}" + ("_quick" if given.quick else "")
        if given.again or not (RESULTS / f"{result}.json").exists():
            start = time.perf_counter()
            found = STUDIES[name](given.quick, given.cache)
            save(result, {"seconds": time.perf_counter() - start, **found}, quiet=True)
    if not given.quick:
        write()
        print(PAGE)


if __name__ == "__main__":
    main()
