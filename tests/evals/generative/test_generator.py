"""From a generator to its scores."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import mesh, metrics
from ssljax.errors import UserError
from ssljax.evals import generative

SHAPE = (4, 4, 1)
DIM, CLASSES = 6, 5
_rng = np.random.default_rng(0)
WEIGHTS = _rng.normal(size=(16, DIM)).astype(np.float32) / 400
CLASSIFIER = _rng.normal(size=(DIM, CLASSES)).astype(np.float32)


def extract(images):
    return images.reshape(len(images), -1).astype(np.float32) @ WEIGHTS


def extractor(logits=True, seen=None):
    @jax.jit
    def features(images):
        flat = images.reshape(images.shape[0], -1).astype(jnp.float32)
        return jnp.matmul(flat, WEIGHTS, precision="highest")

    def counted(images):
        if seen is not None and not isinstance(images, jax.core.Tracer):
            seen.append(len(images))
        return features(images)

    return generative.Extractor(
        name="tiny-step7",
        features=counted,
        resizer="none",
        digest=generative.digest_weights(WEIGHTS),
        logits=(lambda x: x @ CLASSIFIER) if logits else None,
    )


def reals(count=70):
    return np.random.default_rng(1).integers(0, 256, (count, *SHAPE), dtype=np.uint8)


@jax.jit
def _twenty(key):
    return jax.random.randint(key, (20, *SHAPE), 0, 200).astype(jnp.uint8)


def sample(key, n):
    assert n == 20
    return _twenty(key)


def batches(images, labels=None):
    """The images as a reader gives them, in batches of 24 with a row left out now and then."""
    labels = np.full(len(images), -1) if labels is None else labels
    rows = np.arange(len(images))
    room = np.full(-(-(len(images) + len(images) // 5) // 24) * 24, -1)
    room[rows + rows // 5] = rows
    return [
        {
            "image": np.where(part[:, None, None, None] < 0, 99, images[part]).astype(np.uint8),
            "label": labels[part].astype(np.int32),
            "index": part.astype(np.int32),
        }
        for part in room.reshape(-1, 24)
    ]


def evaluate(images=None, labels=None, num_classes=None, cache=None, metrics=None, **changes):
    given = {
        "sample": sample,
        "extractor": extractor(),
        "key": jax.random.key(3),
        "count": 50,
        "mesh": mesh.make_mesh(),
        "batch_size": 20,
    } | changes
    images = reals() if images is None else images
    reference = generative.measure_reference(
        batches(images, labels),
        given["extractor"],
        dataset="digits",
        split="train",
        image_shape=images.shape[1:],
        num_classes=num_classes,
        count=len(images),
        mesh=given["mesh"],
        cache=cache,
    )
    fake = generative.measure_samples(image_shape=images.shape[1:], **given)
    wanted = {} if metrics is None else {"metrics": metrics}
    return generative.compare(fake, reference, given["extractor"], **wanted)


def drawn(count=50):
    keys = [jax.random.fold_in(jax.random.key(3), i) for i in range(3)]
    return np.concatenate([np.asarray(_twenty(key)) for key in keys])[:count]


def test_classes_of_the_real_images_give_a_coverage_and_only_what_is_wanted_comes():
    labels = np.arange(70) % 3
    named = metrics.class_coverage(extract(drawn()), extract(reals()), labels, 3)
    wanted = ("class_kl", "classes_hit", "recall")
    scores = evaluate(labels=labels, num_classes=3, metrics=wanted)
    assert set(scores) == {"class_kl", "classes_hit", "recall"}
    assert (scores["class_kl"].value, scores["classes_hit"].value) == named
    assert set(evaluate(metrics=("fid", "class_kl"))) == {"fid"}
    none = {"labels": np.full(70, -1), "num_classes": 3}
    assert set(evaluate(**none, metrics=("fid", "class_kl"))) == {"fid"}


def test_scores_are_those_of_the_features_of_both_sets():
    fake, real = extract(drawn()), extract(reals())
    exact = [x.astype(np.float64) for x in (real, fake)]
    moments = [part for x in exact for part in (x.mean(axis=0), np.cov(x, rowvar=False))]
    kid = metrics.kernel_distance(fake, real, 100, 50)
    precision, recall = metrics.precision_recall(fake, real)
    inception = metrics.inception_score(fake @ CLASSIFIER)
    expected = {
        "fid": (metrics.frechet_distance(*moments), None),
        "kid": kid,
        "precision": (precision, None),
        "recall": (recall, None),
        "is": inception,
    }
    scores = evaluate()
    assert set(scores) == set(expected)
    for metric, (value, spread) in expected.items():
        np.testing.assert_allclose(scores[metric].value, value, rtol=1e-4)
        assert (scores[metric].spread is None) == (spread is None)
    assert scores["fid"].name == "fid_tiny-step7_n50_digits-train-70_none"
    assert scores["is"].name == "is_tiny-step7_n50_digits-train_none"


def test_one_device_and_eight_give_the_same_scores():
    one = jax.make_mesh((1, 1), mesh.AXES, devices=jax.devices()[:1])
    alone, together = evaluate(mesh=one), evaluate()
    for metric, score in alone.items():
        np.testing.assert_allclose(together[metric].value, score.value, rtol=1e-5)


def test_a_perfect_generator_is_recognised():
    rows = iter(np.split(reals(80), 4))
    scores = evaluate(sample=lambda key, n: next(rows), images=reals(80), count=80, batch_size=20)
    assert scores["fid"].value < 1e-5
    # Unbiased for independent draws, it is below 0 where each image meets its own copy.
    assert scores["kid"].value < 0
    assert scores["precision"].value == scores["recall"].value == 1.0


def test_without_logits_there_is_no_inception_score():
    assert "is" not in evaluate(extractor=extractor(logits=False))


def test_each_set_passes_once_and_the_real_one_is_kept(tmp_path, caplog):
    seen = []
    first = evaluate(extractor=extractor(seen=seen), cache=tmp_path)
    assert len(seen) == 4 + 3
    again = evaluate(extractor=extractor(seen=seen), cache=tmp_path)
    assert len(seen) == 4 + 3 + 3
    assert {m: s.value for m, s in first.items()} == {m: s.value for m, s in again.items()}
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"damaged")
    with caplog.at_level(logging.WARNING):
        repaired = evaluate(cache=tmp_path)
    assert "computed anew" in caplog.text
    assert repaired["fid"].value == first["fid"].value


def test_fewer_images_than_features_are_refused():
    with pytest.raises(UserError, match="take at least 6"):
        evaluate(count=5)
    seen = []
    with pytest.raises(UserError, match="4 real images are too few"):
        evaluate(images=reals(4), extractor=extractor(seen=seen))
    assert not seen


@pytest.mark.parametrize("broken", ["maps", "infinite"])
def test_features_that_cannot_be_compared_are_refused(broken):
    def features(images):
        x = images.astype(jnp.float32)
        return x if broken == "maps" else x.mean(axis=(1, 2)) / 0.0

    wrong = generative.Extractor(name="wrong", features=features, resizer="none", digest="00")
    with pytest.raises(ValueError, match=r"one row an image|not finite"):
        evaluate(extractor=wrong)


@pytest.mark.parametrize(
    "images",
    [np.zeros((20, *SHAPE), np.float32), np.zeros((20, 5, 4, 1), np.uint8)],
    ids=["floats", "shape"],
)
def test_images_unlike_the_real_ones_are_refused(images):
    with pytest.raises(ValueError, match="must give uint8"):
        evaluate(sample=lambda key, n: images)


def test_bytes_have_one_scale_for_every_image():
    found = generative.to_pixels(jnp.array([[-1.0, 0.0, 1.0], [-0.1, 0.0, 0.1], [-3.0, 0.5, 9.0]]))
    assert np.array_equal(found, [[0, 128, 255], [115, 128, 140], [0, 191, 255]])


def test_an_extractor_has_a_name_and_weights_that_are_told_apart():
    with pytest.raises(ValueError, match="needs a name"):
        generative.Extractor(name="", features=extract, resizer="none", digest="00")
    digests = {
        generative.digest_weights(tree)
        for tree in ({"a": WEIGHTS}, {"b": WEIGHTS}, {"a": WEIGHTS.T}, {"a": WEIGHTS + 1e-6})
    }
    assert len(digests) == 4
    assert generative.digest_weights({"a": WEIGHTS.copy()}) in digests
