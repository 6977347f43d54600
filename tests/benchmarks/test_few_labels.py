"""The table of few labels."""

from benchmarks import few_labels


def test_the_spread_of_the_difference_is_seed_by_seed():
    text = few_labels.table({"SGAN": [0.8, 0.7, 0.9], "labels alone": [0.7, 0.6, 0.8]})
    assert "| SGAN | 80.0 | 70.0 | 90.0 | **80.0** ± 10.0 |" in text
    assert "| difference | 10.0 | 10.0 | 10.0 | **10.0** ± 0.0 |" in text
