"""A sample of the random command lines of fuzz.py, which has the long form."""

import fuzz
import pytest


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return fuzz.make_folders(tmp_path_factory.mktemp("images"))


@pytest.mark.parametrize("number", range(16))
def test_a_random_command_line_succeeds_or_says_in_one_sentence_why_not(number, folders, tmp_path):
    command = fuzz.draw(1, number, folders, tmp_path / "run")
    outcome = fuzz.run(command)
    assert outcome.is_clean, f"{command}\n{outcome}"


@pytest.mark.parametrize(
    ("status", "errors", "is_clean"),
    [
        (0, "I step 2/2\n", True),
        (2, "I a warning\nssljax: one sentence.\n", True),
        (2, "ssljax: one sentence.\nException in thread\n", False),
        (2, "ssljax: one sentence.\nssljax: another.\n", False),
        (2, "Traceback (most recent call last):\nssljax: one sentence.\n", False),
        ("KeyError: 3", "", False),
        (0, "ssljax: one sentence.\n", False),
    ],
)
def test_only_success_or_one_sentence_is_clean(status, errors, is_clean):
    assert fuzz.Outcome(status, errors).is_clean == is_clean
