"""A perceptron of whole images, which knows nothing of their places."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ssljax.models.layers.norm import BatchNorm, NormFactory
from ssljax.models.layers.spectral_norm import DCGAN_INIT


class MLP(nn.Module):
    """BiGAN's encoder of MNIST: linear layers without biases, each with a LeakyReLU of slope 0.2.

    All layers but the first have a norm, without scales and biases. It is made for one size of
    image. Kernels start from a normal distribution of standard deviation 0.02.

    Attributes:
      widths: Units of the layers.
      norm: Makes the norms; `NoNorm` leaves none.
      dtype: Type of activations and arithmetic. Parameters, statistics and `features` are always
        float32.

    Reference:
      Donahue et al., Adversarial Feature Learning (arXiv:1605.09782), 2017, appendix C.1; the net
      `mnist_mlp` of the authors' code. Their norms add 1e-8 to the variance.
    """

    widths: tuple[int, ...] = (1024, 1024)
    norm: NormFactory = BatchNorm
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], train: bool
    ) -> dict[str, Float[Array, "batch ..."]]:
        """Computes the units of each layer.

        Args:
          x: Images, already normalised; in [0, 1] in the authors' code.
          train: Whether norms use and update batch statistics.

        Returns:
          `block1`, `block2` ...: units of each layer as maps of one place (batch, 1, 1, units) of
          type `dtype`; `features`: the last of them, (batch, units) in float32.

        Raises:
          ValueError: If there are no layers.
        """
        if not self.widths:
            raise ValueError("The perceptron has no layers; give at least one width.")
        x = x.reshape(x.shape[0], -1).astype(self.dtype)
        outputs = {}
        for number, width in enumerate(self.widths, start=1):
            x = nn.Dense(
                width,
                use_bias=False,
                kernel_init=DCGAN_INIT,
                dtype=self.dtype,
                name=f"block{number}_dense",
            )(x)
            if number > 1:
                norm = self.norm(
                    use_scale=False, use_bias=False, dtype=self.dtype, name=f"block{number}_norm"
                )
                x = norm(x, train)
            x = nn.leaky_relu(x, 0.2)
            outputs[f"block{number}"] = x[:, None, None]
        return outputs | {"features": x.astype(jnp.float32)}
