"""A method of clips is asked about clips of the test split, and its encoder about single frames."""

from tiny import tiny_config

from ssljax.evals import Knn, Pretext, Run
from ssljax.run.experiment import Experiment


def test_questions_are_about_clips_and_probes_about_frames():
    config = tiny_config("tracking")
    config.evals.update(batch_size=16, stages=("features",))
    config.evals.knn.neighbors = ((3, 0.07),)
    experiment = Experiment(config)
    run, state = Run(experiment), experiment.init()
    assert Pretext().check(run) == ("ranking_accuracy",)
    found = Pretext().score(run, state)
    assert 0.0 < found.values["ranking_accuracy"] <= 1.0
    # Eight tracks, of each both patches, the nearest other one and a mark.
    sides = [8 * 24, 4 * 24]
    shown = found.pictures["pretext"]
    assert all(0 <= x - side < 24 for x, side in zip(shown.shape[:2], sides, strict=True))
    # Of each of the three videos five tracks of two frames, and the videos are the classes.
    frames = run.open("test")
    assert (len(frames), frames.source.num_classes) == (30, 3)
    assert frames.source.fields.keys() == {"image", "label"}
    config.evals.train_split = "test"
    assert Knn().score(run, state).values.keys() == {"knn3"}
