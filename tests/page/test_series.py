"""What is drawn of metrics, and what is said of them."""

import numpy as np
import pytest

from ssljax.page import charts, findings, series
from ssljax.page.record import Series


def made(values, every=10):
    values = np.array(values, np.float64)
    return Series(every * np.arange(1, len(values) + 1), values)


def test_a_long_metric_keeps_its_extremes_its_ends_and_its_gaps():
    values = np.sin(np.arange(50_000) / 300)
    values[12_345], values[23_456], values[34_567] = 9.0, -7.0, np.nan
    kept = series.thinned(made(values), buckets=100)
    assert len(kept.steps) <= 3 * 100 + 2
    assert (np.diff(kept.steps) > 0).all()
    assert [kept.steps[0], kept.steps[-1]] == [10, 500_000]
    for place in (12_345, 23_456, 34_567):
        assert 10 * (place + 1) in kept.steps
    np.testing.assert_array_equal(kept.values, values[kept.steps // 10 - 1])
    assert series.thinned(made(values[:200]), buckets=100).steps.size == 200


def test_what_spans_sizes_is_logarithmic_but_for_what_may_be_0():
    for values, wanted in (
        ([1, 200], True),
        ([1, 20], False),
        ([0, 200], False),
        ([-1, 200], False),
    ):
        chart = series.Chart("grad_norm", (series.Line("", made(values), 0),))
        assert chart.is_logarithmic == wanted
    rate = series.Chart("online/learning_rate", (series.Line("", made([1e-6, 1.0]), 0),))
    assert not rate.is_logarithmic


def test_names_of_lines_do_not_overlap_and_stay_in_their_order():
    placed = charts.spread([10.0, 10.0, 11.0, 50.0, 99.0, 100.0], 10.0, 0.0, 100.0)
    assert (np.diff(placed) >= 10 - 1e-9).all()
    assert min(placed) >= 0
    assert max(placed) <= 100
    assert charts.spread([20.0, 60.0], 10.0, 0.0, 100.0) == [20.0, 60.0]


def test_lines_differ_in_their_dashes_too():
    styles = [charts.style(i) for i in range(30)]
    assert len({(color, str(dash)) for color, dash in styles}) == 30
    assert len({str(dash) for _, dash in styles[:6]}) == 6


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ([0, 0, 1, 1, 1], "online has collapsed since step 30 (embedding_std 0.01 at the end)"),
        ([0, 1, 1, 0, 0], "online was collapsed from step 20 to step 30, and is not any more"),
        ([0, 1, 0, 1, 0], None),
        ([0, 0, 0, 0, 1], None),
    ],
)
def test_a_collapse_is_told_from_when_on_it_is(flags, told):
    found = findings._collapses(
        {"online/collapsed": made(flags), "online/embedding_std": made([0.01] * 5)}
    )
    assert [sentence[: len(told)] for sentence in found] == ([told] if told else [])[:1]


def test_waiting_for_data_is_told_as_a_share_of_the_time():
    # 10 steps of 1 s that wait for 0.8 s, and 10 of 3 s that do not wait: 8 of 40 s.
    metrics = {"step_seconds": made([1.0, 3.0]), "data_wait_seconds": made([0.8, 0.0])}
    assert findings.wait_share(metrics) == pytest.approx(0.2)
    assert "waits for data 20 % of the time" in findings._waits(metrics)[0]
    assert not findings._waits(metrics | {"data_wait_seconds": made([0.1, 0.1])})


def test_images_that_were_skipped_are_told():
    assert "3 images could not be decoded" in findings._skipped({"corrupt_images": made([1, 3])})[0]
    assert not findings._skipped({})
