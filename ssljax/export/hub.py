"""A folder on the Hugging Face Hub. Nothing is pushed unless `config.export.push` asks for it."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence

from ssljax import paths
from ssljax.errors import UserError, brief


def check(name: str, directory: paths.Path) -> None:
    """Raises a `UserError` if a folder cannot be pushed under this name."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise UserError(
            f"config.export.push={name!r} is impossible: it must be USER/NAME, as on the Hub."
        )
    if importlib.util.find_spec("huggingface_hub") is None:
        raise UserError("config.export.push needs huggingface-hub: pip install 'ssljax[hub]'.")
    if paths.is_remote(directory):
        raise UserError(
            f"{directory} lies in a bucket, and config.export.push reads a folder on a disk: name "
            "one in config.export.dir."
        )


def push(directory: paths.Path, name: str, files: Sequence[str], private: bool) -> str:
    """Puts files of a folder into a repository of models, which is made if there is none.

    Args:
      directory: On a disk.
      name: USER/NAME.
      files: Names of those that are pushed; all else in the folder stays where it is.
      private: Whether the owner alone may see them.

    Returns:
      Where it can be seen.

    Raises:
      UserError: If the Hub refuses it, as without a login, or what is to be private is public
        there.
    """
    import huggingface_hub

    hub = huggingface_hub.HfApi()
    try:
        address = hub.create_repo(name, private=private, exist_ok=True)
        if private and not hub.model_info(name).private:
            raise UserError(
                f"{name} is there already, and everyone can see it: set config.export.private="
                "False, or name another in config.export.push."
            )
        hub.upload_folder(
            repo_id=name,
            folder_path=str(directory),
            allow_patterns=list(files),
            commit_message="Weights from ssljax",
        )
    except UserError:
        raise
    except Exception as error:  # Of several libraries.
        raise UserError(
            f"{name} cannot be pushed to the Hub ({brief(error)}): log in with `hf auth login`; "
            f"what was written is in {directory}."
        ) from error
    return str(address)
