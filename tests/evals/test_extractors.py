"""Extractors: what a run's encoder is called, what it gives, and when it is another one."""

import jax
import numpy as np
import pytest
import runs

from ssljax import evals, main, mesh
from ssljax.errors import UserError
from ssljax.evals.extractors import open_extractor
from ssljax.evaluate import newest_state
from ssljax.run.experiment import Experiment

SHAPE = (8, 8, 1)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "simclr"
    assert main.main(runs.arguments(folder, steps=1)) == 0
    return folder


def opened(workdir):
    return open_extractor(str(workdir), SHAPE, mesh.make_mesh())


def test_a_run_is_named_by_method_data_and_step_and_gives_its_features(workdir):
    extractor = opened(workdir)
    assert (extractor.name, extractor.resizer) == ("simclr-digits-step1", "none")
    assert extractor.logits is None
    experiment = Experiment(main.parse(runs.arguments(workdir, steps=1)).config)
    state = newest_state(experiment, workdir)
    images = experiment.load(experiment.source)["image"][:16]
    wanted = evals.pool(jax.jit(experiment.method.features)(state, images)["features"])
    np.testing.assert_allclose(extractor.features(images), wanted, rtol=1e-5, atol=1e-6)


def test_the_digest_is_that_of_the_weights(workdir):
    before = opened(workdir)
    assert opened(workdir).digest == before.digest
    assert main.main(runs.arguments(workdir.parent / "seed", steps=1, seed=1)) == 0
    after = opened(workdir.parent / "seed")
    assert after.name == before.name
    assert after.digest != before.digest


def test_what_is_no_extractor_is_told(workdir, tmp_path):
    with pytest.raises(UserError, match=r"trained on images of 8x8x1 .* of 9x9x1"):
        open_extractor(str(workdir), (9, 9, 1), mesh.make_mesh())
    (tmp_path / "checkpoints").mkdir()
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(UserError, match="is neither a safetensors file nor the --workdir"):
            opened(path)
    (tmp_path / "file").write_bytes(b"no tensors")
    with pytest.raises(UserError, match="cannot be read"):
        opened(tmp_path / "file")
