"""The fully connected CRF over the pixels of an image: mean-field inference.

Every pair of pixels attracts one another's label, the more the nearer they are and, by a second
kernel, the more their colours are alike. What a network or a user says of each pixel, the unary
energy, is thereby brought in line with the edges of the image.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Float32, Int, Num, Shaped

from ssljax.ops.checks import check_positive
from ssljax.ops.gaussian import Separable, filter_pairs, filter_separable, separable_gaussian
from ssljax.ops.permutohedral import Lattice, build_lattice, filter_lattice, pad_lattice

NORMALIZATIONS = ("symmetric", "before", "after", "none")
"""How a filter's sums are divided by n, the filter of ones: by √n before and after it, by n before
or after it, or by the mean of n alone. The authors' code computes that mean, and forgets it."""
METHODS = ("lattice", "exact")
"""By the permutohedral lattice, in time that grows with the pixels; or over all pairs of pixels, in
time that grows with their square."""
_SMALLEST = 1e-20
_SLOTS = 4096
"""The lattices of a batch are padded to a multiple of this, so that few programs are compiled."""


@dataclasses.dataclass(frozen=True)
class Kernel:
    """One Gaussian kernel of the pairwise energy.

    Attributes:
      position: Standard deviation of the position, in pixels.
      color: Standard deviation of the colour, in the image's own levels, 0 to 255 for bytes, the
        same for each channel; None for a kernel of positions alone.
      compatibility: Weight of the Potts model, without unit: that much energy is saved when all
        neighbours have the same label. Or a symmetric matrix, (classes, classes): the energy of
        each pair of labels.
      normalization: One of `NORMALIZATIONS`.
    """

    position: float
    color: float | None
    compatibility: float | Float[np.ndarray, "classes classes"]
    normalization: str = "symmetric"


EXAMPLE = (Kernel(3.0, None, 3.0), Kernel(80.0, 13.0, 10.0))
"""Those of the example script of pydensecrf, which takes 5 iterations."""
DEEPLAB = (Kernel(1.0, None, 3.0), Kernel(67.0, 3.0, 4.0))
"""Those of DeepLab v2 on PASCAL VOC, which takes 10 iterations."""


class _Pairs(NamedTuple):
    """A filter over all pairs of points with these features."""

    features: Float32[Array | np.ndarray, "points dim"]


Filter = Lattice | Separable | _Pairs


def dense_crf(
    unary: Float[Array, "height width classes"],
    image: Num[np.ndarray, "rows columns channels"],
    kernels: Sequence[Kernel] = EXAMPLE,
    iterations: int = 5,
    method: str = "lattice",
) -> Float32[Array, "height width classes"]:
    """Infers the label of each pixel, by mean-field iterations.

    Args:
      unary: Energy of each label at each pixel, the negative logarithm of its probability, in nats.
      image: What kernels of colour compare, such as bytes of red, green and blue.
      kernels: Of the pairwise energy.
      iterations: Mean-field iterations, 0 or more.
      method: One of `METHODS`.

    Returns:
      The probabilities of the labels.

    Raises:
      ValueError: If the sizes differ, there are fewer than two classes, or a number is impossible.

    Reference:
      Krähenbühl and Koltun, Efficient Inference in Fully Connected CRFs with Gaussian Edge
      Potentials, 2011, algorithm 1; the normalisations are those of their second implementation.

    Example:
      >>> import jax.numpy as jnp
      >>> import numpy as np
      >>> unary = unary_from_labels(jnp.array([[0, -1, 0]]), 2, 0.9)
      >>> print(dense_crf(unary, np.zeros((1, 3, 3), np.uint8)).argmax(axis=2))
      [[0 0 0]]
    """
    return dense_crf_batch(unary[None], image[None], kernels, iterations, method)[0]


def dense_crf_batch(
    unaries: Float[Array, "batch height width classes"],
    images: Num[np.ndarray, "images rows columns channels"],
    kernels: Sequence[Kernel] = EXAMPLE,
    iterations: int = 5,
    method: str = "lattice",
) -> Float32[Array, "batch height width classes"]:
    """Infers the labels of several images of one size, in one program.

    Args:
      unaries: As for `dense_crf`, one for each image.
      images: Likewise.
      kernels: Likewise.
      iterations: Likewise.
      method: Likewise.

    Returns:
      The probabilities of the labels.

    Raises:
      ValueError: As `dense_crf`.

    Example:
      >>> import jax.numpy as jnp
      >>> import numpy as np
      >>> unaries = unary_from_labels(jnp.array([[[1, -1]]]), 2, 0.9)
      >>> print(dense_crf_batch(unaries, np.zeros((1, 1, 2, 3), np.uint8)).argmax(axis=3))
      [[[1 1]]]
    """
    _check(unaries.shape, images.shape, kernels, iterations, method)
    energies = jnp.asarray(unaries, jnp.float32).reshape(len(unaries), -1, unaries.shape[-1])
    made = [make_filters(image, kernels, method) for image in np.asarray(images)]
    filters = tuple(map(_stack, zip(*made, strict=True)))
    compatibilities = tuple(jnp.asarray(each.compatibility, jnp.float32) for each in kernels)
    normalizations = tuple(kernel.normalization for kernel in kernels)
    infer = functools.partial(
        _infer, normalizations=normalizations, iterations=iterations, parallel=method == "lattice"
    )
    return infer(energies, filters, compatibilities).reshape(unaries.shape)


def make_filters(
    image: Num[np.ndarray, "height width channels"], kernels: Sequence[Kernel], method: str
) -> list[Filter]:
    """Makes the filters of an image; by far the most work of them is the lattice's.

    Args:
      image: As for `dense_crf`.
      kernels: Likewise.
      method: Likewise.

    Returns:
      One filter for each kernel, a pytree of arrays, for `mean_field`.

    Example:
      >>> import numpy as np
      >>> filters = make_filters(np.zeros((2, 2, 3), np.uint8), EXAMPLE, "lattice")
      >>> [type(each).__name__ for each in filters]
      ['Lattice', 'Lattice']
    """
    height, width = image.shape[:2]
    filters: list[Filter] = []
    for kernel in kernels:
        if method == "exact" and kernel.color is None:
            filters.append(separable_gaussian(height, width, kernel.position))
            continue
        features = pixel_features(image, kernel.position, kernel.color)
        filters.append(build_lattice(features) if method == "lattice" else _Pairs(features))
    return filters


def mean_field(
    unary: Float32[Array, "points classes"],
    filters: Sequence[Filter],
    compatibilities: Sequence[Float[Array, "..."]],
    normalizations: Sequence[str],
    iterations: int,
) -> Float32[Array, "points classes"]:
    """The iterations alone, on the device: q ← softmax(-unary - Σ μ K q).

    The pixel's own message is part of the sum, as in the authors' code.

    Args:
      unary: Energy of each label at each point.
      filters: Of `make_filters`.
      compatibilities: For each filter a Potts weight w, for which μ is -w I, or a matrix μ.
      normalizations: For each filter.
      iterations: 0 or more.

    Returns:
      The probabilities of the labels.

    Example:
      >>> import jax.numpy as jnp
      >>> print(mean_field(jnp.zeros((1, 2)), [], [], [], 3))
      [[0.5 0.5]]
    """
    factors = [
        _factors(_apply(each, jnp.ones((len(unary), 1), unary.dtype)), kind)
        for each, kind in zip(filters, normalizations, strict=True)
    ]

    def iterate(_: Any, q: Array) -> Array:
        logits = -unary
        for each, (before, after), mu in zip(filters, factors, compatibilities, strict=True):
            summed = after * _apply(each, before * q)
            if mu.ndim:
                logits = logits - jnp.matmul(summed, mu, precision=lax.Precision.HIGHEST)
            else:
                logits = logits + mu * summed
        return jax.nn.softmax(logits, axis=1)

    return lax.fori_loop(0, iterations, iterate, jax.nn.softmax(-unary, axis=1))


def pixel_features(
    image: Num[np.ndarray, "height width channels"], position: float, color: float | None = None
) -> Float32[np.ndarray, "points dim"]:
    """The features that a kernel compares, in units of its standard deviations.

    Args:
      image: As for `dense_crf`.
      position: Standard deviation in pixels.
      color: That of the channels, in the image's levels; None leaves them out.

    Returns:
      Row, column and channels of each pixel, row by row.

    Example:
      >>> import numpy as np
      >>> print(pixel_features(np.array([[[6], [8]]]), 2.0, 4.0))
      [[0.  0.  1.5]
       [0.  0.5 2. ]]
    """
    height, width = image.shape[:2]
    rows, columns = np.indices((height, width), np.float32)
    features = [rows / position, columns / position]
    if color is not None:
        features += list(np.moveaxis(image, 2, 0) / color)
    return np.stack(features, axis=2, dtype=np.float32).reshape(height * width, -1)


def unary_from_labels(
    labels: Int[Array, "*shape"], classes: int, certainty: float
) -> Float32[Array, "*shape {classes}"]:
    """The unary energy of labels that are right with some probability.

    Args:
      labels: From 0; -1 where nothing is known, and all labels are equally probable.
      classes: How many there are, 2 or more.
      certainty: Probability of the given label, between 0 and 1; the others share the rest.

    Returns:
      The negative logarithm of the probabilities, in nats.

    Raises:
      ValueError: If there are fewer than two classes, or `certainty` is not between 0 and 1.

    Example:
      >>> import jax.numpy as jnp
      >>> import numpy as np
      >>> print(np.asarray(unary_from_labels(jnp.array([1, -1]), 2, 0.75)).round(3))
      [[1.386 0.288]
       [0.693 0.693]]
    """
    if classes < 2:
        raise ValueError(f"A CRF needs two classes or more, got {classes}.")
    if not 0 < certainty < 1:
        raise ValueError(f"certainty is {certainty}; it must lie between 0 and 1.")
    given = -np.log([(1 - certainty) / (classes - 1), certainty, 1 / classes]).astype(np.float32)
    one_hot = jax.nn.one_hot(labels, classes, dtype=jnp.int32)
    return jnp.asarray(given)[jnp.where((labels == -1)[..., None], 2, one_hot)]


def unary_from_probabilities(
    probabilities: Float[Array, "*shape classes"], certainty: float = 1.0, floor: float = 1e-5
) -> Float32[Array, "*shape classes"]:
    """The unary energy of probabilities, such as a network's softmax.

    Args:
      probabilities: With sum 1.
      certainty: How far they are trusted, above 0 and at most 1: they are mixed with equal
        probabilities, which get the rest of the weight.
      floor: Smaller probabilities are taken for this one, as log 0 is not finite.

    Returns:
      The negative logarithm of the probabilities, in nats.

    Raises:
      ValueError: If `certainty` is not above 0 and at most 1, or `floor` is not above 0.

    Example:
      >>> import jax.numpy as jnp
      >>> import numpy as np
      >>> print(np.asarray(unary_from_probabilities(jnp.array([0.25, 0.75]))).round(3))
      [1.386 0.288]
    """
    if not 0 < certainty <= 1:
        raise ValueError(f"certainty is {certainty}; it must be above 0 and at most 1.")
    check_positive(floor=floor)
    mixed = certainty * probabilities + (1 - certainty) / probabilities.shape[-1]
    return -jnp.log(jnp.clip(mixed.astype(jnp.float32), floor, 1.0))


@functools.partial(jax.jit, static_argnames=("normalizations", "iterations", "parallel"))
def _infer(
    unaries: Array,
    filters: Any,
    compatibilities: Any,
    normalizations: tuple[str, ...],
    iterations: int,
    parallel: bool,
) -> Array:
    def of_image(inputs: tuple[Array, Any]) -> Array:
        unary, made = inputs
        return mean_field(unary, made, compatibilities, normalizations, iterations)

    # All pairs of one image fill the memory that there is to fill.
    inputs = (unaries, filters)
    return jax.vmap(of_image)(inputs) if parallel else lax.map(of_image, inputs)


def _apply(made: Filter, values: Array) -> Array:
    if isinstance(made, Lattice):
        return filter_lattice(made, values)
    if isinstance(made, Separable):
        return filter_separable(made, values)
    return filter_pairs(jnp.asarray(made.features), values)


def _factors(norm: Float[Array, "points 1"], kind: str) -> tuple[Array, Array]:
    """What values are multiplied by before and after a filter."""
    one = jnp.ones((), norm.dtype)[None, None]
    if kind == "none":
        return one, 1 / jnp.mean(norm, keepdims=True)
    if kind == "symmetric":
        root = lax.rsqrt(norm + _SMALLEST)
        return root, root
    inverse = 1 / (norm + _SMALLEST)
    return (inverse, one) if kind == "before" else (one, inverse)


def _stack(filters: Sequence[Filter]) -> Filter:
    """Filters of several images as one, with a leading axis."""
    lattices = [each for each in filters if isinstance(each, Lattice)]
    if lattices:
        most = max(each.neighbors.shape[2] for each in lattices)
        filters = [pad_lattice(each, -(-most // _SLOTS) * _SLOTS) for each in lattices]
    stacked: Filter = jax.tree.map(lambda *arrays: np.stack(arrays), *filters)
    return stacked


def _check(
    unaries: tuple[int, ...],
    images: tuple[int, ...],
    kernels: Sequence[Kernel],
    iterations: int,
    method: str,
) -> None:
    if unaries[:-1] != images[:-1]:
        raise ValueError(
            f"Unary energies of {unaries[:-1]} and images of {images[:-1]} differ in size."
        )
    classes = unaries[-1]
    if classes < 2:
        raise ValueError(f"A CRF needs two classes or more, got {classes}.")
    if iterations < 0:
        raise ValueError(f"iterations is {iterations}; it must be 0 or more.")
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; it must be one of {METHODS}.")
    for kernel in kernels:
        check_positive(position=kernel.position)
        if kernel.color is not None:
            check_positive(color=kernel.color)
        if kernel.normalization not in NORMALIZATIONS:
            raise ValueError(
                f"normalization is {kernel.normalization!r}; it must be one of {NORMALIZATIONS}."
            )
        _check_compatibility(np.asarray(kernel.compatibility), classes)


def _check_compatibility(mu: Shaped[np.ndarray, "..."], classes: int) -> None:
    if mu.ndim and (mu.shape != (classes, classes) or not np.array_equal(mu, mu.T)):
        raise ValueError(
            f"A compatibility matrix must be symmetric, {classes} x {classes}, got {mu.shape}."
        )
