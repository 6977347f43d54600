"""Conjugate gradients with a multigrid preconditioner against a direct solution."""

import numpy as np
import pytest
import scipy.sparse

from ssljax.ops import conjugate_gradients as cg


def _grid(rows, columns, shift):
    """Differences between neighbours on a grid, plus a multiple of the unit matrix."""

    def line(count):
        return scipy.sparse.diags_array(
            [-np.ones(count - 1), 2 * np.ones(count), -np.ones(count - 1)], offsets=(-1, 0, 1)
        )

    matrix = scipy.sparse.kronsum(line(columns), line(rows))
    return scipy.sparse.csr_array(matrix + shift * scipy.sparse.eye_array(rows * columns))


@pytest.fixture(name="system")
def _system():
    matrix = _grid(40, 50, 1e-4)
    return matrix, np.random.default_rng(0).normal(size=matrix.shape[0])


def _places(rows, columns):
    return np.divmod(np.arange(rows * columns), columns)


def test_the_solution_is_the_direct_one(system, monkeypatch):
    monkeypatch.setattr(cg, "_COARSEST", 20)
    matrix, right = system
    told = []
    found = cg.conjugate_gradients(
        matrix,
        right,
        cg.multigrid(matrix, *_places(40, 50)),
        1e-10,
        progress=lambda *x: told.append(x),
    )
    expected = np.linalg.solve(matrix.toarray(), right)
    np.testing.assert_allclose(found, expected, atol=1e-8 * abs(expected).max())
    assert [iteration for iteration, _ in told] == list(range(1, len(told) + 1))
    assert told[-1][1] < 1e-10 <= told[-2][1]
    # Without the preconditioner it takes several times as long.
    plain = []
    cg.conjugate_gradients(matrix, right, lambda x: x, 1e-10, progress=lambda *x: plain.append(x))
    assert len(plain) > 3 * len(told)


def test_the_preconditioner_is_symmetric_and_positive(system, monkeypatch):
    monkeypatch.setattr(cg, "_COARSEST", 20)
    matrix = _grid(9, 8, 1e-3)
    cycle = cg.multigrid(matrix, *_places(9, 8))
    dense = np.stack([cycle(unit) for unit in np.eye(72)], axis=1)
    np.testing.assert_allclose(dense, dense.T, atol=1e-9)
    assert np.linalg.eigvalsh(dense).min() > 0


def test_pixels_that_never_join_are_solved_directly(monkeypatch):
    monkeypatch.setattr(cg, "_COARSEST", 2)
    matrix = scipy.sparse.csr_array(np.diag([1.0, 2.0, 4.0]))
    far = np.array([0, 1 << 10, 1 << 20])
    found = cg.conjugate_gradients(matrix, np.ones(3), cg.multigrid(matrix, far, far))
    np.testing.assert_allclose(found, [1, 0.5, 0.25])


def test_a_right_side_of_zeros_has_the_solution_zero(system):
    matrix, right = system
    assert not cg.conjugate_gradients(matrix, 0 * right, lambda x: x).any()


def test_too_few_iterations_are_told(system):
    matrix, right = system
    with pytest.raises(ValueError, match="after 3 iterations"):
        cg.conjugate_gradients(matrix, right, lambda x: x, max_iterations=3)
