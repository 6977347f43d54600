"""A perceptron with shortcuts."""

import flax.linen as nn
from jaxtyping import Array, Float

from ssljax.models.layers.spectral_norm import Dense


class ResidualMLP(nn.Module):
    """Blocks of two linear layers, each after a ReLU but for the first, around which inputs pass.

    Where a block changes the number of units, a linear layer without bias is its shortcut. A ReLU
    follows the last block. All is float32.

    Attributes:
      units: Of every layer.
      blocks: Number of blocks.
      spectral_norm: Whether every layer has spectral norm.

    Reference:
      Donahue and Simonyan, Large Scale Adversarial Representation Learning (arXiv:1907.02544),
      2019, have "ResNet-style skip connections"; where the ReLUs stand is not told there.
    """

    units: int
    blocks: int
    spectral_norm: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "batch dim"], train: bool) -> Float[Array, "batch units"]:
        """Applies all blocks."""

        def linear(y: Float[Array, "batch dim"], name: str, bias: bool = True) -> Array:
            layer = Dense(
                self.units,
                use_bias=bias,
                spectral_norm=self.spectral_norm,
                kernel_init=nn.initializers.xavier_uniform(),
                name=name,
            )
            return layer(y, train)

        for number in range(1, self.blocks + 1):
            y = x if number == 1 else nn.relu(x)
            y = linear(nn.relu(linear(y, f"block{number}_dense1")), f"block{number}_dense2")
            if x.shape != y.shape:
                x = linear(x, f"block{number}_shortcut", bias=False)
            x = x + y
        return nn.relu(x)
