"""A second likelihood for the Newton path, which must not know that it fits a softmax: targets t ∈ ℝᵏ, variance σ².

Every leave-one-out step is exact. The product takes the closed form in `lsi.laplace.ridge`.

Loss ‖t − f‖²/(2σ²), residual (f − t)/σ², curvature I/σ², the same for every sample. The normalising constant of the
density is left out: it depends on no weight.
"""

import torch
from jaxtyping import Float
from torch import Tensor


class Gaussian:
    """Regression of `n_outputs` numbers with noise variance σ² = `noise_variance`; targets of shape (n, k)."""

    def __init__(self, n_outputs: int, noise_variance: float = 1.0) -> None:
        self.noise_variance = noise_variance
        self.n_outputs = self.n_coordinates = n_outputs

    def expand(self, coordinates: Float[Tensor, "*batch m"]) -> Float[Tensor, "*batch k"]:
        """Return the logits themselves."""
        return coordinates

    def contract(self, logits: Float[Tensor, "*batch k"]) -> Float[Tensor, "*batch m"]:
        """Return the coordinates themselves."""
        return logits

    def predict(self, logits: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """Return the predicted means: the logits."""
        return logits

    def losses(
        self, logits: Float[Tensor, "n k"], means: Float[Tensor, "n k"], targets: Float[Tensor, "n k"]
    ) -> Float[Tensor, " n"]:
        """Return ‖t − f‖²/(2σ²) of each sample."""
        return (logits - targets).square().sum(dim=1) / (2 * self.noise_variance)

    def residuals(self, means: Float[Tensor, "n k"], targets: Float[Tensor, "n k"]) -> Float[Tensor, "n m"]:
        """Return (f − t)/σ²."""
        return (means - targets) / self.noise_variance

    def curvatures(self, means: Float[Tensor, "n k"]) -> Float[Tensor, "n m m"]:
        """Return I/σ² for every sample."""
        k = means.shape[1]
        return (torch.eye(k, dtype=means.dtype, device=means.device) / self.noise_variance).expand(len(means), k, k)

    def curvature_sum(self, means: Float[Tensor, "n k"]) -> Float[Tensor, "m m"]:
        """Return nI/σ²."""
        return torch.eye(means.shape[1], dtype=means.dtype, device=means.device) * (len(means) / self.noise_variance)

    def curvature_diagonal(self, means: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """Return 1/σ² for every sample and output."""
        return torch.full_like(means, 1 / self.noise_variance)

    def curvature_product(self, means: Float[Tensor, "n k"], vectors: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
        """Return the vectors divided by σ²."""
        return vectors / self.noise_variance
