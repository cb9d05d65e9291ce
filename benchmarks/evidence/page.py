"""Write docs/evidence.md from the JSON of the studies, and from nothing else."""

import json
from pathlib import Path

from benchmarks.evidence import figures, sections_labels, sections_models, sections_subsets, sections_trust
from benchmarks.record import RESULTS

PAGE = Path(__file__).parent.parent.parent / "docs" / "evidence.md"
HEAD = """# Evidence

Written by `make evidence` from `benchmarks/results/evidence_*.json`. Everything in a row ran on the same features and
labels in the same process. Negative results stay in.
"""

SECTIONS = {
    "label_errors": ("Who finds wrong labels?", sections_labels.label_errors),
    "flagged": ("Are as many labels suspected as are wrong?", sections_labels.flagged),
    "effort": ("How many labels must be looked at?", sections_labels.effort),
    "own_probabilities": ("Does it help a network that is there already?", sections_trust.own_probabilities),
    "many_classes": ("And with a hundred or a thousand classes?", sections_trust.many_classes),
    "stability": ("How stable are the ranks, and are two backbones better?", sections_trust.stability),
    "fidelity": ("What do the approximations cost?", sections_models.fidelity),
    "cost": ("How does it grow?", sections_models.cost),
    "settings": ("Which settings?", sections_models.settings),
    "corrupted": ("Does LSI show corrupted images?", sections_labels.corrupted),
    "quality": ("What can LSI not see?", sections_labels.quality),
    "transfer": ("Does the ranking carry over?", sections_models.transfer),
    "typicality": (
        "Are low-LSI images the typical ones, and high-LSI classes the hard ones?",
        sections_models.typicality,
    ),
    "curation": ("Does cleaning help?", sections_labels.curation),
    "condensation": ("Which part to keep?", sections_subsets.condensation),
    "threshold": ("Can we say how precise a cut is?", sections_labels.threshold),
    "unlabelled": ("What without class labels?", sections_models.unlabelled),
}


def write(page: Path = PAGE) -> None:
    """Write the page, and its figures beside it, from the studies that are there."""
    parts, seconds = [HEAD], []
    for name, (title, section) in SECTIONS.items():
        path = RESULTS / f"evidence_{name}.json"
        if path.exists():
            result = json.loads(path.read_text())
            seconds.append(result["seconds"])
            origin = f"{path.name}, {seconds[-1]:.0f} s, {result['environment']['threads']} threads"
            figure = figures.draw(name, result, page.parent / "images")
            parts.append(f"## {title}\n\n{figure}{section(result)}\n\n<sub>{origin}</sub>\n")
    parts.append(f"All studies together: {sum(seconds) / 60:.0f} minutes.\n")
    page.write_text("\n".join(parts))
