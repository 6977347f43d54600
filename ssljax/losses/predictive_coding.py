"""Contrastive predictive coding: which patch lies so many rows below?"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float32

from ssljax.ops.axes import AxisName, all_rows, mean_over, on_any_mesh
from ssljax.ops.checks import check_same_shape
from ssljax.ops.floats import as_float32
from ssljax.ops.similarity import inner_products


@on_any_mesh()
def predictive_coding(
    predictions: Float[Array, "batch rows columns dim"],
    targets: Float[Array, "batch height columns dim"],
    offset: int,
    axis_name: AxisName = None,
) -> Float32[Array, ""]:
    """Tells the patch `offset` rows below from all patches of all images of the batch (InfoNCE).

    The logit of a candidate is its inner product with the prediction, of any length. The
    candidates are all patches of the batch: those of other images and those of other places in the
    same one, the predicting patch's own and those above it among them.

    Args:
      predictions: For each of the rows 0 ... height - offset - 1 what lies `offset` below it.
      targets: What there is at every place of the grid.
      offset: Rows from a prediction's own place to that of its patch, 1 or more.
      axis_name: Inside `shard_map` or `pmap`, the mapped axis over which the batch lies. The
        candidates are then the whole batch's, and so is the loss, the same on every device:
        average (`pmean`) the gradients.

    Returns:
      Cross-entropy in nats, averaged over all predictions; log(batch * height * columns) for a
      network that cannot tell.

    Raises:
      ValueError: If the predictions are not those of the grid's upper rows.

    Reference:
      Hénaff et al., Data-Efficient Image Recognition with Contrastive Predictive Coding
      (arXiv:1905.09272), 2019, eq. 2 and appendix A.2.

    Example:
      >>> import jax.numpy as jnp
      >>> flat = jnp.zeros((2, 7, 7, 8))
      >>> print(f"{predictive_coding(flat[:, 3:], flat, 3):.4f}")
      4.5850
    """
    if not 0 < offset < targets.shape[1]:
        raise ValueError(f"offset is {offset}; it must be in [1, {targets.shape[1]}).")
    predictions, targets = as_float32(predictions), as_float32(targets)
    positives = targets[:, offset:]
    check_same_shape(predictions=predictions, targets_below=positives)
    dim = targets.shape[-1]
    candidates = all_rows(targets, axis_name).reshape(-1, dim)
    logits = inner_products(predictions.reshape(-1, dim), candidates)
    # The right one by its place, not by its index: nothing but targets crosses devices.
    right = jnp.sum(predictions * positives, axis=-1).reshape(-1)
    return mean_over(jnp.mean(jax.nn.logsumexp(logits, axis=1) - right), axis_name)
