"""Vision transformers."""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int

from ssljax.models.layers.patches import patch_grid, patchify, take_tokens
from ssljax.models.layers.positions import LearnedPositions, sincos_positions
from ssljax.models.layers.transformer import XAVIER, TransformerBlock, layer_norm

_KERNEL_INITS = {"normal": nn.initializers.normal(0.02), "xavier": XAVIER}
_PATCH_INITS = {
    # PyTorch's default for convolutions: uniform within 1 / sqrt(fan in).
    "normal": nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform"),
    "xavier": XAVIER,
}


class VisionTransformer(nn.Module):
    """A vision transformer that returns what every block computes.

    ============ ===== ======= =============== ============ ======================================
    network      dim   heads   positions       initializer  further
    ============ ===== ======= =============== ============ ======================================
    ViT-Ti       192   3
    ViT-S        384   6
    ViT-B        768   12
    ViT-L        1024  16                                   `depth=24`
    ViT-H        1280  16                                   `depth=32`
    DINO                       `"learned"`     `"normal"`   `drop_path=0.1` in the student
    MoCo v3            12 in S `"sincos"`      `"xavier"`   `freeze_patch_embedding=True`,
                                                            `class_token_std=1e-6`
    MAE                        `"sincos"`      `"xavier"`
    I-JEPA                     `"sincos"`      `"normal"`   `class_token=False`, `pool="mean"`
    DINOv2                     `"learned"`     `"normal"`   `layer_scale=1e-5`, `registers=4` or
                                                            none, `class_token_std=1e-6`
    ============ ===== ======= =============== ============ ======================================

    Attributes:
      dim: Channels of the tokens.
      depth: Number of blocks.
      heads: Number of attention heads; divides `dim`.
      patch_size: Side of a patch in pixels.
      positions: `"learned"`: a table of the grid that the network is initialised with, which is
        interpolated for other image sizes, and one more for the class token. `"sincos"`: fixed,
        made for the grid of the images at hand, and none for the class token.
      initializer: How kernels start: `"normal"` with deviation 0.02 (the patch embedding as a
        PyTorch convolution), or `"xavier"` uniform.
      class_token: Whether there is a class token; without one `pool` must be `"mean"`.
      class_token_std: Standard deviation of the class token at the start.
      registers: Number of learned tokens without a position that stand between the class token and
        the patches, and are in no output but `attention`.
      freeze_patch_embedding: Whether the patch embedding gets no gradient. To keep its initial
        value it must have no weight decay either; the methods see to that.
      pool: What `features` is: the `"class"` token or the `"mean"` of the patches' tokens.
      drop_path: Probability in [0, 1) of dropping a path of the last block in training; it grows
        linearly from 0 in the first. See `TransformerBlock`.
      drop_path_uniform: Whether it is the same in all blocks, as in DINOv2.
      layer_scale: Where the factors of what each block adds start; 0: there are none.
      dtype: Type of activations and arithmetic. Parameters, softmax and `features` are always
        float32.

    Reference:
      Dosovitskiy et al., ViT (arXiv:2010.11929), 2020; sizes as in Touvron et al., DeiT
      (arXiv:2012.12877), 2020, table 1; frozen patch embedding: Chen et al., MoCo v3
      (arXiv:2104.02057), 2021, section 4.2; registers: Darcet et al., Vision Transformers Need
      Registers (arXiv:2309.16588), 2024; masked patches: Xie et al., SimMIM (arXiv:2111.09886),
      2022, section 3.2.
    """

    dim: int = 384
    depth: int = 12
    heads: int = 6
    patch_size: int = 16
    positions: Literal["learned", "sincos"] = "learned"
    initializer: Literal["normal", "xavier"] = "normal"
    class_token: bool = True
    class_token_std: float = 0.02
    registers: int = 0
    freeze_patch_embedding: bool = False
    pool: Literal["class", "mean"] = "class"
    drop_path: float = 0.0
    drop_path_uniform: bool = False
    layer_scale: float = 0.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch height width channels"],
        train: bool,
        attention: bool = False,
        visible: Int[Array, "batch seen"] | None = None,
        masked: tuple[Bool[Array, "batch patches"], Float[Array, " dim"]] | None = None,
        present: Bool[Array, "batch seen"] | None = None,
    ) -> dict[str, Float[Array, "batch ..."]]:
        """Computes the tokens of each block.

        Args:
          x: Images, already normalised; their sides are multiples of the patch size.
          train: Whether paths are dropped.
          attention: Whether to return the attention of the last block.
          visible: Indices of the patches that the network sees, row by row of the image; all if
            None. The others cost nothing.
          masked: Which patches the network does not see, though it has a token for each, and the
            token, without its position, that stands for each of them. None: it sees all.
          present: False for those of `visible` that fill up an example and are seen by no other; at
            least one of each example is present. None: all are.

        Returns:
          `features`: (batch, dim) in float32, the normalised class token or mean. `attention`,
          if asked for: (batch, heads, all, all) in float32 between the class token, the registers
          and the patches, in this order; rows sum to 1. If all patches are visible, `block1`,
          `block2` ...: patches' tokens (batch, rows, columns, dim) of type `dtype`; `tokens`: the
          last ones, normalised. If not, `tokens`: (batch, seen, dim), and `class_token`, if there
          is one: (batch, dim), both normalised and of type `dtype`.

        Raises:
          ValueError: If the patches do not fill the image or an attribute is out of range.
        """
        self._check_attributes()
        rows, columns = patch_grid(x.shape, self.patch_size)
        patches, positions = patchify(x, self.patch_size), self._positions(rows, columns)
        if visible is None:
            positions = positions[None]
        else:
            patches, positions = take_tokens(patches, visible), positions[visible]
        batch = x.shape[0]
        tokens = self._embed(patches)
        if masked is not None:
            hidden, token = masked
            if visible is not None:
                hidden = jnp.take_along_axis(hidden, visible, axis=1)
            tokens = jnp.where(hidden[:, :, None], token.astype(self.dtype)[None, None], tokens)
        tokens = self._with_first(tokens + positions.astype(self.dtype))
        before = int(self.class_token) + self.registers
        attended = None
        if present is not None:
            attended = jnp.pad(present, ((0, 0), (before, 0)), constant_values=True)

        outputs = {}
        for index in range(self.depth):
            tokens, weights = TransformerBlock(
                self.heads,
                drop_path=self.drop_path * self._share_of_drop_path(index),
                layer_scale=self.layer_scale,
                kernel_init=_KERNEL_INITS[self.initializer],
                dtype=self.dtype,
                name=f"block{index + 1}",
            )(tokens, train, attended)
            if visible is None:
                outputs[f"block{index + 1}"] = tokens[:, before:].reshape(
                    batch, rows, columns, self.dim
                )
        if attention:
            outputs["attention"] = weights

        first, rest = jnp.split(layer_norm(tokens, jnp.float32, "norm"), [before], axis=1)
        if present is None:
            mean = jnp.mean(rest, axis=1)  # ONNX knows no mean of a part.
        else:
            mean = jnp.mean(rest, axis=1, where=present[:, :, None])
        outputs["features"] = first[:, 0] if self.pool == "class" else mean
        outputs["tokens"] = rest.astype(self.dtype)
        if visible is None:
            outputs["tokens"] = outputs["tokens"].reshape(batch, rows, columns, self.dim)
        elif self.class_token:
            outputs["class_token"] = first[:, 0].astype(self.dtype)
        return outputs

    def _with_first(
        self, tokens: Float[Array, "batch patches dim"]
    ) -> Float[Array, "batch tokens dim"]:
        """Puts the class token and the registers before the patches."""
        first = [self._class_token()] if self.class_token else []
        if self.registers:
            shape, init = (1, self.registers, self.dim), nn.initializers.normal(1e-6)
            first.append(self.param("registers", init, shape, jnp.float32))
        first = [jnp.broadcast_to(x, (tokens.shape[0], *x.shape[1:])) for x in first]
        return jnp.concatenate([*(x.astype(self.dtype) for x in first), tokens], axis=1)

    def _share_of_drop_path(self, index: int) -> float:
        return 1.0 if self.drop_path_uniform else index / max(self.depth - 1, 1)

    def _embed(
        self, patches: Float[Array, "batch patches values"]
    ) -> Float[Array, "batch patches dim"]:
        """Maps pixels to tokens: the convolution of stride patch size, as one matrix product."""
        tokens = nn.Dense(
            self.dim,
            kernel_init=_PATCH_INITS[self.initializer],
            dtype=self.dtype,
            name="patch_embedding",
        )(patches)
        return jax.lax.stop_gradient(tokens) if self.freeze_patch_embedding else tokens

    def _positions(self, rows: int, columns: int) -> Float[Array, "patches dim"]:
        if self.positions == "learned":
            table = LearnedPositions(self.dim, name="position_embedding")(rows, columns)
        else:
            table = sincos_positions(rows, columns, self.dim)
        return table.reshape(rows * columns, self.dim)

    def _class_token(self) -> Float[Array, "1 1 dim"]:
        # DINO's "truncated" normal is cut at 100 standard deviations: it is a normal.
        shape, normal = (1, 1, self.dim), nn.initializers.normal
        token = self.param("class_token", normal(self.class_token_std), shape, jnp.float32)
        if self.positions == "learned":
            token = token + self.param("class_position", normal(0.02), shape, jnp.float32)
        return token

    def _check_attributes(self) -> None:
        if self.depth < 1:
            raise ValueError(f"A vision transformer of {self.depth} blocks computes nothing.")
        for name, choices in (
            ("positions", ("learned", "sincos")),
            ("initializer", ("normal", "xavier")),
            ("pool", ("class", "mean")),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; it must be {choices[0]!r} or "
                    f"{choices[1]!r}."
                )
        if self.pool == "class" and not self.class_token:
            raise ValueError("Without a class token, pool must be 'mean'.")
