"""The command line.

python -m ssljax.main --config FILE --workdir DIR [--config.key=value ...]
    [--mode=train|evaluate|sample]
"""

from __future__ import annotations

import contextlib
import logging
import pathlib
import sys
from collections.abc import Iterator

from absl import flags

from ssljax import config as configs
from ssljax import config_file, evaluate, mesh, sample, train
from ssljax.errors import MissingScores, UserError

_USAGE_STATUS = 2
_DIVERGED_STATUS = 1
_MISSING_SCORES_STATUS = 1
_TERMINATED_STATUS = 143  # 128 + SIGTERM: what Slurm and Kubernetes read as preempted.


def parse(arguments: list[str]) -> flags.FlagValues:
    """Parses a command line.

    Args:
      arguments: The program's name, then the options.

    Returns:
      The options, `config` among them with all of its overrides.

    Raises:
      UserError: for every mistake in it.
    """
    values = flags.FlagValues()
    flags.DEFINE_string(
        "workdir", None, "Where the run writes, and from where it resumes.", flag_values=values
    )
    flags.DEFINE_enum(
        "mode",
        "train",
        ["train", "evaluate", "sample"],
        "train: train, or go on, and evaluate at the end. evaluate: score the newest checkpoint. "
        "sample: write images that its generator draws.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "distributed",
        False,
        "Join the other processes of the cluster (TPU pod, Slurm, Kubernetes).",
        flag_values=values,
    )
    flags.DEFINE_bool("help", False, "Show this help.", short_name="h", flag_values=values)
    rest = config_file.read_command_line(arguments, values)
    if len(rest) > 1:
        raise UserError(f"{rest[1]!r} is not an option: options start with --.")
    for option in ("config", "workdir"):
        if values[option].value is None and not values.help:
            raise UserError(f"--{option} is missing; see --help.")
        if values[option].value == "":
            raise UserError(f"--{option} is empty: give it a path.")
    return values


def _run(options: flags.FlagValues) -> int:
    configs.check(options.config)
    mesh.start_hosts(options.distributed)
    workdir = pathlib.Path(options.workdir).absolute()
    if options.mode == "evaluate":
        evaluate.evaluate_checkpoint(options.config, workdir)
        return 0
    if options.mode == "sample":
        sample.sample_checkpoint(options.config, workdir)
        return 0
    return 0 if train.train(options.config, workdir) else _TERMINATED_STATUS


@contextlib.contextmanager
def _logging_to_stderr() -> Iterator[None]:
    """Shows what ssljax tells, and of the libraries under it only warnings, once."""
    logger, handler = logging.getLogger("ssljax"), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname).1s %(message)s"))
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for noisy in ("absl", "orbax", "jax", "grain", "tensorboardX"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line.

    Args:
      arguments: The command line with the program's name first; `sys.argv` if None.

    Returns:
      The exit status: 0 when done; 2 after a mistake in the input, told in one sentence; 1 when a
      loss became NaN or a score could not be computed; 143 when the run was terminated and has
      saved its state.
    """
    try:
        options = parse(sys.argv if arguments is None else arguments)
        if options.help:
            print(__doc__, options.main_module_help(), sep="\n")
            return 0
        with _logging_to_stderr():
            return _run(options)
    except UserError as error:
        print(f"ssljax: {error}", file=sys.stderr)
        return _USAGE_STATUS
    except train.DivergedError as error:
        print(f"ssljax: {error}", file=sys.stderr)
        return _DIVERGED_STATUS
    except MissingScores as error:
        print(f"ssljax: {error}", file=sys.stderr)
        return _MISSING_SCORES_STATUS


if __name__ == "__main__":
    sys.exit(main())
