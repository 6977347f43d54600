"""Every command that README and the documentation show is one that the program takes."""

import functools
import importlib.util
import pathlib
import re
import shlex

import pytest
import runs

from ssljax import catalog, main, methods
from ssljax import config as configs

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
    origin = pathlib.Path(spec.origin)
    text = origin.read_text() + "".join(
        file.read_text() for file in [*origin.parent.glob("*.py"), *(_page_files())]
    )
    for option in re.findall(r" --([a-z]\w*)(?=[ =\]]|$)", command):
        assert f"--{option}" in text or f'"{option}"' in text, option


def _page_files():
    return (runs.ROOT / "ssljax" / "page").glob("*.py")


def test_every_config_that_is_named_is_shipped():
    wrong = {
        name
        for page in PAGES
        for name in re.findall(r"--config[ =](\w+/\w+)(?![\w/])", page.read_text(encoding="utf-8"))
        if name not in catalog.files()
    }
    assert not wrong
