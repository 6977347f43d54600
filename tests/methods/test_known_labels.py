"""An image without a label, of label -1, weighs nothing in what learns from labels."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from ssljax.methods.adversarial import cgan, sgan
from ssljax.methods.joint_embedding import simclr
from ssljax.methods.known_labels import classify, mean_known
from ssljax.methods.transfer import distill, finetune, one_vs_rest
from ssljax.methods.transfer.distill import Distill
from ssljax.methods.transfer.finetune import Finetune
from ssljax.methods.transfer.one_vs_rest import balanced_accuracy


@pytest.fixture
def scored():
    rng = np.random.default_rng(0)
    labels = np.array([2, -1, 0, 1, -1, 2, 2, -1], np.int32)
    return rng.normal(size=(8, 3)).astype(np.float32), labels


def test_loss_and_accuracy_are_those_of_the_labelled_rows(scored):
    logits, labels = scored
    loss, metrics = classify(jnp.asarray(logits), jnp.asarray(labels))
    kept = np.flatnonzero(labels >= 0)
    wide = logits[kept].astype(np.float64)
    expected = np.log(np.exp(wide).sum(1)) - wide[np.arange(len(kept)), labels[kept]]
    assert float(loss) == pytest.approx(expected.mean(), rel=1e-6)
    hits = wide.argmax(1) == labels[kept]
    assert float(metrics["accuracy"]) == pytest.approx(hits.mean())
    assert float(metrics["labelled"]) == 5 / 8


def test_unlabelled_rows_get_no_gradient(scored):
    logits, labels = scored
    gradient = jax.grad(lambda x: classify(x, jnp.asarray(labels))[0])(jnp.asarray(logits))
    assert np.any(np.asarray(gradient[labels >= 0]), axis=1).all()
    assert not np.any(gradient[labels < 0])


def test_a_batch_without_labels_teaches_nothing(scored):
    logits, labels = jnp.asarray(scored[0]), jnp.full(8, -1)
    loss, gradient = jax.value_and_grad(lambda x: classify(x, labels)[0])(logits)
    assert float(loss) == 0
    assert not np.any(gradient)
    # Whatever stands in a row that is left out, even NaN, is left out.
    assert float(mean_known(jnp.array([jnp.nan, 3.0]), jnp.array([-1, 0]))) == 3


def test_balanced_accuracy_counts_known_rows_alone():
    logits = jnp.array([1.0, -1.0, 1.0, -1.0, 1.0])
    positive = jnp.array([True, True, False, False, False])
    known = jnp.array([True, True, False, True, True])
    # One of two positives is right; of the two negatives that are known one is.
    assert float(balanced_accuracy(logits, positive, known)) == 0.5
    assert float(balanced_accuracy(logits, positive)) == pytest.approx((1 / 2 + 1 / 3) / 2)


@pytest.mark.parametrize("hidden", [3, 15])
def test_finetuning_scores_the_labelled_images_of_a_batch(tiny, hidden):
    method = tiny.build(Finetune)
    start = tiny.init(method)
    kernel = jax.random.normal(jax.random.key(3), (16, 3))
    params = start.params["online"] | {"classifier": {"kernel": kernel, "bias": jnp.zeros(3)}}
    start = start.replace(params={"online": params})
    images = tiny.views()[0]
    labels = np.arange(16) % 3
    outputs, _ = tiny.outputs(method.network, params, start.variables["online"], images)
    chances = jax.nn.log_softmax(outputs["logits"].astype(jnp.float32))
    labels[:hidden] = -1
    shown = np.arange(hidden, 16)
    value, _ = tiny.loss(method, start, {"image": images, "label": jnp.asarray(labels)})
    assert value == pytest.approx(-float(np.mean(chances[shown, labels[shown]])), rel=1e-5)


def test_a_student_learns_labels_by_their_names(tiny):
    taught = dataclasses.replace(tiny.task, class_names=("ant", "bee", "cat"))
    teacher = Finetune(tiny.config(Finetune), taught)
    assert teacher.class_names == taught.class_names

    def student(*names):
        task = dataclasses.replace(
            tiny.task, num_classes=len(names), class_names=names, source=teacher
        )
        return Distill(tiny.config(Distill, alpha=0.5), task)

    method = student("cat", "ant")
    assert method.class_names == ("ant", "bee", "cat")
    images = tiny.batch(0)["images"]["image"][:3, 0]
    batch = {"images": {"image": images, "label": jnp.array([0, -1, 1])}}
    assert method.views(jax.random.key(0), batch)["label"].tolist() == [2, -1, 0]
    with pytest.raises(ValueError, match=r"class 'dog', and the teacher was trained without it"):
        student("ant", "dog", "cat")


def test_methods_say_which_labels_they_read():
    def read(kind, **changes):
        config = kind.default_config()
        config.update(changes)
        feeds = kind.feeds(ConfigDict({"method": config}))
        return {name: feed.unlabelled for name, feed in feeds.items() if "label" in feed.fields}

    assert read(simclr.SimCLR) == {}
    for kind in (finetune.Finetune, one_vs_rest.OneVsRest):
        assert read(kind) == {"images": "as_found"}
    assert read(sgan.SGAN) == {"labelled": "left_out"}
    assert read(distill.Distill) == {}
    assert read(distill.Distill, alpha=0.9) == {"images": "seen"}
    assert read(cgan.CGAN) == {"images": "refused"}
