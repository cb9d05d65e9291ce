"""Names of the choices, and the likelihood that every layer above sees."""

from typing import Literal, Protocol, runtime_checkable

from jaxtyping import Float, Shaped
from torch import Tensor

Structure = Literal["full", "kron", "diag"]
LooMethod = Literal["newton_step", "refit"]


@runtime_checkable
class Likelihood(Protocol):
    """What the objective, the posterior and leave-one-out need to know of a model's outputs.

    A model has k logits a sample. Where the likelihood does not see some direction of them (softmax: adding one
    number to all), the MAP of a ridge-penalised probe does not use it either, so everything is computed in m ≤ k
    coordinates: logits = u Qᵀ with an orthonormal `basis` Q of shape (k, m). Residuals and curvatures below are in
    these coordinates.
    """

    basis: Float[Tensor, "k m"]

    def predict(self, logits: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """Return the mean of the prediction: probabilities (softmax) or the logits themselves (Gaussian)."""
        ...

    def losses(self, logits: Float[Tensor, "n k"], targets: Shaped[Tensor, "n ..."]) -> Float[Tensor, " n"]:
        """Return each sample's negative log-likelihood in nats."""
        ...

    def residuals(self, means: Float[Tensor, "n k"], targets: Shaped[Tensor, "n ..."]) -> Float[Tensor, "n m"]:
        """Return the gradient of each loss by its coordinates u."""
        ...

    def curvatures(self, means: Float[Tensor, "n k"]) -> Float[Tensor, "n m m"]:
        """Return the Hessian of each loss by its coordinates u (= GGN = Fisher)."""
        ...

    def curvature_sum(self, means: Float[Tensor, "n k"]) -> Float[Tensor, "m m"]:
        """Return the sum of the curvatures, without forming them."""
        ...

    def curvature_diagonal(self, means: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """Return the diagonal of each loss's Hessian by the k logits."""
        ...

    def curvature_product(self, means: Float[Tensor, "n k"], vectors: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
        """Return each curvature times each vector, without forming the blocks."""
        ...
