"""The shipped configs: all are listed, with their variants, and listing them loads no library."""

import subprocess
import sys
import typing

import runs

from ssljax import catalog, main
from ssljax.config import file as config_file


def test_every_config_is_listed_with_its_variants_and_its_first_line(capsys):
    assert main.main(["ssljax", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    files = sorted((runs.ROOT / "configs").glob("*/*.py"))
    assert len(lines) == len(files) > 0
    for line, file in zip(lines, files, strict=True):
        get_config = config_file._get_config(str(file))
        hints = [x for x in typing.get_type_hints(get_config).values() if typing.get_args(x)]
        variants = [f":{x}" for hint in hints for x in typing.get_args(hint) if x]
        name = f"{file.parent.name}/{file.stem}" + (f"[{'|'.join(variants)}]" if variants else "")
        assert line.split() == [name, *get_config.__doc__.splitlines()[0].split()]


def test_listing_the_configs_loads_neither_jax_nor_the_methods(tmp_path):
    command = [sys.executable, "-X", "importtime", "-m", "ssljax.main", "--list"]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(runs.ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stdout == catalog.table() + "\n"
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "ssljax.catalog" in loaded
    assert not loaded & {"jax", "numpy", "ml_collections", "ssljax.methods", "ssljax.config"}


def test_the_help_says_what_config_takes(capsys):
    assert main.main(["ssljax", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "--config: A name that --list shows, such as simclr/cifar10, or the path" in told
