"""The slow truth, in float64 and in the usual weights θ ∈ ℝᵏ⁽ᵈ⁺¹⁾: dense Hessians, refits from scratch, KL as defined.

Shares no code with `lsi`.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag
from scipy.special import log_softmax, logsumexp, softmax


def fit(
    phi: np.ndarray, y: np.ndarray, prior_precision: float, start: np.ndarray | None = None, k: int | None = None
) -> np.ndarray:
    """Return θ̂ (k, D) by dense Newton steps until the gradient is at rounding. `phi` has its bias column.

    `y` are classes (n,), or distributions over the k classes (n, k).
    """
    k, d = k or (y.shape[1] if y.ndim == 2 else int(y.max()) + 1), phi.shape[1]
    y = np.eye(k)[y] if y.ndim == 1 else y
    theta = np.zeros((k, d)) if start is None else start.copy()
    for _ in range(100):
        r = softmax(phi @ theta.T, axis=1) - y
        gradient = r.T @ phi + prior_precision * theta
        if np.abs(gradient).max() < 1e-10:
            return theta
        step = np.linalg.solve(precision(phi, theta, prior_precision), gradient.ravel()).reshape(k, d)
        length, here = 1.0, loss(phi, y, theta, prior_precision)
        while loss(phi, y, theta - length * step, prior_precision) > here + 1e-12 * (1 + abs(here)) and length > 1e-6:
            length /= 2
        theta = theta - length * step
    raise AssertionError("the reference did not converge")


def through_noise(
    phi: np.ndarray,
    y: np.ndarray,
    prior_precision: float,
    first: np.ndarray,
    noise: np.ndarray,
    share: float,
    rounds: int,
) -> np.ndarray:
    """Return leave-one-out probabilities (n, k) through the noise N (k, k), a refit a sample and round, by loops.

    N says that at least a `share` of the labels is wrong.
    """
    n, k = first.shape
    p = first.copy()
    for _ in range(rounds):
        hidden = np.array([p[i] * noise[:, y[i]] / (p[i] * noise[:, y[i]]).sum() for i in range(n)])
        theta = fit(phi, hidden, prior_precision)
        for i in range(n):
            others = np.arange(n) != i
            p[i] = softmax(fit(phi[others], hidden[others], prior_precision, theta) @ phi[i])
        counts, frequency = 0.1 / k + 0.9 * np.eye(k), np.zeros(k)
        for i in range(n):
            behind = p[i] * noise[:, y[i]] / (p[i] * noise[:, y[i]]).sum()
            counts[:, y[i]] += behind
            frequency += behind / n
        noise = counts / counts.sum(axis=1, keepdims=True)
        expected = sum(frequency[c] * (1 - noise[c, c]) for c in range(k))
        for c in range(k):
            wrong = 1 - noise[c, c]
            raised = min(wrong * max(1, share / expected), max(wrong, 0.95))
            noise[c] *= raised / wrong
            noise[c, c] = 1 - raised
    return p


def loss(phi: np.ndarray, y: np.ndarray, theta: np.ndarray, prior_precision: float) -> float:
    logits = phi @ theta.T
    return float((logsumexp(logits, axis=1) - (y * logits).sum(axis=1)).sum() + prior_precision / 2 * (theta**2).sum())


def precision(phi: np.ndarray, theta: np.ndarray, prior_precision: float) -> np.ndarray:
    """Return P = Σ Λⱼ ⊗ φⱼφⱼᵀ + λI, (kD, kD)."""
    p = softmax(phi @ theta.T, axis=1)
    k, d = theta.shape
    blocks = np.empty((k, d, k, d))
    for c in range(k):
        for e in range(k):
            w = p[:, c] * ((c == e) - p[:, e])
            blocks[c, :, e, :] = (phi * w[:, None]).T @ phi
    return blocks.reshape(k * d, k * d) + prior_precision * np.eye(k * d)


def probabilities(phi: np.ndarray, theta: np.ndarray) -> np.ndarray:
    return softmax(phi @ theta.T, axis=1)


def newton_step(phi: np.ndarray, y: np.ndarray, prior_precision: float, group: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return θ̂, the weights after one Newton step without `group`, and the precision without it at θ̂."""
    theta = fit(phi, y, prior_precision)
    kept = ~np.isin(np.arange(len(phi)), group)
    without = precision(phi[kept], theta, prior_precision)
    residuals = probabilities(phi[group], theta) - np.eye(len(theta))[y[group]]
    step = np.linalg.solve(without, (residuals.T @ phi[group]).ravel()).reshape(theta.shape)
    return theta, theta + step, without


def kron_precision(phi: np.ndarray, theta: np.ndarray, prior_precision: float) -> np.ndarray:
    """Return B ⊗ A / n + λI."""
    p = softmax(phi @ theta.T, axis=1)
    b = np.diag(p.sum(axis=0)) - p.T @ p
    return np.kron(b, phi.T @ phi) / len(phi) + prior_precision * np.eye(theta.size)


def gaussian_kl(mean_a: np.ndarray, precision_a: np.ndarray, mean_b: np.ndarray, precision_b: np.ndarray) -> np.ndarray:
    """Return the mean, trace and log-determinant terms of KL(N(a) ‖ N(b)), from its definition."""
    delta = (mean_b - mean_a).ravel()
    covariance = np.linalg.inv(precision_a)
    log_a, log_b = np.linalg.slogdet(precision_a)[1], np.linalg.slogdet(precision_b)[1]
    return np.array(
        [
            0.5 * delta @ precision_b @ delta,
            0.5 * (np.trace(precision_b @ covariance) - len(delta)),
            0.5 * (log_a - log_b),
        ]
    )


@dataclass
class Truth:
    """Terms (s, 3) of each structure, leave-one-out probabilities (s, k) and weights (s, k, D) of chosen samples."""

    full: np.ndarray
    diag: np.ndarray
    kron: np.ndarray
    probabilities: np.ndarray
    weights: np.ndarray


def leave_one_out(features: np.ndarray, y: np.ndarray, prior_precision: float, samples: np.ndarray) -> Truth:
    """Refit from scratch without each of `samples` and return what changes."""
    phi = np.hstack([features, np.ones((len(features), 1))])
    theta = fit(phi, y, prior_precision)
    whole, kron = precision(phi, theta, prior_precision), kron_precision(phi, theta, prior_precision)
    rows: list[list[np.ndarray]] = [[], [], [], [], []]
    for i in samples:
        kept = np.arange(len(y)) != i
        other = fit(phi[kept], y[kept], prior_precision, start=theta, k=len(theta))
        p_other = precision(phi[kept], other, prior_precision)
        rows[0].append(gaussian_kl(theta, whole, other, p_other))
        rows[1].append(gaussian_kl(theta, np.diag(np.diag(whole)), other, np.diag(np.diag(p_other))))
        rows[2].append(gaussian_kl(theta, kron, other, kron_precision(phi[kept], other, prior_precision)))
        rows[3].append(np.exp(log_softmax(other @ phi[i])))
        rows[4].append(other)
    return Truth(*(np.array(r) for r in rows))


def ridge_leave_one_out(
    features: np.ndarray, targets: np.ndarray, prior_precision: float, noise_variance: float, sample: int
) -> np.ndarray:
    """Return the three terms of one sample under the Gaussian likelihood, by two ridge solves."""
    phi = np.hstack([features, np.ones((len(features), 1))])
    kept = np.arange(len(phi)) != sample
    fits = []
    for rows in (slice(None), kept):
        gram = phi[rows].T @ phi[rows] / noise_variance + prior_precision * np.eye(phi.shape[1])
        weights = np.linalg.solve(gram, phi[rows].T @ targets[rows] / noise_variance).T
        fits.append((weights, block_diag(*[gram] * targets.shape[1])))
    return gaussian_kl(fits[0][0], fits[0][1], fits[1][0], fits[1][1])


def paper_protocol(features: np.ndarray, y: np.ndarray, samples: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the paper's own LSI: retrain by SGD without each sample, laplace-torch's diagonal posterior, KL.

    1,000 epochs of full-batch Nesterov SGD on the mean loss, lr 0.004, momentum 0.9, weight decay 1e-4, from one seeded
    start; posterior prior precision 1. All models are trained side by side, which changes no arithmetic.
    """
    import warnings

    import torch
    from torch.utils.data import DataLoader, TensorDataset

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from laplace import Laplace
    torch.manual_seed(seed)
    n, k = len(y), int(y.max()) + 1
    start = torch.nn.Linear(features.shape[1], k).double()
    x = torch.from_numpy(np.hstack([features, np.ones((n, 1))]))
    initial = torch.cat([start.weight, start.bias[:, None]], dim=1).detach()
    b = len(samples) + 1
    kept = torch.ones(n, b, dtype=torch.float64)
    kept[torch.from_numpy(samples), torch.arange(1, b)] = 0
    weights = initial.repeat(b, 1, 1)
    velocity = torch.zeros_like(weights)
    target = torch.eye(k, dtype=torch.float64)[torch.from_numpy(y)]
    for epoch in range(1000):
        p = torch.softmax((x @ weights.flatten(0, 1).T).reshape(n, b, k), dim=2)
        r = (p - target[:, None]) * (kept / kept.sum(dim=0))[:, :, None]
        gradient = (r.flatten(1).T @ x).reshape(weights.shape) + 1e-4 * weights
        velocity = gradient if epoch == 0 else 0.9 * velocity + gradient
        weights = weights - 0.004 * (gradient + 0.9 * velocity)
    posteriors = []
    for j in range(b):
        probe = torch.nn.Linear(features.shape[1], k).double()
        probe.load_state_dict({"weight": weights[j, :, :-1], "bias": weights[j, :, -1]})
        rows = kept[:, j] > 0
        data = TensorDataset(torch.from_numpy(features)[rows], torch.from_numpy(y)[rows])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            posterior = Laplace(probe, "classification", subset_of_weights="all", hessian_structure="diag")
            posterior.fit(DataLoader(data, batch_size=n))
        posteriors.append((posterior.mean.numpy(), posterior.posterior_precision.numpy()))
    (mean, precision), others = posteriors[0], posteriors[1:]
    return np.array([gaussian_kl(mean, np.diag(precision), m, np.diag(p)).sum() for m, p in others])
