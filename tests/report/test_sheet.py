"""Sheets of scores: written as they come, and never one over another."""

import json
import re

import pytest

from ssljax.errors import StoppedError
from ssljax.report import ScoreSheet, free_path, own_path

ABOUT = {
    "step": 7,
    "network": "online encoder",
    "stage": "features",
    "data": "digits",
    "settings": {"evals.knn.neighbors": ((5, 0.1),)},
}


def read(path):
    return json.loads(path.read_text())


def test_every_score_is_on_disk_as_soon_as_it_is_known(tmp_path):
    sheet = ScoreSheet(ABOUT, tmp_path / "scores")
    sheet.add("random network", {"knn5": 0.25})
    assert read(tmp_path / "scores.json")["scores"] == {"random network": {"knn5": 0.25}}
    sheet.add("random network", {"linear": 0.5})
    sheet.add("trained generator", {"fid_x": 12.0})
    sheet.write(complete=True)
    found = read(tmp_path / "scores.json")
    assert found["scores"]["random network"] == {"knn5": 0.25, "linear": 0.5}
    assert (found["complete"], found["errors"]) == (True, {})
    assert (found["step"], found["settings"]) == (7, {"evals.knn.neighbors": [[5, 0.1]]})
    text = (tmp_path / "scores.md").read_text()
    assert text.startswith("Read: online encoder, stage features, at step 7. Scored on digits, in")
    assert re.search(r"random network *\| *25.0 \| *50.0 \|", text)
    assert re.search(r"fid_x *\| *12 \|", text)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scores.json", "scores.md"]


def test_errors_are_figures_and_shares_are_in_per_cent(tmp_path):
    sheet = ScoreSheet(ABOUT, tmp_path / "scores")
    sheet.add("chance", {"class_agreement": 0.25})
    assert sheet.text().splitlines()[0].endswith("in per cent.")
    scores = {"class_agreement": 0.5, "squared_error": 0.03125, "reconstruction_psnr": 15.06}
    sheet.add("trained network", scores)
    text = sheet.text()
    assert text.splitlines()[0].endswith("in per cent. Errors and decibels are not.")
    assert re.search(r"trained network \| *50\.0 \| *0\.03125 \| *15\.1 \|", text)


def test_a_failure_is_noted_and_what_comes_after_it_is_scored(tmp_path, caplog):
    sheet = ScoreSheet(ABOUT, tmp_path / "scores")
    with sheet.attempt("trained network", "knn"):
        raise RuntimeError("Out of memory\nand more")
    with sheet.attempt("trained network", "linear"):
        sheet.add("trained network", {"linear": 0.5})
    assert sheet.errors == {"trained network": {"knn": "Out of memory"}}
    assert read(tmp_path / "scores.json")["errors"] == sheet.errors
    assert read(tmp_path / "scores.json")["scores"] == {"trained network": {"linear": 0.5}}
    assert "Missing: knn of the trained network. Out of memory" in sheet.text()
    assert caplog.messages == ["knn of the trained network cannot be computed: Out of memory"]
    assert sheet.finished == {"trained network": ["linear"]}
    with pytest.raises(KeyboardInterrupt), sheet.attempt("trained network", "few_label"):
        raise KeyboardInterrupt


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_is_noted_as_missing_and_the_others_stay(tmp_path, value):
    sheet = ScoreSheet(ABOUT, tmp_path / "scores")
    with sheet.attempt("chance", "pretext"):
        sheet.add("chance", {"psnr": value, "ssim": 0.5})
    text = (tmp_path / "scores.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["scores"] == {"chance": {"ssim": 0.5}}
    assert sheet.errors["chance"]["pretext"].startswith(f"psnr is {value}")
    assert sheet.finished == {}


def test_a_run_that_must_stop_is_no_failed_score(tmp_path):
    sheet = ScoreSheet(ABOUT, tmp_path / "scores")
    with pytest.raises(StoppedError), sheet.attempt("trained network", "pictures"):
        raise StoppedError("Another process has taken the workdir.")
    assert not sheet.errors
    assert not (tmp_path / "scores.json").exists()


@pytest.mark.parametrize("part", ["scores", "errors", "finished"])
def test_a_sheet_with_a_part_of_another_kind_is_no_sheet(tmp_path, part):
    ScoreSheet(ABOUT, tmp_path / "scores").write()
    file = tmp_path / "scores.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {part: 3}))
    assert ScoreSheet(ABOUT, tmp_path / "scores").scores == {}


def test_what_an_interrupted_attempt_has_found_stays_until_it_is_found_anew(tmp_path):
    ScoreSheet(ABOUT, tmp_path / "scores").add("raw pixels", {"knn5": 0.25})
    again = ScoreSheet(ABOUT, tmp_path / "scores")
    again.add("trained network", {"knn5": 0.5})
    rows = {"raw pixels": {"knn5": 0.25}, "trained network": {"knn5": 0.5}}
    assert read(tmp_path / "scores.json")["scores"] == rows
    assert not again.was_complete
    again.write(complete=True)
    # Nor does a further attempt lose what a whole sheet holds; one of another step is another.
    further = ScoreSheet(ABOUT, tmp_path / "scores")
    assert further.was_complete
    further.add("raw pixels", {"knn5": 0.75})
    rows["raw pixels"] = {"knn5": 0.75}
    assert read(tmp_path / "scores.json")["scores"] == rows
    ScoreSheet(ABOUT | {"step": 8}, tmp_path / "scores").add("raw pixels", {"knn5": 0.125})
    assert read(tmp_path / "scores.json")["scores"] == {"raw pixels": {"knn5": 0.125}}


def test_what_is_finished_is_known_until_nothing_is_left_to_compute(tmp_path):
    def made():
        return ScoreSheet(ABOUT, tmp_path / "scores").finished

    sheet = ScoreSheet(ABOUT, tmp_path / "scores")
    with sheet.attempt("raw pixels", "knn"):
        sheet.add("raw pixels", {"knn5": 0.25})
    with sheet.attempt("raw pixels", "linear"):
        raise RuntimeError
    assert made() == {"raw pixels": ["knn"]}
    sheet.write(complete=True)
    assert made() == {"raw pixels": ["knn"]}  # The failure is left.
    again = ScoreSheet(ABOUT, tmp_path / "scores")
    with again.attempt("raw pixels", "linear"):
        again.add("raw pixels", {"linear": 0.5})
    assert made() == {"raw pixels": ["knn", "linear"]}
    again.write(complete=True)
    assert made() == {}
    assert read(tmp_path / "scores.json")["scores"] == {"raw pixels": {"knn5": 0.25, "linear": 0.5}}
    other = ABOUT | {"settings": {}}
    assert ScoreSheet(other, tmp_path / "scores").finished == {}


def test_a_sheet_without_a_note_of_what_is_finished_is_a_sheet(tmp_path):
    ScoreSheet(ABOUT, tmp_path / "scores").add("raw pixels", {"knn5": 0.25})
    found = read(tmp_path / "scores.json")
    del found["finished"]
    (tmp_path / "scores.json").write_text(json.dumps(found))
    again = ScoreSheet(ABOUT, tmp_path / "scores")
    assert (again.scores, again.finished) == ({"raw pixels": {"knn5": 0.25}}, {})


def test_a_run_writes_over_its_own_scores_but_not_over_whole_ones_of_other_settings(tmp_path):
    other = ABOUT | {"settings": {"evals.name": "another"}}
    assert own_path(tmp_path, ABOUT) == tmp_path / "scores"
    ScoreSheet(ABOUT, tmp_path / "scores").write()
    assert own_path(tmp_path, other) == tmp_path / "scores"  # Not whole.
    ScoreSheet(ABOUT, tmp_path / "scores").write(complete=True)
    assert own_path(tmp_path, ABOUT) == tmp_path / "scores"
    assert own_path(tmp_path, other) == tmp_path / "scores-digits-features-step7"
    assert own_path(tmp_path, ABOUT | {"step": 8}) == tmp_path / "scores"  # It has trained on.
    # Damaged, so that nothing tells what it is of.
    (tmp_path / "scores.json").write_text('{"complete": true, "scores": {}, "errors": {}}')
    assert own_path(tmp_path, ABOUT) == tmp_path / "scores"


def test_sheets_beside_one_another_are_named_by_what_they_are_of(tmp_path):
    def write(**changes):
        path = free_path(tmp_path, ABOUT | changes)
        ScoreSheet(ABOUT | changes, path).write(complete=True)
        return path.name

    assert write() == write() == "scores-digits-features-step7"
    assert write(data="a/b[:10%]", stage="block2") == "scores-a-b-10-block2-step7"
    assert write(settings={}) == write(settings={}) == "scores-digits-features-step7-2"
    assert write() == "scores-digits-features-step7"
    (tmp_path / "scores-digits-features-step9.json").write_text("not ours")
    assert write(step=9) == "scores-digits-features-step9-2"
