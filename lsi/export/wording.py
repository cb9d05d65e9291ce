"""What screens, reports and the command line say of LSI and of image quality, in words."""

from collections.abc import Mapping
from typing import Any

_QUALITY = {
    "is_dark": ("dark", "dark"),
    "is_bright": ("bright", "bright"),
    "is_blurry": ("blurry", "blurry"),
    "is_low_information": ("low in information", "low in information"),
    "is_odd_size": ("of odd size", "of odd size"),
    "is_odd_aspect": ("of odd aspect", "of odd aspect"),
    "is_exact_duplicate": ("exact duplicate", "exact duplicates"),
    "n_unmeasured": ("unreadable", "unreadable"),
}


def what_lsi_is(noun: str = "images") -> str:
    """Return in plain sentences what LSI is; `noun` is what the samples are, in the plural."""
    return (
        "Laplace Sample Information (LSI) says how much the model's knowledge depends on one "
        f"{noun.removesuffix('s')}. It is high for atypical, hard or wrongly labelled {noun}, and low for typical or "
        "redundant ones."
    )


def how_judged(manifest: Mapping[str, Any]) -> str:
    """Return where so many labels and classes are judged in another way than fewer, as a sentence; else ""."""
    how, said = manifest.get("labels_judged") or {}, []
    if how.get("label_probabilities") == "without suspects":
        said.append("labels are judged by a probe without the suspects, not through their noise")
    if how.get("rule") == "expected_errors at one rate":
        said.append("errors are expected at one rate for all classes")
    if how.get("rule") == "low_self_confidence":  # of versions before
        said.append("as many are suspected as confident learning counts, not as the noise model expects")
    return f"For so many samples and classes {' and '.join(said)}." if said else ""


def high_means(task: str) -> str:
    """Return what high LSI stands for."""
    return "atypical, hard or wrongly labelled" if task == "classification" else "atypical, odd or out of place"


def is_corrupted(noise: Mapping[str, Any]) -> bool:
    """Say whether labels or images were corrupted on purpose, by the settings of noise in a run's manifest."""
    return bool(noise["corrupt_label"] or noise["corrupt_data"] or noise["human_label_noise"])


def quality_words(quality: Mapping[str, Any] | None) -> list[str]:
    """Return how many images have each flag of image quality, such as "3 dark"; flags without any are left out.

    Args:
        quality: what a run's manifest says of it; None: nothing, as the run has no images or is of an earlier version.
    """
    if quality is None:
        return []
    counts = {**quality["counts"], "n_unmeasured": quality["n_unmeasured"]}
    return [f"{counts[name]:,} {words[counts[name] != 1]}" for name, words in _QUALITY.items() if counts[name]]
