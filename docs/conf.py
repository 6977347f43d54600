"""How Sphinx builds the documentation: `make docs`."""

import importlib.metadata
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
# The programs of notebooks run for seconds: it does not pay to optimise them.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")])
)

project = "ssljax"
author = copyright = "The ssljax authors"
release = version = importlib.metadata.version("ssljax")
extensions = [
    "from_code",
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build", "made", "examples"]
html_theme = "sphinx_book_theme"
html_title = f"ssljax {version}"
html_theme_options = {"show_toc_level": 2, "home_page_in_toc": True}
html_show_sphinx = False

autodoc_typehints = "none"
autodoc_member_order = "bysource"
# In docstrings one backtick stands for code.
default_role = "code"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Returns", "returns_style"), ("Reference", "notes_style")]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 1200
nb_execution_show_tb = True
nb_merge_streams = True
