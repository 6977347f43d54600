"""Which runs the comparison of detectors makes, and what stands in its table."""

from benchmarks import detection_runs, evidence, runs
from ssljax.config import file as config_file


def result(ap, seconds=60.0):
    def scores(value):
        return dict.fromkeys(("ap", "ap50", "ap75", "voc12", "voc07"), value)

    rows = {"random network": scores(0.001), "trained network": scores(ap)}
    return {"scores": rows, "seconds": seconds}


def test_the_detectors_differ_in_their_encoders_alone(tmp_path, monkeypatch):
    asked = []

    def run(config, workdir, *changes, cores=None):
        asked.append((config, workdir.name, changes))
        return result(0.1 * len(asked))

    monkeypatch.setattr(runs, "run", run)
    command = ["evidence", "--family=detection", "--data_dir=DIR", f"--out={tmp_path}"]
    monkeypatch.setattr("sys.argv", [*command, "--seeds=1"])
    evidence.main()
    detect = "detect/bccd:cpu"
    assert [(config, name) for config, name, _ in asked] == [
        ("simclr/cifar10:cpu", "encoder_0"),
        (detect, "random_0"),
        (detect, "simclr_0"),
        (detect, "random_frozen_0"),
        (detect, "simclr_frozen_0"),
    ]
    encoder, scratch, taught, frozen, both = (changes for *_, changes in asked)
    start = f"--config.init.workdir={tmp_path / 'detection' / 'encoder_0'}"
    assert taught == (*scratch, start)
    assert frozen == (*scratch, "--config.method.train_encoder=false")
    assert both == (*taught, "--config.method.train_encoder=false")
    assert "--config.data.name=tiny_imagenet_100" in encoder
    assert not any("boxes" in change for change in encoder)
    text = (tmp_path / "detection.md").read_text().splitlines()
    assert text[-5] == "| untrained network | 0.1 | 0.1 | 0.1 | 0.1 | 0.1 | | |"
    assert text[-3] == "| simclr | 30.0 | 30.0 | 30.0 | 30.0 | 30.0 | 1 | 1.0 |"


def test_the_encoders_are_of_one_form(tmp_path, monkeypatch):
    asked = {}
    monkeypatch.setattr(
        runs, "run", lambda config, workdir, *changes, cores=None: asked.update({config: changes})
    )
    args = type("Asked", (), {"data_dir": "DIR", "out": tmp_path})
    detection_runs.make_encoder(args, 0)
    changes = asked["simclr/cifar10:cpu"]
    detector = config_file.load(detection_runs.CONFIG)
    told = dict(change.removeprefix("--config.").split("=", 1) for change in changes)
    for key in ("name", "widths", "convs_per_stage", "stem_stride"):
        assert told[f"model.encoder.{key}"] == str(detector.model.encoder[key])
    assert told["method.view.mean"] == str(tuple(detector.method.view.mean))
