"""The command line.

python -m ssljax.main --config CONFIG --workdir DIR [--config.key=value ...]
    [--mode=train|evaluate|sample|translate|embed|export]
python -m ssljax.main --list

CONFIG is a name that --list shows, such as simclr/cifar10, or the path of a config file.

Exit status: 0 when all is done; 2 after a mistake in the input, reported in one sentence; 1 when a
run that had begun cannot go on (its loss or state is not finite, a disk is full) or a score is
missing; 130 after Ctrl-C and 143 after SIGTERM, with the state of a run that trained saved. The
same command goes on from there.
"""

from __future__ import annotations

import contextlib
import logging
import pathlib
import signal
import sys
import warnings
from collections.abc import Iterator

from ssljax import catalog
from ssljax.run import cores, signals

if __name__ == "__main__":
    if sys.argv[1:] == ["--list"]:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Whoever reads may stop early, as head does.
        print(catalog.table())
        sys.exit()
    cores.use_huge_pages()
    signals.end_at_interrupts()  # The libraries below take seconds to load.

from absl import flags

from ssljax import config as configs
from ssljax import embed, evaluate, export, paths, sample, train, translate
from ssljax.config import file as config_file
from ssljax.errors import StoppedError, UserError, is_full, is_refused, refusal
from ssljax.run import hosts, late_writes

_USAGE_STATUS = 2
_STOPPED_STATUS = 1


def parse(arguments: list[str]) -> flags.FlagValues:
    """Parses a command line.

    Args:
      arguments: The program's name, then the options.

    Returns:
      The options, `config` among them with all of its overrides.

    Raises:
      UserError: For every mistake in it.
    """
    values = flags.FlagValues()
    flags.DEFINE_string(
        "workdir", None, "Where the run writes, and from where it resumes.", flag_values=values
    )
    flags.DEFINE_enum(
        "mode",
        "train",
        ["train", "evaluate", "sample", "translate", "embed", "export"],
        "train: train, or go on, and evaluate at the end. evaluate: score the newest checkpoint. "
        "sample: write images that its generator draws. translate: write what it makes of the "
        "images in config.translate.dir. embed: write the features of the images in "
        "config.embed.dir. export: write its network for other programs.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "distributed",
        False,
        "Join the other processes of the cluster (TPU pod, Slurm, Kubernetes).",
        flag_values=values,
    )
    flags.DEFINE_bool("list", False, "Show the configs and their variants.", flag_values=values)
    flags.DEFINE_bool("help", False, "Show this help.", short_name="h", flag_values=values)
    rest = config_file.read_command_line(arguments, values)
    if len(rest) > 1:
        raise UserError(f"{rest[1]!r} is not an option: options start with --.")
    for option in ("config", "workdir"):
        if values[option].value is None and not (values.help or values.list):
            raise UserError(f"--{option} is missing; see --help.")
        if values[option].value == "":
            raise UserError(f"--{option} is empty: give it a path.")
    return values


def _run(options: flags.FlagValues, workdir: paths.Path) -> int:
    configs.check(options.config)
    cores.start(options.config, options.distributed)
    hosts.start(options.distributed)
    if options.mode == "evaluate":
        evaluate.evaluate_checkpoint(options.config, workdir)
        return 0
    if options.mode == "sample":
        sample.sample_checkpoint(options.config, workdir)
        return 0
    if options.mode == "translate":
        translate.translate_folder(options.config, workdir)
        return 0
    if options.mode == "embed":
        embed.embed_folder(options.config, workdir)
        return 0
    if options.mode == "export":
        export.export_checkpoint(options.config, workdir)
        return 0
    stopped_by = train.train(options.config, workdir)
    # As a shell reports it; Slurm and Kubernetes read 143 as preempted.
    return 0 if stopped_by is None else 128 + stopped_by


@contextlib.contextmanager
def _logging_to_stderr() -> Iterator[None]:
    """Shows the messages of ssljax, and only warnings of the libraries below it, once."""
    logger, handler = logging.getLogger("ssljax"), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname).1s %(message)s"))
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for noisy in ("absl", "orbax", "jax", "grain", "tensorboardX"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # Orbax and gcsfs also raise the failures that they log, and those are reported in one sentence.
    # The coroutines that Orbax leaves behind then need no warning.
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)
    logging.getLogger("absl").addFilter(_is_not_of_orbax)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before


def _is_not_of_orbax(record: logging.LogRecord) -> bool:
    return "orbax" not in record.pathname


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line.

    Args:
      arguments: The command line with the program's name first; `sys.argv` if None.

    Returns:
      The exit status: 0 when done; 2 after a mistake in the input, reported in one sentence; 1 when
      a run that had begun cannot go on, as its loss or its state is not finite or a disk is full,
      or when a score could not be computed; 130 or 143 when SIGINT (Ctrl-C) or SIGTERM stopped a
      run and its state is saved.
    """
    workdir: paths.Path = pathlib.Path()
    try:
        options = parse(sys.argv if arguments is None else arguments)
        if options.help:
            print(__doc__, *map(options.module_help, options.flags_by_module_dict()), sep="\n")
            return 0
        if options.list:
            print(catalog.table())
            return 0
        with _logging_to_stderr():
            workdir = paths.resolve(options.workdir)
            return _run(options, workdir)
    except UserError as error:
        told, status = str(error), _USAGE_STATUS
    except StoppedError as error:
        told, status = str(error), _STOPPED_STATUS
    except Exception as error:
        if not is_refused(error):
            raise
        told, status = refusal(error, workdir), _STOPPED_STATUS if is_full(error) else _USAGE_STATUS
    print(f"ssljax: {told}", file=sys.stderr)
    return status


if __name__ == "__main__":
    late_writes.pass_over()
    sys.exit(main())
