"""Every command that README and the documentation show is one that the program takes."""

import functools
import importlib.util
import pathlib
import re
import shlex

import cv2
import numpy as np
import pytest
import runs
import workdirs

from ssljax import catalog, main, methods
from ssljax import config as configs
from ssljax.page import command as command_of_report

PAGES = [runs.ROOT / "README.md", *sorted((runs.ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if page.parent.name not in ("made", "_build")]
_OPTION = re.compile(r"--(?:no)?config\.([\w.]+)")
_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
_CODE = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")


def _commands():
    """Lines of shell blocks, and code in sentences and tables, with the page that each is from."""
    found = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        lines = [line for block in _BLOCK.findall(text) for line in block.splitlines()]
        spans = [" ".join(code.replace("\\|", "|").split()) for code in _CODE.findall(text)]
        for command in [*lines, *spans]:
            if "-m ssljax" in command or "-m benchmarks" in command or "--config" in command:
                found.setdefault(command.partition("#")[0].strip(), page.name)
    return found


COMMANDS = _commands()
PROGRAMS = [x for x in COMMANDS if re.search(r"-m (ssljax\.(?!main)|benchmarks\.)\w", x)]
RUNS = [
    x
    for x in COMMANDS
    if re.search(r"--config \w+/[\w/.:]*\w( |$)", x) and "[" not in x and x not in PROGRAMS
]


@functools.cache
def _known_keys():
    """The keys of any method."""
    return {key for name in methods.REGISTRY for key in configs.flatten(configs.base_config(name))}


def test_there_are_commands():
    assert len(COMMANDS) > 60
    assert len(RUNS) > 10
    assert len(PROGRAMS) > 3


def test_every_key_that_is_shown_is_a_key():
    known = {"key", "KEY"} | _known_keys()
    known |= {key.rpartition(".")[0] for key in known}  # Groups, as in `--config.data.`.
    wrong = {
        (key, page)
        for command, page in COMMANDS.items()
        for key in _OPTION.findall(command)
        if key.rstrip(".") not in known
    }
    assert not wrong


@pytest.mark.parametrize("command", RUNS)
def test_a_run_that_is_shown_is_one_that_the_command_line_takes(command):
    words = shlex.split(command.replace("...", ""))
    options = words[next(k for k, word in enumerate(words) if word.startswith("--")) :]
    options = [word for word in options if word != "]"]
    if not any(word.startswith("--workdir") for word in options):
        options.append("--workdir=runs/x")
    config = options[options.index("--config") + 1]
    if config.endswith(".py"):
        options[options.index("--config") + 1] = str(runs.ROOT / config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(methods, "REGISTRY", dict(methods.REGISTRY))
        asked = main.parse(["ssljax", *(x.replace("=N", "=1") for x in options)])
        configs.check(asked.config)


@pytest.mark.parametrize("command", PROGRAMS)
def test_a_program_that_is_shown_is_there_and_knows_its_options(command):
    module = re.search(r"-m ([\w.]+\w)", command)[1]
    spec = importlib.util.find_spec(module)
    assert spec is not None
    if spec.submodule_search_locations:
        spec = importlib.util.find_spec(f"{module}.__main__")
    files = [pathlib.Path(spec.origin)]
    if module == "ssljax.report":
        files.append(pathlib.Path(command_of_report.__file__))
    text = "".join(file.read_text() for file in files)
    for option in re.findall(r" --([a-z]\w*)(?=[ =\]]|$)", command):
        assert f"--{option}" in text or f'"{option}"' in text, option


def _shown(beginning):
    """The commands of the documentation that begin so, their words apart."""
    return [shlex.split(x) for x in COMMANDS if x.startswith(beginning)]


def test_the_commands_of_the_quickstart_run(tmp_path, capsys):
    """As they are shown, but of a tiny network and of few steps, and in one process."""
    (tmp_path / "images").mkdir()
    image = np.arange(64, dtype=np.uint8).reshape(8, 8)
    for number in range(3):
        cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), image + number)
    tiny = [f"--config.{key}={value}" for key, value in (runs.TINY | {"steps": 2}).items()]
    commands = _shown("python -m ssljax.main --config simclr/digits --workdir runs/quickstart")
    assert ["--mode=" in " ".join(words) for words in commands].count(False) == 1
    embedding = next(words for words in commands if "--mode=embed" in words)
    training = next(words for words in commands if not any("--mode" in x for x in words))
    export = [*training, "--mode=export", "--config.export.format=stablehlo"]
    places = {"runs/quickstart": str(tmp_path / "run")}
    for words in (training, embedding, export):
        asked = [places.get(x, x).replace("IMAGES", str(tmp_path / "images")) for x in words[3:]]
        assert main.main(["ssljax", *asked, *tiny]) == 0, words
    written = {path.name for path in (tmp_path / "run").rglob("*")}
    assert {"metrics.jsonl", "embeddings.npy", "files.csv", "map.png", "README.md"} <= written
    assert any(name.endswith(".stablehlo") for name in written)
    capsys.readouterr()
    assert main.main(["ssljax", "--list"]) == 0
    assert "simclr/digits" in capsys.readouterr().out


def test_the_command_of_a_report_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (words,) = _shown("python -m ssljax.report runs/")
    for place in (word for word in words[3:] if word.startswith("runs/")):
        workdirs.write(tmp_path / place, "simclr", {}, {})
    assert command_of_report.main(words[3:]) == 0
    assert (tmp_path / "compared.html").exists()


def test_every_config_that_is_named_is_shipped():
    wrong = {
        name
        for page in PAGES
        for name in re.findall(r"--config[ =](\w+/\w+)(?![\w/])", page.read_text(encoding="utf-8"))
        if name not in catalog.files()
    }
    assert not wrong
