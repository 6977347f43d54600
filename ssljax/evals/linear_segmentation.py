"""Linear segmentation: what the places of a frozen encoder's maps know of the classes of pixels."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, UInt8
from ml_collections import ConfigDict

from ssljax import augment, mesh, metrics, models, optimizers
from ssljax.errors import UserError, first_line
from ssljax.evals import features, masks
from ssljax.evals.contract import Evaluation, Run, Scores, leave_out
from ssljax.methods.contract import Method, TrainState
from ssljax.methods.known_labels import classify
from ssljax.methods.pretext_method import PretextMethod

PyTree = Any
Maps = Callable[[TrainState | None, Array], dict[str, Array]]
"""The maps of windows, by stage; the raw pixels have one, of another name."""

_PIXELS = "features"
"""What the map of the raw pixels is called, as `features.by_stage` has it."""


class LinearSegmentation(Evaluation):
    """Scores "linear_miou", "linear_pixel_accuracy" and "linear_class_accuracy" of each map.

    Batch norm and a 1x1 convolution are trained on each map of the frozen encoder, all on the same
    windows, which pass through the encoder once; their logits are enlarged to the window's pixels,
    of which those in the void teach nothing. The test images are seen window by window, the logits
    are averaged where windows overlap, and pixels are counted at the masks' own size, as the
    evaluation `segmentation` does. Raw pixels are a map of places of one pixel.

    A window has as many pixels as the method's views, so that nothing is resized; a window of any
    other size is resized to them. Nothing is chosen: settings, or a stage, are to be chosen by
    `config.evals.test_split="validation"`. Of encoders without zeros at the borders, such as the
    dilated VGG, the last map alone lies where the window does. The picture has the first test
    images with their masks and predictions.

    Reference:
      Oquab et al., DINOv2 (arXiv:2304.07193), 2023, section 7.4, "linear". Unlike there, the size
      of a training image is one of seven, and colours are not changed.
    """

    name = "linear_segmentation"

    @staticmethod
    def default_config() -> ConfigDict:
        """The values of DINOv2's code for ADE20K; those of the windows' overlap are rounded."""
        return ConfigDict(
            dict(
                stages=(),  # Empty: every map of the encoder.
                steps=40_000,
                batch_size=16,  # Windows that are learnt from at once.
                learning_rate=1e-3,  # Of AdamW, falling linearly to 0 after the warm-up.
                weight_decay=1e-4,
                warmup_steps=1500,
                window=0,  # Pixels of an image that are seen at once; 0: those of a view.
                overlap=1 / 3,  # Share of a window's side that the next one sees again, at least.
                sizes=(0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0),  # Factors of a training image's side.
                flip_p=0.5,
                # Test images at once; each takes its pixels times the classes, for every map.
                test_batch_size=1,
            )
        )

    def stages(self, run: Run) -> tuple[str, ...]:
        """Its own."""
        return run.once(_stages)

    def check(self, run: Run) -> tuple[str, ...]:
        """Raises a `UserError` if there are no masks to learn from, or no maps to learn of them."""
        config = run.experiment.config
        for split in (run.config.train_split, run.config.test_split):
            masks.check(run, split, self.name)
        if config.data.mask_classes < 2:
            raise UserError(
                f"{self.name} tells classes apart, and config.data.mask_classes is "
                f"{config.data.mask_classes}: say how many classes the masks have."
            )
        asked, size = run.config.linear_segmentation.window, config.data.image_size
        if asked > size:
            raise UserError(
                f"config.evals.{self.name}.window={asked} is larger than the images, of {size} "
                "pixels: choose a smaller one, or 0 for that of the method's views."
            )
        stages, (window, _) = run.once(_stages), _sides(run)
        windows = jax.ShapeDtypeStruct((run.mesh.size, window, window, _channels(run)), np.uint8)
        state = run.experiment.abstract_state
        try:
            jax.eval_shape(run.once(_maps, run.experiment.method, stages), state, windows)
        except (TypeError, ValueError) as error:
            raise UserError(
                f"config.evals.{self.name}.window={window} does not suit the network: "
                f"{first_line(error)}"
            ) from error
        return features.names(run, tuple(f"linear_{name}" for name in masks.SCORES), _layers(run))

    def score(self, run: Run, state: TrainState | None) -> Scores:
        """Trains the heads of every stage, and counts the pixels of the test images."""
        method = None if state is None else run.method(state)
        maps = run.once(_maps, method, run.once(_stages))
        heads = _train(run, maps, state)
        classes = run.experiment.config.data.mask_classes
        read = functools.partial(run.once(_reader, maps), state, heads)
        counts = {stage: np.zeros((classes, classes), np.int64) for stage in heads.params}
        shown: list[masks.Shown] = []
        for found in masks.segmented(run, read, run.config[self.name].test_batch_size):
            told = masks.likeliest(found)
            if len(shown) < masks.SHOWN:
                shown.append(told)
            for stage, matrix in counts.items():
                matrix += metrics.confusion_matrix(told.mask, told.said[stage], classes)
        scores = masks.scores_of(counts, "linear_")
        pictures = masks.picture(run, shown, classes)
        return Scores(
            features.by_stage(run, scores, _layers(run)),
            {f"{self.name}_{_row(state)}": shows for shows in pictures.values()},
        )


class _Heads(NamedTuple):
    """The heads of all stages, each by its name."""

    params: PyTree
    variables: PyTree
    optimizer: PyTree


def _row(state: TrainState | None) -> str:
    if state is None:
        return "pixels"
    return "trained" if int(state.step) else "random"


def _layers(run: Run) -> features.Layers:
    return features.Layers(run.once(_stages), 0)


def _channels(run: Run) -> int:
    return int(run.experiment.task.image_shape[2])


def _sides(run: Run) -> tuple[int, int]:
    """Pixels of a window's side in the frame, and of the same as the network is to see it."""
    config = run.experiment.config
    views = [config.method[name] for name in ("view", "view1") if name in config.method]
    seen = int(views[0].size) if views else int(config.data.image_size)
    window = run.config.linear_segmentation.window or seen
    return min(window, int(config.data.image_size)), seen


def _stages(run: Run) -> tuple[str, ...]:
    """The maps that are asked for, or all that the encoder has."""
    _check_places(run)
    _, seen = _sides(run)
    images = jax.ShapeDtypeStruct((run.mesh.size, seen, seen, _channels(run)), np.uint8)
    found = jax.eval_shape(run.experiment.method.features, run.experiment.abstract_state, images)
    has = [name for name, x in found.items() if x.ndim == 4]
    asked = tuple(run.config.linear_segmentation.stages) or tuple(models.map_names(found))
    for stage in asked:
        if stage not in has:
            raise UserError(
                f"The network has no map {stage!r}: set config.evals.linear_segmentation.stages to "
                f"some of {', '.join(has) or 'none'}."
            )
    if not asked:
        raise UserError(
            "The network has no maps of stages, blocks or convolutions whose places could be told "
            f"apart: {leave_out(LinearSegmentation.name)}."
        )
    return asked


def _check_places(run: Run) -> None:
    """Raises a `UserError` if maps are of other than the whole images."""
    method = run.experiment.method
    method = getattr(method, "own_inputs", None) or method
    if isinstance(method, PretextMethod) and not method.pretext.maps_have_places:
        raise UserError(
            f"The maps of {type(method).__name__} are means over parts of an image, which have none"
            " of its places: have it encode whole images, by config.method.probe='whole' of "
            f"jigsaw, or {leave_out(LinearSegmentation.name)}."
        )


def _maps(run: Run, method: Method | None, stages: tuple[str, ...]) -> Maps:
    """Makes the function that gives the maps of windows: of a method, or the raw pixels."""
    if method is None:
        return lambda state, windows: {_PIXELS: augment.to_float(windows)}
    _, seen = _sides(run)

    def maps(state: TrainState | None, windows: Array) -> dict[str, Array]:
        assert state is not None
        if windows.shape[1:3] != (seen, seen):  # Else the method would see their centres alone.
            resized = augment.resize(augment.to_float(windows), (seen, seen))
            windows = augment.to_bytes(resized)
        found = method.features(state, windows)
        return {stage: found[stage] for stage in stages}

    return maps


def _head(run: Run) -> models.NormalizedLinearHead:
    return models.NormalizedLinearHead(run.experiment.config.data.mask_classes)


def _optimizer(run: Run) -> optimizers.Optimizer:
    keys = run.config.linear_segmentation
    settings = dict(
        name="adamw",
        learning_rate=keys.learning_rate,
        schedule="linear",
        warmup_steps=keys.warmup_steps,
        weight_decay=keys.weight_decay,
        exclude=(),
    )
    return optimizers.build(
        settings, total_steps=keys.steps, steps_per_epoch=1.0, batch_size=keys.batch_size
    )


def _train(run: Run, maps: Maps, state: TrainState | None) -> _Heads:
    """Trains a head for each stage, all on the same windows."""
    keys = run.config.linear_segmentation
    source = run.open(run.config.train_split).source
    batch_size = -(-keys.batch_size // run.mesh.size) * run.mesh.size
    order = _order(len(source), keys.steps * batch_size)
    scan = run.experiment.scan(source, batch_size, order, may_keep=False)
    heads, sharding = _init(run, maps, state), mesh.batch_sharding(run.mesh)
    step = run.once(_stepper, maps)
    for number, batch in enumerate(scan):
        images, truth = (
            jax.make_array_from_process_local_data(sharding, batch[name])
            for name in ("image", "mask")
        )
        # However slow the device is, no more than one batch waits.
        jax.block_until_ready(heads)
        heads = step(state, heads, images, truth, np.int32(number))
    return heads


def _order(count: int, length: int) -> Int[np.ndarray, "{length}"]:
    """Places of so many images, each once before any comes again, shuffled anew every time."""
    passes = (np.random.default_rng([0, n]).permutation(count) for n in range(-(-length // count)))
    return np.concatenate(list(passes))[:length]


def _init(run: Run, maps: Maps, state: TrainState | None) -> _Heads:
    """The untrained heads, in whole on every device."""
    window, _ = _sides(run)
    images = jax.ShapeDtypeStruct((run.mesh.size, window, window, _channels(run)), np.uint8)
    head, tx = _head(run), _optimizer(run).tx

    def init(key: Array) -> _Heads:
        params, variables = {}, {}
        for stage, x in jax.eval_shape(maps, state, images).items():
            made = dict(head.init(key, jnp.zeros((1, *x.shape[1:]), x.dtype), False))
            params[stage] = made.pop("params")
            variables[stage] = made
        return _Heads(params, variables, tx.init(params))

    return jax.jit(init, out_shardings=mesh.replicated(run.mesh))(jax.random.key(0))


def _stepper(run: Run, maps: Maps) -> Callable[..., _Heads]:
    """Makes the jitted train step of all heads."""
    keys, head, tx = run.config.linear_segmentation, _head(run), _optimizer(run).tx
    window, _ = _sides(run)
    view = augment.ViewPolicy(window, crop_scale=None, flip_p=keys.flip_p)

    def step(
        state: TrainState | None,
        heads: _Heads,
        images: UInt8[Array, "batch size size channels"],
        truth: Int[Array, "batch size size"],
        number: Int[Array, ""],
    ) -> _Heads:
        key = jax.random.fold_in(jax.random.key(0), number)
        windows = augment.to_bytes(augment.scaled_view(view, keys.sizes, key, images))
        labels = augment.scaled_masks(view, keys.sizes, key, truth).reshape(-1)
        found = jax.lax.stop_gradient(maps(state, windows))

        def loss(params: PyTree) -> tuple[Array, PyTree]:
            total, changed = jnp.zeros(()), {}
            for stage, x in found.items():
                variables = {"params": params[stage], **heads.variables[stage]}
                logits, new = head.apply(variables, x, True, mutable=["batch_stats"])
                scores = models.resized(logits, window, window)
                total = total + classify(scores.reshape(-1, scores.shape[3]), labels)[0]
                changed[stage] = dict(new)
            return total, changed

        slopes, variables = jax.grad(loss, has_aux=True)(heads.params)
        updates, optimizer = tx.update(slopes, heads.optimizer, heads.params, step=number)
        params = jax.tree.map(jnp.add, heads.params, updates)
        return _Heads(params, variables, optimizer)

    return jax.jit(step, donate_argnums=1, out_shardings=mesh.replicated(run.mesh))


def _corners(size: int, window: int, overlap: float) -> list[int]:
    """Where windows begin: evenly, from border to border, and near enough to one another."""
    if window == size:
        return [0]
    count = 2 + int((size - window - 1) // max(1, int(window * (1 - overlap))))
    return [round(number * (size - window) / (count - 1)) for number in range(count)]


def _reader(run: Run, maps: Maps) -> Callable[..., dict[str, Array]]:
    """Makes the jitted function that gives the probabilities of each pixel, by stage."""
    head, (window, _) = _head(run), _sides(run)
    size = int(run.experiment.config.data.image_size)
    starts = _corners(size, window, run.config.linear_segmentation.overlap)
    corners = [(top, left) for top in starts for left in starts]
    classes = int(run.experiment.config.data.mask_classes)

    @jax.jit
    def read(state: TrainState | None, heads: _Heads, images: Array) -> dict[str, Array]:
        count, channels = len(images), images.shape[3]

        def add(totals: dict[str, Array], corner: Array) -> tuple[dict[str, Array], None]:
            start, added = (0, corner[0], corner[1], 0), {}
            windows = jax.lax.dynamic_slice(images, start, (count, window, window, channels))
            for stage, x in maps(state, windows).items():
                variables = {"params": heads.params[stage], **heads.variables[stage]}
                logits: Any = head.apply(variables, x, False)
                scores = models.resized(logits, window, window)
                seen = jax.lax.dynamic_slice(totals[stage], start, scores.shape)
                added[stage] = jax.lax.dynamic_update_slice(totals[stage], seen + scores, start)
            return added, None

        # One window after another: those of all corners together are many times the image.
        empty = jnp.zeros((count, size, size, classes))
        totals, _ = jax.lax.scan(add, dict.fromkeys(heads.params, empty), jnp.array(corners))
        seen = _seen(size, window, corners)
        return {stage: jax.nn.softmax(x / seen, axis=3) for stage, x in totals.items()}

    return read


def _seen(size: int, window: int, corners: list[tuple[int, int]]) -> np.ndarray:
    """How often the windows show each pixel."""
    counts = np.zeros((1, size, size, 1), np.float32)
    for top, left in corners:
        counts[:, top : top + window, left : left + window] += 1
    return counts
