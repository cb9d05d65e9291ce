"""The paper's contrastive objective on a few hundred pairs, by true refits: a small reference for paired LSI.

Linear heads A (r, a) and B (r, b) project both sides of a pair, uᵢ = Axᵢ and vᵢ = Btᵢ:

    L = −½ Σᵢ (log softmaxⱼ(uᵢᵀvⱼ)ᵢ + log softmaxⱼ(vᵢᵀuⱼ)ᵢ) + ½λ(‖A‖² + ‖B‖²)        (symmetric InfoNCE)

The length of the projections takes the place of a temperature: of unit vectors a penalised head would shrink to
nothing.
Every pair is left out in turn, as a pair and as a negative for the others, and the heads are refitted from where they
were. The posterior is N(θ̂, P⁻¹) with the exact Hessian, its eigenvalues at least λ: rotating both heads alike changes
nothing, so some directions are flat.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

_STEPS = 300


def loss(theta: Tensor, x: Tensor, t: Tensor, rank: int, prior: float) -> Tensor:
    """Return L at θ = (A, B), flattened."""
    a, b = theta[: rank * x.shape[1]].reshape(rank, -1), theta[rank * x.shape[1] :].reshape(rank, -1)
    logits = (x @ a.T) @ (t @ b.T).T
    rows, columns = torch.log_softmax(logits, dim=1).diagonal(), torch.log_softmax(logits, dim=0).diagonal()
    return -0.5 * (rows + columns).sum() + 0.5 * prior * theta.square().sum()


def fit(theta: Tensor, x: Tensor, t: Tensor, rank: int, prior: float) -> Tensor:
    """Return the minimum near θ."""
    theta = theta.clone().requires_grad_()
    optimiser = torch.optim.LBFGS([theta], max_iter=_STEPS, tolerance_grad=1e-7, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = loss(theta, x, t, rank, prior)
        value.backward()
        return value

    optimiser.step(closure)  # type: ignore[arg-type]
    return theta.detach()


def precision(theta: Tensor, x: Tensor, t: Tensor, rank: int, prior: float) -> Tensor:
    """Return the Hessian at θ with eigenvalues of at least λ."""
    hessian = torch.func.jacrev(torch.func.grad(lambda v: loss(v, x, t, rank, prior)))(theta)
    values, vectors = torch.linalg.eigh(hessian)
    return (vectors * values.clamp_min(prior)) @ vectors.T


def lsi_by_refits(
    x: Float[np.ndarray, "n a"], t: Float[np.ndarray, "n b"], rank: int = 4, prior: float = 1.0
) -> Float[np.ndarray, " n"]:
    """Return KL(N(θ̂, P⁻¹) ‖ N(θ̂₋ᵢ, P₋ᵢ⁻¹)) of every pair, from its definition, in nats."""
    a, b = torch.from_numpy(x).double(), torch.from_numpy(t).double()
    start = torch.randn(rank * (x.shape[1] + t.shape[1]), generator=torch.Generator().manual_seed(0)).double() * 0.3
    whole = fit(start, a, b, rank, prior)
    covariance = torch.linalg.inv(precision(whole, a, b, rank, prior))
    logdet = torch.logdet(covariance)
    found = []
    for i in range(len(x)):
        rest = torch.arange(len(x)) != i
        without = fit(whole, a[rest], b[rest], rank, prior)
        p = precision(without, a[rest], b[rest], rank, prior)
        step = without - whole
        divergence = (p * covariance).sum() - len(whole) + step @ p @ step - torch.logdet(p) - logdet
        found.append(float(divergence) / 2)
    return np.array(found)
