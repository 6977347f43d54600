"""The watch over collapse: what it tells, and what it does not."""

import logging

import pytest

from ssljax import report


@pytest.fixture
def told(caplog):
    """What a watch tells of flags at steps 10, 20, ..., and then at the end."""

    def tell(flags, enabled=True, **gauges):
        watch = report.CollapseWatch(enabled)
        with caplog.at_level(logging.INFO, logger="ssljax.report.collapse"):
            for number, flag in enumerate(flags, start=1):
                watch.update(10 * number, {"online/loss": 1.0, "online/collapsed": flag} | gauges)
            before = len(caplog.records)
            watch.remind()
        assert {record.levelname for record in caplog.records} <= {"WARNING"}
        return caplog.messages[:before], caplog.messages[before:]

    return tell


def test_one_of_two_accumulated_batches_is_no_collapse(told):
    assert told([0.5, 0.5, 0.5]) == ([], [])


def test_one_flag_alone_is_no_collapse(told):
    assert told([0.0, 1.0, 0.0, 1.0]) == ([], [])


def test_two_in_a_row_are_told_once_and_again_at_the_end(told):
    gauges = {"online/embedding_std": 1.23456e-4, "online/effective_rank": 1.0, "other/x": 5.0}
    assert told([0.0, 1.0, 1.0, 1.0, 1.0], **gauges) == (
        ["step 30: online has collapsed (embedding_std 0.000123, effective_rank 1)"],
        [
            "At the end, step 50, online is still collapsed "
            "(embedding_std 0.000123, effective_rank 1)"
        ],
    )


def test_every_onset_is_told_and_a_recovery_at_the_end_is_not_contradicted(told):
    before, end = told([1.0, 1.0, 0.0, 1.0, 1.0, 0.0])
    assert before == ["step 20: online has collapsed", "step 50: online has collapsed"]
    assert end == []


def test_players_are_watched_apart(caplog):
    watch = report.CollapseWatch()
    for step in (1, 2, 3):
        scalars = {"critic/collapsed": 0.0, "generator/collapsed": 1.0}
        watch.update(step, scalars | {"generator/assignment_entropy": 0.5, "critic/loss": 1.0})
    assert caplog.messages == ["step 2: generator has collapsed (assignment_entropy 0.5)"]


def test_all_but_the_first_process_tell_nothing(told):
    assert told([1.0, 1.0], enabled=False) == ([], [])


def test_a_run_without_flags_is_not_watched(caplog):
    watch = report.CollapseWatch()
    for step in (1, 2):
        watch.update(step, {"online/loss": 1.0})
    watch.remind()
    assert not caplog.messages
