r"""Paints one image in the style of another, or gives a photograph the colours of another.

python -m ssljax.tools.style_transfer --weights vgg19.safetensors --content photo.jpg \
    --style painting.jpg --out new.png

An image is optimised until a network sees in it the content of one image and the style of another
(Gatys et al., 2016). With `--photo` that is followed by a second optimisation that keeps to local
affine recolourings of the photograph, and by their smoothing (Luan et al., 2017). Masks say which
segments take their style from which: each colour of the content's mask from the same colour of the
style's, of blue, green, black, white, red, yellow, grey, lightblue and purple.

The network is VGG-19 with weights of torchvision, timm, or Caffe (`--inputs=caffe`), or the encoder
of a run of this library (`--workdir`). Published weights of the losses are for Caffe's VGG-19; with
other networks losses are relative to what they compare with, and scaled to the size that they have
there. What makes a style differs from network to network: Gram matrices of others than VGG look
different, and often worse.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import math
import sys
import time
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Num, UInt8

from ssljax.errors import UserError
from ssljax.ops.local_affine import EDGE, RADIUS, smooth_local_affine
from ssljax.optimizers.build import under_standard_promotion
from ssljax.optimizers.minimize import Minimizer, lbfgs
from ssljax.run.step import has_fast_control_flow
from ssljax.tools import command, images, style_masks
from ssljax.tools.style_networks import INPUTS, Image, StyleNetwork, open_run, open_vgg
from ssljax.tools.style_objective import (
    Constants,
    Weights,
    constants,
    objective,
    with_photorealism,
)

_STEPS, _MEMORY, _RATE, _LOG_EVERY, _SAVE_EVERY = 1000, 100, 10.0, 50, 100
_SIZE, _PHOTO_SIZE, _PHOTOREALISM = 512, 700, 1e4
_GREY, _NOISE, _LEVELS = (123.68, 116.779, 103.939), 1e-3, 255.0
"""What a random image is: the mean colour of ImageNet, and noise of a thousandth of a level."""


class Stage(NamedTuple):
    """One optimisation.

    Attributes:
      name: In progress and in the names of files; empty where there is one alone.
      weights: Of its losses.
      constants: What its images are compared with.
    """

    name: str
    weights: Weights
    constants: Constants


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
      arguments: Those after the program's name; by default the command line's.

    Returns:
      The exit status: 0, or 2 after a mistake in the input.
    """
    options = _parser().parse_args(arguments)
    return command.answer(lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    _check(options)
    content, style, segments = _read(options)
    network = open_run(options.workdir) if options.workdir else _vgg(options)
    network = network.with_layers(
        _names(options.content_layers), _names(options.style_layers), content
    )
    network.sizes(style)
    weights = Weights(options.content_weight, options.style_weight, options.variation_weight)
    seen = constants(network, content, style, segments)
    stages = [Stage("", weights, seen)]
    if options.photo:
        exact = dataclasses.replace(weights, photorealism=options.photorealism_weight)
        stages = [
            Stage("stage1", weights, seen),
            Stage("stage2", exact, with_photorealism(seen, content)),
        ]
    image = _start(options, content)
    start = time.perf_counter()
    for stage in stages:
        image = _optimise(options, network, stage, image)
        if options.photo:
            _write(_beside(options.out, stage.name), image)
    made = np.asarray(image) / _LEVELS
    if options.photo:
        photograph = np.asarray(content, np.float64) / _LEVELS
        made = smooth_local_affine(made, photograph, options.radius, options.edge)
    _write(options.out, _LEVELS * made)
    print(f"{time.perf_counter() - start:.1f} s; wrote {options.out}")


def _vgg(options: argparse.Namespace) -> StyleNetwork:
    return open_vgg(options.weights, options.inputs, options.seed)


def _optimise(
    options: argparse.Namespace, network: StyleNetwork, stage: Stage, image: Image
) -> Image:
    """Takes the steps of a stage, and says and shows on the way how far it is."""
    loss = functools.partial(objective, network, stage.weights)
    minimizer = Minimizer(loss, _optimizer(options), in_loop=has_fast_control_flow())
    search, done, start = minimizer.start(image), 0, time.perf_counter()
    block = math.gcd(options.log_every, options.save_every or options.log_every)
    title = f"{stage.name}, " if stage.name else ""
    while done < options.steps:
        count = min(block, options.steps - done)
        search, parts = minimizer.run(search, stage.constants, count)
        last = {name: float(values[-1]) for name, values in parts.items()}
        done += count
        if not math.isfinite(sum(last.values())):
            raise UserError(
                f"The losses are not finite at step {done} ({_told(last)}): ask for smaller "
                "weights, or another network."
            )
        if done % options.log_every == 0 or done == options.steps:
            seconds = (time.perf_counter() - start) / done
            told = f"{title}step {done} of {options.steps}: {_told(last)}; {seconds:.2f} s a step"
            print(told, file=sys.stderr, flush=True)
        if options.save_every and done % options.save_every == 0 and done < options.steps:
            _write(_beside(options.out, f"{stage.name or 'step'}-{done:05d}"), search.point)
    return search.point


def _optimizer(options: argparse.Namespace) -> optax.GradientTransformation:
    if options.optimizer == "lbfgs":
        return lbfgs(options.memory)
    return under_standard_promotion(optax.adam(options.rate))


def _told(parts: dict[str, float]) -> str:
    total = f"loss {sum(parts.values()):.4g}"
    return ", ".join([total, *(f"{name} {value:.4g}" for name, value in parts.items())])


def _check(options: argparse.Namespace) -> None:
    images.check_target(options.out)
    if bool(options.weights) == bool(options.workdir):
        raise UserError(
            "Name one network: --weights with a file of VGG-19's weights (or random), or --workdir "
            "with that of a run."
        )
    if bool(options.content_mask) != bool(options.style_mask):
        raise UserError("--content_mask and --style_mask go together: name both, or neither.")
    for name in ("steps", "memory", "log_every", "size", "style_size", "radius", "edge", "rate"):
        value = getattr(options, name)
        if value is not None and not 0 < value < np.inf:
            raise UserError(f"--{name} is {value}; it must be above 0.")
    if not 0 <= options.seed < 2**32:
        raise UserError(f"--seed is {options.seed}; it must be from 0 to {2**32 - 1}.")
    for name in (
        *("content_weight", "style_weight", "variation_weight", "photorealism_weight"),
        "save_every",
    ):
        if not 0 <= getattr(options, name) < np.inf:
            raise UserError(f"--{name} is {getattr(options, name)}; it must be 0 or more.")


def _read(
    options: argparse.Namespace,
) -> tuple[Image, Image, tuple[style_masks.Segments, style_masks.Segments] | None]:
    """Both images, and their common segments, at the sizes that are asked for."""
    content = images.read_image(options.content, channels=3)
    style = images.read_image(options.style, channels=3)
    size = options.size or (_PHOTO_SIZE if options.photo else _SIZE)
    sides = size, options.style_size or size
    segments = None
    if options.content_mask:
        masks = [images.read_image(p, 3) for p in (options.content_mask, options.style_mask)]
        images.check_same_size(
            content=(options.content, content), content_mask=(options.content_mask, masks[0])
        )
        images.check_same_size(
            style=(options.style, style), style_mask=(options.style_mask, masks[1])
        )
        names = options.content_mask, options.style_mask
        common = style_masks.read_segments(masks[0], masks[1], names)
        print(f"segments: {', '.join(common)}", file=sys.stderr)
        of_content, of_style = (
            _shrunk(np.stack(part, axis=2), side).transpose(2, 0, 1)
            for part, side in zip(zip(*common.values(), strict=True), sides, strict=True)
        )
        segments = of_content, of_style
    return _shrunk(content, sides[0]), _shrunk(style, sides[1]), segments


def _shrunk(
    image: UInt8[np.ndarray, "_ _ _"] | Bool[np.ndarray, "_ _ _"], side: int
) -> Float[Array, "_ _ _"]:
    """An image, or masks, of which the longer side is no longer than this."""
    height, width = image.shape[:2]
    factor = min(1.0, side / max(height, width))
    shape = max(1, round(factor * height)), max(1, round(factor * width)), image.shape[2]
    return jax.image.resize(jnp.asarray(image, jnp.float32), shape, "linear")


def _start(options: argparse.Namespace, content: Image) -> Image:
    """Where the first stage begins."""
    if options.init == "content":
        return content
    noise = jax.random.normal(jax.random.key(options.seed), content.shape)
    return jnp.asarray(_GREY).reshape(1, 1, -1) + _NOISE * noise


def _names(typed: str) -> list[str]:
    return [name.strip() for name in typed.split(",") if name.strip()]


def _beside(out: str, what: str) -> str:
    """The file `new.png` with something more in its name."""
    stem = out[: -len(PurePosixPath(out).suffix)]
    return f"{stem}-{what}.png"


def _write(path: str, levels: Num[np.ndarray, "height width 3"] | Image) -> None:
    images.write_image(path, np.clip(np.rint(np.asarray(levels)), 0, 255).astype(np.uint8))


def _parser() -> argparse.ArgumentParser:
    usual = Weights()
    parser = argparse.ArgumentParser(
        prog="python -m ssljax.tools.style_transfer", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add("--content", required=True, help="the image that is painted anew")
    add("--style", required=True, help="the image whose style it gets")
    add("--out", required=True, help="the PNG file to write; others are written beside it")
    add("--weights", default="", help="a file of VGG-19's weights, safetensors or .pth; or random")
    add("--workdir", default="", help="or a run of this library, whose encoder is taken")
    add("--inputs", choices=INPUTS, default=INPUTS[0], help="what the file's weights are for")
    add("--photo", action="store_true", help="keep to local affine recolourings, in two stages")
    add("--content_mask", default="", help="segments of the content, in the size of the image")
    add("--style_mask", default="", help="those of the style, in the same colours")
    add("--size", type=int, help=f"longest side of the result ({_SIZE}, --photo: {_PHOTO_SIZE})")
    add("--style_size", type=int, help="longest side at which the style is seen (as --size)")
    add("--init", choices=("random", "content"), default="random", help="what it begins with")
    add("--seed", type=int, default=0, help="of a random beginning, and of random weights")
    add("--steps", type=int, default=_STEPS, help=f"of each stage ({_STEPS})")
    add("--optimizer", choices=("lbfgs", "adam"), default="lbfgs", help="L-BFGS, or Adam")
    add("--rate", type=float, default=_RATE, help=f"learning rate of Adam, in levels ({_RATE:g})")
    add("--memory", type=int, default=_MEMORY, help=f"steps that L-BFGS remembers ({_MEMORY})")
    add("--content_layers", default="", help="names with commas between them (relu4_2 of VGG-19)")
    add("--style_layers", default="", help="likewise (relu1_1 to relu5_1)")
    add("--log_every", type=int, default=_LOG_EVERY, help=f"steps between lines ({_LOG_EVERY})")
    add(
        "--save_every",
        type=int,
        default=_SAVE_EVERY,
        help=f"steps between intermediate images; 0 for none ({_SAVE_EVERY})",
    )
    add("--radius", type=int, default=RADIUS, help=f"of the smoothing of --photo ({RADIUS} pixels)")
    weights = {
        "content_weight": (usual.content, "of the content's layers"),
        "style_weight": (usual.style, "of each layer of style"),
        "variation_weight": (usual.variation, "of the total variation"),
        "photorealism_weight": (_PHOTOREALISM, "of what is no local affine recolouring"),
        "edge": (EDGE, "colours that the smoothing keeps apart, of a range of 1"),
    }
    for name, (default, told) in weights.items():
        add(f"--{name}", type=float, metavar="X", default=default, help=f"{told} ({default:g})")
    return parser


if __name__ == "__main__":
    sys.exit(main())
