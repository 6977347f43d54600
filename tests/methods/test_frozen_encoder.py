"""The encoder of a run, as networks are compared by it: how its images are normalised."""

import dataclasses

import pytest

from ssljax.methods.frozen_encoder import encoder_of
from ssljax.methods.pretext.jigsaw import Jigsaw
from ssljax.methods.pretext.multi_task import MultiTask
from ssljax.methods.pretext.rotation import Rotation
from ssljax.methods.transfer.finetune import Finetune


def fine_tuned(tiny, source):
    return Finetune(tiny.config(Finetune), dataclasses.replace(tiny.task, source=source))


def test_a_fine_tuned_encoder_sees_images_normalised_as_its_pretext_task_has_them(tiny):
    config = tiny.config(Rotation)
    config.method.view.update(mean=(0.4,), std=(0.2,))
    method = fine_tuned(tiny, Rotation(config, tiny.task))
    found = encoder_of(method)
    assert found.network is method.network.encoder
    assert (found.view.mean, found.view.std) == ((0.4,), (0.2,))
    assert method.view.mean is None


@pytest.mark.parametrize(
    ("kind", "keys"),
    [(Jigsaw, dict(permutations=3)), (MultiTask, dict(tasks=("rotation",)))],
)
def test_a_fine_tuned_encoder_of_other_than_whole_images_is_refused(tiny, kind, keys):
    method = fine_tuned(tiny, tiny.build(kind, **keys))
    with pytest.raises(ValueError, match=f"that of {kind.__name__}, which is not given whole"):
        encoder_of(method)
