"""What is told of a mistake in the optimizer's config."""

import pytest

from ssljax import optimizers
from ssljax.errors import UserError

RUN = {"total_steps": 8, "steps_per_epoch": 4, "batch_size": 512}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nmae": "sgd"}, "no setting 'nmae': did you mean 'name'"),
        ({"name": "sdg"}, "name is 'sdg': choose one of sgd"),
        ({"scaling": "square"}, "scaling is 'square'"),
        ({"schedule": "square"}, "schedule is 'square'"),
        ({"learning_rate": -0.1}, "learning_rate is -0.1"),
        ({"momentum": 1.0}, "momentum is 1.0"),
        ({"end_factor": 0.0}, "end_factor is 0.0: it must be a number above 0"),
        ({"hold": 1.0}, "hold is 1.0"),
        ({"decay_from": 0.5}, "no setting 'decay_from'"),
        ({"accumulate": 0}, "accumulate is 0"),
        ({"warmup_steps": 1, "warmup_epochs": 1.0}, "give one of them"),
        ({"schedule": "step"}, "either step_epochs or step_fractions"),
        ({"name": "rmsprop", "weight_decay": 0.1}, "'rmsprop', .* choose 'adamw'"),
        ({"exclude": "bias"}, "give a list"),
    ],
)
def test_mistakes_are_told_in_a_sentence(change, message):
    config = {"name": "sgd", "learning_rate": 0.1} | change
    with pytest.raises(UserError, match=message):
        optimizers.build(config, **RUN)


def test_a_missing_learning_rate_is_told():
    with pytest.raises(UserError, match="lacks 'learning_rate'"):
        optimizers.build({"name": "sgd"}, **RUN)
