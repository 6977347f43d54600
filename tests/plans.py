"""Transport between two histograms, worked out in float64."""

import jax.numpy as jnp
import numpy as np
from scipy.optimize import linprog


def f32(x):
    return jnp.asarray(x, jnp.float32)


def problem():
    """Random costs between 4 sources and 6 targets, and the mass of each."""
    rng = np.random.default_rng(0)
    return rng.uniform(size=(4, 6)), rng.dirichlet(np.ones(4)), rng.dirichlet(np.ones(6))


def optimal_plan(cost, a, b):
    """By linear programming."""
    n, m = cost.shape
    sums = [np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))]
    solution = linprog(cost.ravel(), A_eq=np.concatenate(sums), b_eq=np.concatenate([a, b]))
    return solution.x.reshape(n, m)


def reference_plan(cost, a, b, epsilon, iterations):
    """Sinkhorn's iteration on the matrix itself."""
    kernel = np.exp(-cost / epsilon)
    for _ in range(iterations):
        kernel = kernel * (a / kernel.sum(axis=1))[:, None]
        kernel = kernel * (b / kernel.sum(axis=0))[None, :]
    return kernel
