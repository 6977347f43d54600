"""Average precision against cases worked by hand, and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from ssljax.metrics import average_precision, mean_average_precision

SCORES = np.array([0.4, 0.9, 0.5, 0.8, 0.6, 0.7])
POSITIVE = np.array([False, True, False, False, True, True])
"""By falling score: yes, no, yes, yes, no, no. Precision at them: 1, 1/2, 2/3, 3/4, 3/5, 1/2."""


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("steps", (1 + 2 / 3 + 3 / 4) / 3),
        ("area", (1 + 3 / 4 + 3 / 4) / 3),
        # Recalls 0 to 0.3 at the first, 0.4 to 1 where the last positive is found.
        ("eleven_points", (4 * 1 + 7 * 3 / 4) / 11),
    ],
)
def test_a_case_worked_by_hand(rule, expected):
    assert average_precision(SCORES, POSITIVE, rule) == pytest.approx(expected, rel=1e-12)
    # The order of the rows and the scale of the scores say nothing.
    assert average_precision(3 * SCORES[::-1] - 7, POSITIVE[::-1], rule) == pytest.approx(expected)
    assert average_precision(POSITIVE.astype(float), POSITIVE, rule) == 1


def test_a_tenth_of_the_positives_is_recalled_at_a_tenth():
    """The first three of ten are right, then a hundred are wrong: 0.3 is reached, 0.4 is not."""
    positive = np.zeros(110, bool)
    positive[:3] = positive[103:] = True
    found = average_precision(-np.arange(110.0), positive, "eleven_points")
    # From there on precision rises to the end, 10 of 110.
    assert found == pytest.approx((4 * 1 + 7 * 10 / 110) / 11, rel=1e-12)


@pytest.mark.parametrize("rule", ["area", "eleven_points", "steps"])
def test_equal_scores_have_the_share_of_the_positives_in_any_order(rule):
    for positive in (POSITIVE, POSITIVE[::-1]):
        assert average_precision(np.zeros(6), positive, rule) == pytest.approx(0.5)


def test_without_interpolation_it_is_scikit_learns():
    rng = np.random.default_rng(0)
    for _ in range(30):
        scores, positive = rng.integers(0, 9, 25).astype(float), rng.random(25) < 0.3
        positive[0] = True
        expected = average_precision_score(positive, scores)
        assert average_precision(scores, positive, "steps") == pytest.approx(expected, rel=1e-12)
        assert average_precision(scores, positive) >= expected - 1e-12


def test_what_is_not_known_is_left_out_of_its_class_alone():
    scores = np.stack([SCORES, SCORES], axis=1)
    labels = np.stack([POSITIVE, POSITIVE], axis=1).astype(int)
    labels[3, 1] = -1  # The mistake at rank two.
    second = (1 + 1 + 1) / 3
    expected = ((1 + 3 / 4 + 3 / 4) / 3 + second) / 2
    assert mean_average_precision(scores, labels) == pytest.approx(expected, rel=1e-12)


def test_what_cannot_be_is_refused():
    labels = np.array([[1, 0], [0, 0]])
    with pytest.raises(ValueError, match="Of the class 'bee': There are no positives"):
        mean_average_precision(np.zeros((2, 2)), labels, names=("ant", "bee"))
    with pytest.raises(ValueError, match=r"A label is 2; it must be 1, 0 or"):
        mean_average_precision(np.zeros((2, 2)), 2 * labels)
    with pytest.raises(ValueError, match="A label is -2"):
        mean_average_precision(np.zeros((2, 2)), -2 * labels)
    with pytest.raises(ValueError, match="not finite"):
        average_precision(np.full(6, np.nan), POSITIVE)
