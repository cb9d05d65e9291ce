"""What screens, reports and the command line say of LSI, in words."""


def what_lsi_is(noun: str = "images") -> str:
    """Return in a sentence what LSI is; `noun` is what the samples are, in the plural."""
    return (
        "Laplace Sample Information (LSI) says how much the model's knowledge depends on one "
        f"{noun.removesuffix('s')}, in nats: high for atypical, hard or wrongly labelled {noun}, low for typical or "
        "redundant ones."
    )


def high_means(task: str) -> str:
    """Return what high LSI stands for."""
    return "atypical, hard or wrongly labelled" if task == "classification" else "atypical, odd or out of place"
