"""Bags of visual words: what of a vocabulary is found in the maps of a network, and how much."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float32, Int, Key

from ssljax.ops.floats import as_float32
from ssljax.ops.similarity import squared_distances


def word_distances(
    maps: Float[Array, "batch height width channels"], vocabulary: Float[Array, "words channels"]
) -> Float32[Array, "batch places words"]:
    """Squared distance of the features at every place to every word.

    Args:
      maps: Activations of a network.
      vocabulary: The words, of any length.

    Returns:
      The distances, place by place and row by row.

    Example:
      >>> import jax.numpy as jnp
      >>> print(word_distances(jnp.zeros((1, 2, 2, 3)), jnp.eye(3)[:2])[0, 0])
      [1. 1.]
    """
    batch, height, width, channels = maps.shape
    rows = as_float32(maps).reshape(-1, channels)
    return squared_distances(rows, as_float32(vocabulary)).reshape(batch, height * width, -1)


def soft_histograms(
    distances: Float[Array, "batch places words"], sharpness: float | Float[Array, ""]
) -> Float32[Array, "batch words"]:
    """Bags of softly assigned words: each word counts by the place that shows it best.

    Args:
      distances: Squared distances of each place to all words.
      sharpness: Inverse temperature; place by place, codes are softmax(-sharpness * distances).

    Returns:
      The largest code of each word over the places, scaled to sum 1.

    Reference:
      Gidaris et al., OBoW: Online Bag-of-Visual-Words Generation for Self-Supervised Learning
      (arXiv:2012.11552), 2021, section 3.

    Example:
      >>> import jax.numpy as jnp
      >>> print(soft_histograms(jnp.array([[[0.0, 9.0, 9.0], [9.0, 0.0, 9.0]]]), 100.0))
      [[0.5 0.5 0. ]]
    """
    codes = jax.nn.softmax(-sharpness * as_float32(distances), axis=-1)
    best = jnp.max(codes, axis=1)
    return best / jnp.sum(best, axis=1, keepdims=True)


def hard_histograms(
    nearest: Int[Array, "batch places"], words: int
) -> Float32[Array, "batch words"]:
    """Bags of words, each place having one.

    Args:
      nearest: The word of each place.
      words: Number of words.

    Returns:
      The share of the places that have each word.

    Reference:
      Gidaris et al., Learning Representations by Predicting Bags of Visual Words
      (arXiv:2002.12247), 2020, section 3.1.

    Example:
      >>> import jax.numpy as jnp
      >>> print(hard_histograms(jnp.array([[0, 2, 2, 2]]), 3))
      [[0.25 0.   0.75]]
    """
    return jnp.mean(jax.nn.one_hot(nearest, words, dtype=jnp.float32), axis=1)


def local_features(
    keys: Key[Array, " batch"], maps: Float[Array, "batch height width channels"], window: int = 3
) -> Float32[Array, "batch channels"]:
    """Features about one random place of each image, averaged over a small window.

    Args:
      keys: One key per image.
      maps: Activations of a network.
      window: Side of the window; all of a map that is smaller.

    Returns:
      One row an image.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> keys = jax.random.split(jax.random.key(0), 2)
      >>> print(local_features(keys, jnp.ones((2, 4, 4, 3))).shape)
      (2, 3)
    """
    x = as_float32(maps)
    for axis in (1, 2):
        side = x.shape[axis]
        size = min(window, side)
        starts = jax.vmap(lambda key, last=side - size: jax.random.randint(key, (), 0, last + 1))(
            jax.vmap(jax.random.fold_in, (0, None))(keys, axis)
        )
        # A mask, not a slice: its place differs from image to image.
        places = jnp.arange(side)[None]
        inside = (places >= starts[:, None]) & (places < starts[:, None] + size)
        weights = inside.astype(jnp.float32) / size
        shape = [-1, 1, 1, 1]
        shape[axis] = side
        x = jnp.sum(x * weights.reshape(shape), axis=axis, keepdims=True)
    return x[:, 0, 0]
