"""Where tensors are computed."""


def choose_device(device: str) -> str:
    """Return "cuda" or "cpu" for "auto", anything else as it is."""
    if device != "auto":
        return device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
