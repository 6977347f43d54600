"""Transfer: what an encoder that learnt from one data set knows of others."""

from __future__ import annotations

from typing import NamedTuple

from ml_collections import ConfigDict

from ssljax.errors import UserError
from ssljax.evals.contract import Evaluation, Run, Scores, leave_out
from ssljax.evals.few_label import FewLabel
from ssljax.evals.knn import Knn
from ssljax.evals.linear import Linear
from ssljax.evals.mlp import Mlp
from ssljax.evals.svm import Svm
from ssljax.methods.contract import TrainState

PROBES: dict[str, type[Evaluation]] = {
    probe.name: probe for probe in (Knn, Linear, Mlp, FewLabel, Svm)
}
"""Evaluations of frozen features, by name."""


class Elsewhere(NamedTuple):
    """A data set to be scored on.

    Attributes:
      name: As in `config.data.name`.
      train_split: To learn from.
      test_split: To report on.
      dir: As in `config.data.dir`; empty for that of the evaluations.
    """

    name: str
    train_split: str
    test_split: str
    dir: str = ""


class Transfer(Evaluation):
    """Scores of probes on other data sets, as "<set>/knn20" and so on, in one table.

    A set is a name, with the splits of `config.evals`, or a name with two splits of its own, and
    with a directory where it is in another one, such as ("folder", "train", "test", DIR). Its
    images are brought to the size and the channels of the run's, the network stays frozen, and
    probes learn the set's own classes. Features have TFDS's usual names there, "image" and "label".
    Each probe has the keys that it has by itself, such as `config.evals.linear.epochs`.

    Reference:
      Kornblith et al., Do Better ImageNet Models Transfer Better?, 2019, section 4.1.
    """

    name = "transfer"

    @staticmethod
    def default_config() -> ConfigDict:
        """No set."""
        return ConfigDict(
            dict(
                # Such as ("mnist", ("tiny_imagenet_100", "train[:20%]", "validation"),
                # ("folder", "train", "test", "/images")).
                sets=(),
                probes=("knn", "linear"),  # What scores each of them.
                pixels=True,  # Whether raw pixels, which are alike for all runs, are a baseline.
            )
        )

    def check(self, run: Run) -> tuple[str, ...]:
        """Raises a `UserError` if a probe is not possible on one of the sets."""
        sets = _sets(run)
        if not sets:
            raise UserError(
                "config.evals.transfer.sets names no data set to score on: name some, such as "
                f"('mnist', ('tiny_imagenet_100', 'train', 'validation')), or "
                f"{leave_out(self.name)}."
            )
        names = [one.name for one in sets]
        if twice := [name for name in names if names.count(name) > 1]:
            raise UserError(
                f"config.evals.transfer.sets names {twice[0]!r} twice, and scores are called by "
                "their set: name it once."
            )
        return tuple(f"{one.name}/{score}" for one in sets for score in _check(run, one))

    def score(self, run: Run, state: TrainState | None) -> Scores:
        """Scores a state on each set."""
        values: dict[str, float] = {}
        if state is None and not run.config.transfer.pixels:
            return Scores(values)
        for one in _sets(run):
            there = run.elsewhere(*one)
            for probe in _probes(run):
                found = probe.score(there, state).values
                values |= {f"{one.name}/{score}": value for score, value in found.items()}
            there.forget()
        return Scores(values)


def _check(run: Run, one: Elsewhere) -> list[str]:
    """The scores of all probes on a set; of its directory messages say where that is named."""
    there = run.elsewhere(*one)
    try:
        return [score for probe in _probes(run) for score in probe.check(there)]
    except UserError as error:
        if not one.dir:
            raise
        told = str(error).replace("config.data.dir", "config.evals.transfer.sets")
        raise UserError(told) from error


def _probes(run: Run) -> list[Evaluation]:
    return [PROBES[name]() for name in dict.fromkeys(run.config.transfer.probes)]


def _sets(run: Run) -> list[Elsewhere]:
    splits = run.config.train_split, run.config.test_split
    return [
        Elsewhere(one, *splits) if isinstance(one, str) else Elsewhere(*one)
        for one in run.config.transfer.sets
    ]
