"""Images that a trained generator draws, as files."""

from __future__ import annotations

import logging
import math

import jax
import numpy as np
from ml_collections import ConfigDict

from ssljax import methods, paths, report
from ssljax.errors import UserError
from ssljax.evals import Run, sampling
from ssljax.evals.pictures import check_channels
from ssljax.evaluate import newest_state
from ssljax.mesh import to_host
from ssljax.methods.protocols import Generator
from ssljax.run import pretrained
from ssljax.run import workdir as workdirs
from ssljax.run.experiment import Experiment

_log = logging.getLogger(__name__)


def sample_checkpoint(config: ConfigDict, workdir: paths.Path) -> list[paths.Path]:
    """Draws images from the newest checkpoint of a workdir.

    Args:
      config: The resolved config: the same seed, checkpoint and `samples.count` give the same
        images.
      workdir: That of the training run; the files are written to `samples/` in it.

    Returns:
      The files: `sample_<step>_<number>.png` and, of all of them, `grid_<step>.png`.

    Raises:
      UserError: If the method generates no images, or there is no checkpoint, or it is of another
        model.
    """
    if not issubclass(methods.REGISTRY[config.method.name], Generator):
        raise UserError(
            f"The method {config.method.name} generates no images: --mode=sample is for generators."
        )
    config = pretrained.resolve(config, workdir)
    workdirs.check(config, workdir, others=("seed",))
    experiment = Experiment(config, pretrained.recorded(workdir))
    check_channels(experiment.task.image_shape[2], "--mode=sample writes no others")
    state, count = newest_state(experiment, workdir), config.samples.count
    key = sampling.picture_key(config.seed)
    generator = Run(experiment).generator(state)
    drawn = sampling.make_sampler(generator, experiment.mesh)(state, key, count)
    images: np.ndarray = to_host(drawn)
    pictures = {
        f"sample_{int(state.step)}_{number:0{len(str(count - 1))}d}": image
        for number, image in enumerate(images)
    }
    pictures[f"grid_{int(state.step)}"] = report.grid(images, math.ceil(math.sqrt(count)))
    directory = workdir / "samples"
    files = [directory / f"{name}.png" for name in pictures]
    if jax.process_index() == 0:
        paths.make_directory(directory)
        for file, picture in zip(files, pictures.values(), strict=True):
            file.write_bytes(report.encode_png(picture))
        _log.info("Wrote %d images and a grid of them to %s.", count, directory)
    return files
