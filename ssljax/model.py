"""A trained network in a program of one's own: what `ssljax.load` gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Array, Float, Float32, UInt8
from ml_collections import ConfigDict

from ssljax import data, mesh, report
from ssljax.errors import UserError
from ssljax.evals import extract, pool, sampling, translating
from ssljax.evals.extract import Extracted
from ssljax.evals.generative import to_pixels
from ssljax.methods.contract import Method, TrainState
from ssljax.methods.protocols import Generator, Translator
from ssljax.models.layers.transformer import SelfAttention
from ssljax.run import feeds

_BATCH_SIZE = 256
_FEATURES = "features"


class Model:
    """A trained network that sees images as it has seen them in training, only whole.

    Images are given as an array (number, height, width, channels) or, of grey ones, (number,
    height, width); as a list of arrays of any sizes, of pictures of Pillow or of paths; or as the
    path of a folder, whose images are taken in the order of their paths, with those in the folders
    below it. Bytes are taken as they are, 16 bits without their lower 8, floats must lie in [0, 1],
    all as in training: `data.resize`, `data.range` and `data.channels` of the run's config hold,
    and images of all sizes are taken. A file that is damaged is an error.

    Batches are split over all devices of the process or, in a run of several processes, which must
    all ask the same, over those of all.

    Args:
      method: Built for the state's step.
      state: Trained.
      config: That of the run, of which "data" and "evals" are read.
      on: The devices.

    Attributes:
      method: See `ssljax.methods.contract`: `model.method.features(model.state, images)` is what is
        computed, for use under a `jax.jit` of one's own.
      state: The trained state, without that of the optimizer.
      config: The run's config, for reading.
      step: Finished train steps; 0 of a file.
      mesh: The devices.
    """

    def __init__(
        self, method: Method, state: TrainState, config: ConfigDict, on: jax.sharding.Mesh
    ) -> None:
        self.method, self.config, self.mesh = method, config, on
        self.state = state.replace(opt_state={})
        self.step = int(state.step)
        self._programs: dict[Any, Any] = {}
        self._stages: list[str] = []

    def __repr__(self) -> str:
        return (
            f"<ssljax.Model {self.config.method.name}, step {self.step}: can "
            f"{', '.join(self.abilities)}>"
        )

    @property
    def abilities(self) -> tuple[str, ...]:
        """Names of the functions below that this network can."""
        able = {
            "embed": True,
            "features": True,
            "attention": self._has_attention(),
            "generate": isinstance(self.method, Generator),
            "translate": isinstance(self.method, Translator),
        }
        return tuple(name for name, can in able.items() if can)

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the layers that `features` gives and `embed` takes, from first to last."""
        if not self._stages:
            # A dictionary comes out of a traced function in the order of its sorted keys.
            jax.eval_shape(
                lambda images: self._stages.extend(self.method.features(self.state, images)),
                self._abstract_images(),
            )
        return tuple(self._stages)

    def embed(
        self,
        images: Any,
        batch_size: int = _BATCH_SIZE,
        *,
        stage: str = "",
        progress: bool = True,
    ) -> Float32[np.ndarray, "number dim"]:
        """Computes one vector of each image: what the run's probes read.

        Args:
          images: See `Model`.
          batch_size: Images at once, over all devices, rounded up to a multiple of these.
          stage: A layer, one of `stages`, whose map is averaged over its places; by default the
            first of the run's `evals.stages`, pooled as its `evals.pool` and `evals.pool_values`
            say.
          progress: Whether to show a bar on a terminal.

        Returns:
          A row for each image, in their order.

        Raises:
          UserError: If there are no images, or one cannot be read, or there is no such stage.
        """

        def make(state: TrainState, images: Array) -> dict[str, Array]:
            return {"rows": self.embedding(state, images, stage)}

        found = self._pass(("embed", stage), make, images, batch_size, progress, "embedding")
        return found.outputs["rows"]

    def embedding(
        self, state: TrainState, images: UInt8[Array, "n h w c"], stage: str = ""
    ) -> Float[Array, "n dim"]:
        """What `embed` gives of a batch that is read already; for use under jit."""
        outputs = self.method.features(state, images)
        evals = self.config.get("evals", ConfigDict())
        usual = evals.get("stages", (_FEATURES,))[0]
        chosen = stage or usual
        if chosen not in outputs:
            raise UserError(
                f"The network has no stage {chosen!r}: choose one of {', '.join(outputs)}."
            )
        if chosen != usual:
            return pool(outputs[chosen])
        return pool(outputs[chosen], evals.get("pool_values", 0), evals.get("pool", "average"))

    def features(
        self,
        images: Any,
        batch_size: int = _BATCH_SIZE,
        *,
        stages: Sequence[str] = (),
        progress: bool = True,
    ) -> dict[str, np.ndarray]:
        """Computes what the layers of the network give, as they give it.

        All of it is kept in memory: name the stages that you need, where there are many images.

        Args:
          images: See `Model`.
          batch_size: As for `embed`.
          stages: Which layers; all of `stages` by default.
          progress: As for `embed`.

        Returns:
          Maps (number, height, width, channels) or vectors (number, dim) by stage, a row for each
          image in their order. They are float32, whatever type the network computes in.

        Raises:
          UserError: As `embed` does.
        """
        chosen = tuple([stages] if isinstance(stages, str) else stages) or self.stages

        def make(state: TrainState, images: Array) -> dict[str, Array]:
            outputs = self.method.features(state, images)
            for stage in chosen:
                if stage not in outputs:
                    raise UserError(
                        f"The network has no stage {stage!r}: choose some of {', '.join(outputs)}."
                    )
            return {name: outputs[name].astype("float32") for name in chosen}

        found = self._pass(("features", chosen), make, images, batch_size, progress, "features")
        return {name: found.outputs[name] for name in chosen}

    def attention(
        self, images: Any, batch_size: int = _BATCH_SIZE, *, progress: bool = True
    ) -> Float32[np.ndarray, "number heads tokens tokens"]:
        """Computes how the tokens of a vision transformer's last block attend to each other.

        Args:
          images: See `Model`.
          batch_size: As for `embed`.
          progress: As for `embed`.

        Returns:
          For each image and head a row of weights for each token, which sum to 1. The class token
          comes first, if there is one, then the registers, and the patches are last, row by row
          of the image: with N patches and a class token `found[:, :, 0, -N:]` is what this sees of
          them.

        Raises:
          UserError: As `embed` does, and if the network is no vision transformer.
        """
        if not self._has_attention():
            raise self._unable("attention", "is no vision transformer of whole images")
        found = self._pass("attention", self._attention, images, batch_size, progress, "attention")
        return found.outputs["weights"]

    def generate(self, n: int, seed: int = 0) -> UInt8[np.ndarray, "n height width channels"]:
        """Draws images, all at once.

        Args:
          n: How many, from 1.
          seed: The same seed and number give the same images, those of `--mode=sample`.

        Raises:
          UserError: If the network draws no images.
        """
        if not isinstance(self.method, Generator):
            raise self._unable("generate", "draws no images")
        if n < 1:
            raise UserError(f"n={n} is impossible: it must be a positive number of images.")
        if "generate" not in self._programs:
            self._programs["generate"] = sampling.make_sampler(self.method, self.mesh)
        sample = self._programs["generate"]
        images: np.ndarray = mesh.to_host(sample(self.state, sampling.picture_key(seed), n))
        return images

    def translate(
        self,
        images: Any,
        way: str = "",
        batch_size: int = _BATCH_SIZE,
        *,
        progress: bool = True,
    ) -> UInt8[np.ndarray, "number height width channels"]:
        """Translates images from one domain to another.

        Args:
          images: See `Model`; of the domain where the way begins.
          way: One of `model.method.translations()`, such as "A to B"; the first by default.
          batch_size: As for `embed`.
          progress: As for `embed`.

        Returns:
          A translation of each image, in their order, of the size that the network makes.

        Raises:
          UserError: As `embed` does, and if the network translates no images, or not in this way.
        """
        method = self.method
        if not isinstance(method, Translator):
            raise self._unable("translate", "translates no images")
        chosen = translating.choose_way(method, way, "way")

        def make(state: TrainState, images: Array) -> dict[str, Array]:
            return {"images": to_pixels(method.translate(state, images, chosen))}

        found = self._pass(("translate", chosen), make, images, batch_size, progress, "translating")
        return found.outputs["images"]

    def scan(
        self,
        source: data.Source,
        batch_size: int,
        *,
        max_corrupt: int = 0,
        in_config: bool = False,
    ) -> data.Scan:
        """Opens a pass over a source, as the network is to see it.

        Args:
          source: The images.
          batch_size: Images at once. Where there are fewer, batches are as small as a power of two
            allows, so that passes over a few images need few programs.
          max_corrupt: How many may be damaged, and are then left out.
          in_config: Whether the user has a config, whose keys messages may name.
        """
        if batch_size < 1:
            raise UserError(
                f"batch_size={batch_size} is impossible: it must be a positive number of images."
            )
        batch_size = min(batch_size, 1 << (len(source) - 1).bit_length())
        batch_size = -(-batch_size // self.mesh.size) * self.mesh.size
        reading = feeds.reading(self.config.data) | dict(
            max_corrupt=max_corrupt, in_config=in_config
        )
        if reading["resize"] == "none":  # The same for images of that size.
            reading["resize"] = "short_side"
        rows = mesh.local_rows(self.mesh, batch_size)
        return data.Scan(source, batch_size=batch_size, rows=rows, **reading)

    def _pass(
        self,
        key: Any,
        make: Callable[[TrainState, Array], dict[str, Array]],
        images: Any,
        batch_size: int,
        progress: bool,
        doing: str,
    ) -> Extracted:
        """Passes images through a function that is compiled once for each key."""
        source = data.open_images(images)
        scan = self.scan(source, batch_size)
        program = self._programs.setdefault(key, jax.jit(make))
        shown = progress and jax.process_index() == 0
        batches = report.tracked(scan, len(scan), scan.batch_size, doing, shown)
        return extract(
            lambda rows: program(self.state, rows), batches, mesh=self.mesh, count=len(scan)
        )

    def _attention(self, state: TrainState, images: Array) -> dict[str, Array]:
        """The weights of the last attention that features of whole images pass through."""
        seen: list[Array] = []

        def record(
            call: Callable[..., Any], args: Any, kwargs: Any, context: nn.module.InterceptorContext
        ) -> Any:
            outputs = call(*args, **kwargs)
            if isinstance(context.module, SelfAttention) and context.method_name == "__call__":
                seen.append(outputs[1])
            return outputs

        with nn.intercept_methods(record):
            self.method.features(state, images)
        # Of an encoder that looks at parts of images, the rows are those of the parts.
        return {"weights": seen[-1]} if seen and len(seen[-1]) == len(images) else {}

    def _has_attention(self) -> bool:
        return bool(jax.eval_shape(self._attention, self.state, self._abstract_images()))

    def _abstract_images(self) -> jax.ShapeDtypeStruct:
        side, channels = self.config.data.image_size, self.config.data.channels
        return jax.ShapeDtypeStruct((self.mesh.size, side, side, channels), np.uint8)

    def _unable(self, asked: str, why: str) -> UserError:
        return UserError(
            f"model.{asked} is not for this network, as {self.config.method.name} {why}: it can "
            f"{', '.join(self.abilities)}."
        )
