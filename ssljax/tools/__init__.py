"""Programs that are not training: `python -m ssljax.tools.<name>`."""
