"""The directory of a run: what it remembers, what may change, and what is wrong with it."""

import json
import pathlib

import pytest
import runs
from ml_collections import ConfigDict
from ml_collections.config_flags import config_flags

from ssljax import main
from ssljax.config.base import base_config
from ssljax.errors import UserError
from ssljax.run import workdir


@pytest.fixture
def config() -> ConfigDict:
    return config_flags.ConfigFileFlagParser("config").parse(str(runs.DIGITS))


@pytest.fixture
def trained(tmp_path, config) -> pathlib.Path:
    """A workdir that looks like that of a run with a checkpoint of step 3."""
    workdir.prepare(tmp_path)
    workdir.record(config, tmp_path, 0)
    (tmp_path / "checkpoints" / "3").mkdir()
    return tmp_path


def _config(directory) -> dict:
    return json.loads((directory / "config.json").read_text())


def test_a_workdir_remembers_its_config(trained, config, caplog):
    environment = json.loads((trained / "environment.json").read_text())
    assert len(environment["devices"]) == 8
    assert environment["versions"]["jax"] != "absent"
    # What does not change what is learnt may change.
    config.data.dir = "elsewhere"
    config.evals.knn.every = 3
    config.mesh.fsdp = 2
    with caplog.at_level("INFO", "ssljax"):
        assert set(workdir.check(config, trained)) == {"data.dir", "evals.knn.every", "mesh.fsdp"}
    assert "config.evals.knn.every is 3; the run has 0." in caplog.text
    workdir.record(config, trained, 3)
    assert _config(trained)["evals.knn.every"] == 3
    assert workdir.check(config, trained) == {}
    config.method.temperature = 0.7
    config.batch_size = 8
    for compare in (workdir.check, workdir.check_resumed):
        with pytest.raises(
            UserError, match=r"batch_size was 256 and is 8; method.temperature was"
        ) as e:
            compare(config, trained)
        assert str(trained) in str(e.value)
    with pytest.raises(UserError, match="batch_size was 256"):
        workdir.record(config, trained, 3)
    assert _config(trained)["batch_size"] == 256


def test_keys_that_an_older_config_lacks_have_the_values_of_what_those_runs_did(trained, config):
    file = trained / "config.json"
    older = _config(trained)
    for key in ("data.crop", "data.range", "data.frames", "data.mask_key", "data.void"):
        del older[key]
    file.write_text(json.dumps(older))
    assert workdir.check_resumed(config, trained) == {}
    config.data.crop = "host"
    with pytest.raises(UserError, match=r"data\.crop was 'device' and is 'host'"):
        workdir.check_resumed(config, trained)


@pytest.mark.parametrize("name", ["bag_of_words", "super_resolution", "simclr"])
def test_a_run_that_was_recorded_before_keys_were_added_goes_on(tmp_path, name):
    config = base_config(name)
    kept = {"bag_of_words": {"center": 1.0}}.get(name, {})
    config.method.update(kept)
    workdir.prepare(tmp_path)
    workdir.record(config, tmp_path, 0)
    (tmp_path / "checkpoints" / "3").mkdir()
    added = ("optimizer.hold", "optimizer.end_factor", "method.center", "method.extractor")
    groups = ("embed.", "translate.", "evals.mlp.", "evals.reconstruction.", "evals.translation.")
    older = {
        key: value
        for key, value in _config(tmp_path).items()
        if key not in added and not key.startswith(groups)
    }
    (tmp_path / "config.json").write_text(json.dumps(older))
    assert workdir.check_resumed(config, tmp_path) == {}
    config.optimizer.hold = 0.5
    with pytest.raises(UserError, match=r"optimizer\.hold was 0\.0 and is 0\.5"):
        workdir.check_resumed(config, tmp_path)


def test_a_run_that_looked_at_whole_images_is_not_resumed_with_their_centre(tmp_path):
    config = base_config("bag_of_words")
    workdir.prepare(tmp_path)
    workdir.record(config, tmp_path, 0)
    (tmp_path / "checkpoints" / "3").mkdir()
    older = _config(tmp_path)
    del older["method.center"]
    (tmp_path / "config.json").write_text(json.dumps(older))
    with pytest.raises(UserError, match=r"method\.center was 1\.0 and is 0\.875"):
        workdir.check_resumed(config, tmp_path)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("bag_of_words", "center", 1.0),
        ("pix2pix", "rule", "none"),
        ("super_resolution", "extractor", ""),
    ],
)
def test_another_run_may_start_from_one_that_was_recorded_before_keys_were_added(name, key, value):
    config = base_config(name)
    older = ConfigDict(config.to_dict())
    del older.method[key]
    completed = workdir.complete(older)
    assert completed.method[key] == value
    completed.method[key] = config.method[key]
    assert completed.to_dict() == config.to_dict()


def test_a_run_goes_on_that_was_recorded_before_a_task_or_an_option_of_encoders_was_there(tmp_path):
    config = base_config("multi_task")
    config.method.tasks = ("rotation", "jigsaw")
    config.method.motion_segmentation.places = 8  # As the configs of today set it.
    workdir.prepare(tmp_path)
    workdir.record(config, tmp_path, 0)
    (tmp_path / "checkpoints" / "3").mkdir()
    groups = ("method.frames.", "method.motion_segmentation.", "model.encoder.registers")
    older = {
        key: value
        for key, value in _config(tmp_path).items()
        if not key.startswith((*groups, "method.counting.noise", "model.encoder.layer_scale"))
    }
    (tmp_path / "config.json").write_text(json.dumps(older))
    assert workdir.check_resumed(config, tmp_path) == {}
    config.model.encoder.registers = 4
    with pytest.raises(UserError, match=r"registers was 0 and is 4"):
        workdir.check_resumed(config, tmp_path)


def test_a_run_may_start_from_one_of_several_tasks_that_lacks_a_new_one():
    config = base_config("multi_task")
    older = ConfigDict(config.to_dict())
    del older.method["frames"], older.method["motion_segmentation"]
    assert workdir.complete(older).to_dict() == config.to_dict()


def test_other_devices_are_told_where_a_run_goes_on(trained, config, caplog):
    file = trained / "environment.json"
    environment = json.loads(file.read_text())
    with caplog.at_level("INFO", "ssljax"):
        workdir.record(config, trained, 3)
        assert "the run is on" not in caplog.text
        file.write_text(json.dumps(environment | {"devices": ["cpu 0"]}))
        workdir.record(config, trained, 4)
        assert "From step 4 on the run is on 8 x cpu, before it was on 1 x cpu" in caplog.text
        caplog.clear()
        file.write_text("damaged")
        workdir.record(config, trained, 5)
    assert caplog.text == ""
    assert json.loads(file.read_text()) == environment


def test_the_option_that_a_refusal_names_lets_the_change_through_and_is_remembered(
    trained, config, capsys
):
    config.method.temperature = 0.7
    config.optimizer.learning_rate = 0.01
    with pytest.raises(UserError) as error:
        workdir.check_resumed(config, trained)
    option = str(error.value).split('--config.resume.accept="')[1].split('"')[0]
    command = [
        "ssljax",
        f"--config={runs.DIGITS}",
        "--workdir=x",
        f"--config.resume.accept={option}",
    ]
    config.resume.accept = main.parse(command).config.resume.accept
    assert config.resume.accept == ("method.temperature", "optimizer.learning_rate")
    workdir.record(config, trained, 3)
    assert _config(trained)["method.temperature"] == 0.7
    lines = [json.loads(line) for line in (trained / "changes.jsonl").read_text().splitlines()]
    assert [(line["step"], line["key"], line["now"]) for line in lines] == [
        (3, "method.temperature", 0.7),
        (3, "optimizer.learning_rate", 0.01),
    ]
    assert lines[0]["before"] == 0.2
    # It holds from then on, without the option and without a second line.
    config.resume.accept = ()
    workdir.record(config, trained, 4)
    assert len((trained / "changes.jsonl").read_text().splitlines()) == 2
    # Evaluating reads what was learnt with these values, and accepts no others.
    config.batch_size, config.resume.accept = 8, ("batch_size",)
    with pytest.raises(UserError, match="batch_size was 256 and is 8"):
        workdir.check(config, trained)


def test_a_first_try_that_saved_nothing_binds_nobody(trained, config):
    config.batch_size = 8
    (trained / "checkpoints" / "3").rmdir()
    (trained / "checkpoints" / "3.orbax-checkpoint-tmp-1").mkdir()
    workdir.record(config, trained, 0)
    assert _config(trained)["batch_size"] == 8
    assert not (trained / "changes.jsonl").exists()


@pytest.mark.parametrize("content", ["", "{", "3", "[1, 2]", "null", '"steps"'])
def test_a_damaged_record_is_named(trained, config, content):
    (trained / "config.json").write_text(content)
    for compare in (workdir.check, workdir.check_resumed):
        with pytest.raises(UserError, match=r"config\.json is damaged .*: restore it"):
            compare(config, trained)


def test_bytes_that_are_no_text_are_damage_too(trained, config):
    (trained / "config.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"config\.json is damaged"):
        workdir.check(config, trained)


@pytest.mark.parametrize(
    ("file", "run", "told"),
    [
        ("run", "run", "run is not a directory"),
        ("above", "above/run", "above/run is not a directory, or lies under a file"),
        ("run/checkpoints", "run", "checkpoints is not a directory"),
        ("run/tensorboard", "run", "tensorboard is not a directory: move it away"),
    ],
)
def test_a_file_in_the_place_of_a_directory_is_named(tmp_path, capsys, file, run, told):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("a file")
    assert main.main(runs.arguments(tmp_path / run)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert told in lines[-1]
    assert sum(line.startswith("ssljax: ") for line in lines) == 1
    assert "Traceback" not in "".join(lines)
    assert (tmp_path / file).read_text() == "a file"


def test_what_the_system_refuses_is_told_with_its_place(tmp_path, capsys, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", str(tmp_path / "run"))

    monkeypatch.setattr(pathlib.Path, "mkdir", refuse)
    assert main.main(runs.arguments(tmp_path / "run")) == 2
    assert f"{tmp_path / 'run'} cannot be read or written (Permission denied)" in (
        capsys.readouterr().err
    )
