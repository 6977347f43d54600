"""The config of video colorization: the authors' numbers, and the size of its maps."""

import jax
import jax.numpy as jnp
import pytest
from published import check, load, numbers

from ssljax import methods
from ssljax.methods.contract import Task
from ssljax.run.step import init_state

PATH = "video_colorization/kinetics.py"
# As in `test_published`.
PUBLISHED = {
    PATH: {
        "batch_size": 32,
        "steps": 400_000,
        "data.frames": 4,
        "data.image_size": 256,
        "method.references": 3,
        "method.clusters": 16,
        "method.embedding_dim": 64,
        "method.head_layers": 5,
        "method.temperature": 1.0,
        "method.test_temperature": 0.5,
        "method.view.size": 256,
        "method.view.flip_p": 0.0,
        "model.encoder.name": "resnet18",
        "model.encoder.output_stride": 8,
        "optimizer.name": "adam",
        "rate": 1e-4,
    }
}


@pytest.mark.parametrize(("path", "key"), numbers(PUBLISHED))
def test_the_authors_number(path, key):
    check(PUBLISHED, path, key)


def test_embeddings_are_of_every_eighth_pixel():
    config = load(PATH)
    method = methods.build(config, Task((256, 256, 3), 32, 400_000, 100.0, num_images=10**6))

    def answer(clip):
        state = init_state(method, jax.random.key(0))
        question = method.pretext.ask(jax.random.key(0), {"clip": clip})
        weights = {"params": state.params["online"], **state.variables["online"]}
        return question.targets["ab"], method.network.apply(weights, question.inputs, False)

    clip = jax.ShapeDtypeStruct((1, 4, 256, 256, 3), jnp.uint8)
    ab, outputs = jax.eval_shape(answer, clip)
    assert outputs["embeddings"].shape == (1, 4, 32, 32, 64)
    assert ab.shape == (1, 4, 32, 32, 2)
