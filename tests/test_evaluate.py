"""Evaluations of a run: what is refused before it starts, what is kept when one fails."""

import json

import numpy as np
import pytest
import runs

from ssljax import config as configs
from ssljax import data, evaluate, main, paths
from ssljax.data import fields
from ssljax.errors import MissingScores, UserError
from ssljax.evals import Scores, linear
from ssljax.evals.knn import Knn
from ssljax.metrics.linear import ProbeResult
from ssljax.run.experiment import Experiment

SMALL = {
    "evals__final": "('knn','linear')",
    "evals__train_split": "train[:120]",
    "evals__test_split": "test[:40]",
    "evals__knn__neighbors": "((5, 0.1),)",
    "evals__baselines": False,
    "evals__batch_size": 64,
}


def opened(tmp_path, **changes):
    config = main.parse(runs.arguments(tmp_path / "run", **(SMALL | changes))).config
    configs.check(config)
    return Experiment(config)


def scores(path):
    return json.loads(path.read_text())


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"evals__knn__neighbors": "((121, 0.1),)"},
            r"asks for 121 neighbours, and digits/train\[:120\] has 120 labelled images"),
        ({"evals__final": "('few_label',)", "evals__few_label__labels": "(1, 40)"},
            "asks for 40 labels of each class, and the class '.' of digits/train"),
        ({"evals__stages": "stage9"}, "no stage 'stage9': set config.evals.stages to some of"),
        ({"evals__final": "('classifier',)"}, "simclr has no classifier of its own"),
        ({"evals__test_split": "dev"}, "'dev'"),
        ({"checkpoint__best": "knn5"}, "nothing is evaluated before the end"),
        ({"checkpoint__best": "knn_5", "evals__knn__every": 2, "checkpoint__every": 2},
            "best='knn_5' is not a score that is computed before the end .* there are knn5"),
        ({"checkpoint__best": "linear", "evals__knn__every": 2, "checkpoint__every": 2},
            "best='linear' is not a score .* there are knn5"),
        ({"checkpoint__best": "knn5", "evals__knn__every": 2, "checkpoint__every": 3},
            "do not meet before the last of 6 steps"),
    ],
)  # fmt: skip
def test_what_cannot_be_scored_later_is_refused_now(tmp_path, changes, wanted):
    with pytest.raises(UserError, match=wanted):
        evaluate.Evaluator(opened(tmp_path, **changes)).check()


def test_a_check_decodes_no_image(tmp_path, monkeypatch):
    monkeypatch.setattr(fields, "open_image", lambda *_, **__: pytest.fail("It was decoded."))
    best = {"checkpoint__best": "labels_3", "checkpoint__every": 2}
    probes = {"evals__final": "('knn','linear','few_label')", "evals__few_label__every": 2}
    few = {"evals__few_label__labels": "(0.5, 3.0)"}
    evaluate.Evaluator(opened(tmp_path, **best, **probes, **few)).check()


def test_one_failure_leaves_the_other_scores(tmp_path, monkeypatch):
    experiment = opened(tmp_path, evals__baselines=True)
    calls = []

    def probe(*sets, epochs):
        calls.append(epochs)
        if len(calls) == 2:
            raise RuntimeError("There is no room.")
        return ProbeResult(0.5, 0.5, 0.1, 0.0)

    monkeypatch.setattr(linear, "linear_probe", probe)
    evaluator = evaluate.Evaluator(experiment)
    (tmp_path / "run").mkdir()
    with pytest.raises(MissingScores, match=r"linear of the random network \(There is no room.\)"):
        evaluator.report(experiment.init(), tmp_path / "run")
    found = scores(tmp_path / "run" / "scores.json")
    assert {row: set(by_name) for row, by_name in found["scores"].items()} == {
        "raw pixels": {"knn5", "linear"},
        "random network": {"knn5"},
        "trained network": {"knn5", "linear"},
    }
    assert found["errors"] == {"random network": {"linear": "There is no room."}}
    # The state is that of step 0, and what is measured of it is the random network.
    assert found["scores"]["trained network"]["knn5"] == found["scores"]["random network"]["knn5"]
    # While a run trains, the others are told just so.
    calls[:] = [None]
    assert set(evaluator.score(experiment.init(), ("linear", "knn")).values) == {"knn5"}


def test_an_interrupted_evaluation_goes_on_where_it_stopped(tmp_path, monkeypatch):
    experiment = opened(tmp_path, evals__baselines=True)
    (tmp_path / "run").mkdir()
    made = []

    def interrupted(self, run, state):
        made.append("linear")
        if len(made) == 4:
            raise KeyboardInterrupt
        return Scores({"linear": 0.25})

    def knn(self, run, state):
        made.append("knn")
        return Scores({"knn5": 0.5})

    monkeypatch.setattr(linear.Linear, "score", interrupted)
    monkeypatch.setattr(Knn, "score", knn)
    state = experiment.init()
    with pytest.raises(KeyboardInterrupt):
        evaluate.Evaluator(experiment).report(state, tmp_path / "run")
    assert made == ["knn", "linear", "knn", "linear"]
    before = scores(tmp_path / "run" / "scores.json")
    assert not before["complete"]
    assert before["finished"] == {"raw pixels": ["knn", "linear"], "random network": ["knn"]}
    again = evaluate.Evaluator(experiment)
    table = again.report(state, tmp_path / "run")
    assert made[4:] == ["linear", "knn", "linear"]
    rows = ("raw pixels", "random network", "trained network")
    assert table == {row: {"knn5": 0.5, "linear": 0.25} for row in rows}
    # A whole sheet is made anew.
    again.report(state, tmp_path / "run")
    assert len(made) == 4 + 3 + 6


def test_images_without_a_label_are_left_out_and_told(tmp_path, monkeypatch, caplog):
    probes = ("knn", "linear", "few_label")
    few = {"evals__few_label__labels": "(4.0,)", "evals__few_label__seeds": 2}
    experiment = opened(tmp_path, evals__final=str(probes), evals__linear__epochs=2, **few)
    rng = np.random.default_rng(0)
    sets = {
        "train[:120]": (rng.integers(0, 256, (90, 8, 8)).astype(np.uint8), np.arange(90) % 3),
        "test[:40]": (rng.integers(0, 256, (30, 8, 8)).astype(np.uint8), np.arange(30) % 3),
    }

    def score(hidden):
        def fake(name, split, **_):
            images, labels = sets[split]
            known = np.where(np.isin(np.arange(len(labels)), hidden), -1, labels)
            source = data.ArraySource(images, known, name=name, split=split)
            source.num_classes, source.class_names = 3, ("a", "b", "c")
            return source

        monkeypatch.setattr(data, "open_source", fake)
        evaluator = evaluate.Evaluator(experiment)
        evaluator.check()
        return evaluator.score(experiment.init(), probes).values

    partly = score(range(10, 20))
    assert {"knn5", "linear", "labels_4"} < set(partly)
    told = [line for line in caplog.messages if "have no label" in line]
    assert len(told) == 2
    assert "10 images of digits/test[:40] have no label" in told[0]
    assert "the other 20" in told[0]
    hidden = [*range(10, 20)]
    kept = {name: np.delete(np.arange(len(y)), hidden) for name, (_, y) in sets.items()}
    sets = {name: (x[kept[name]], y[kept[name]]) for name, (x, y) in sets.items()}
    assert score(()) == partly
    with pytest.raises(UserError, match="None of the images of digits/test"):
        score(range(90))


def test_scores_of_a_checkpoint_stand_beside_those_of_the_run(tmp_path, monkeypatch, capsys):
    def probe(*sets, epochs):
        if epochs == 3:
            raise RuntimeError("There is no room.")
        return ProbeResult(0.5, 0.5, 0.1, 0.0)

    monkeypatch.setattr(linear, "linear_probe", probe)
    command = runs.arguments(tmp_path / "run", **SMALL, steps=2)
    assert main.main(command) == 0
    own = scores(tmp_path / "run" / "scores.json")
    assert own["complete"]
    assert own["settings"]["evals.knn.neighbors"] == [[5, 0.1]]
    before = (tmp_path / "run" / "scores.json").read_bytes()
    evaluation = [*command, "--mode=evaluate"]
    assert main.main(evaluation) == 0
    assert main.main([*evaluation, "--config.evals.stages=stage1"]) == 0
    capsys.readouterr()
    assert main.main([*evaluation, "--config.evals.linear.epochs=3"]) == 1
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("ssljax")]
    assert "linear of the trained network (There is no room.)" in line
    assert (tmp_path / "run" / "scores.json").read_bytes() == before
    names = [
        "scores-digits-features-step2-2.json",
        "scores-digits-features-step2.json",
        "scores-digits-stage1-step2.json",
        "scores.json",
    ]
    assert sorted(path.name for path in (tmp_path / "run").glob("scores*.json")) == names
    again = scores(tmp_path / "run" / "scores-digits-features-step2.json")
    assert again["scores"] == own["scores"]
    failed = scores(tmp_path / "run" / "scores-digits-features-step2-2.json")
    assert set(failed["scores"]["trained network"]) == {"knn5"}
    assert failed["settings"]["evals.linear.epochs"] == 3


def test_a_workdir_that_cannot_be_written_is_told_before_it_is_scored(
    tmp_path, monkeypatch, capsys
):
    command = runs.arguments(tmp_path / "run", **(SMALL | {"evals__final": "()", "steps": 1}))
    assert main.main(command) == 0

    def refuse(path, _):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(paths, "write", refuse)
    monkeypatch.setattr(Knn, "score", lambda *_: pytest.fail("it was scored"))
    command = runs.arguments(tmp_path / "run", **(SMALL | {"steps": 1}))
    assert main.main([*command, "--mode=evaluate"]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert "scores-digits-features-step1.json cannot be read or written (Permission" in told
