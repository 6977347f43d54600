"""The model card of what is exported."""

from __future__ import annotations

from ssljax import methods, paths
from ssljax.export.subject import Subject, shown_share, told
from ssljax.run import workdir as workdirs

_LIBRARIES = {"timm": "timm", "torchvision": "torchvision", "stablehlo": "jax", "onnx": "onnx"}


def write_card(
    subject: Subject, workdir: paths.Path, directory: paths.Path, format_name: str, usage: str
) -> None:
    """Writes `README.md`: what was learnt, on what, how it scores, and how it is used.

    Args:
      subject: What is exported.
      workdir: That of its run, from which scores of the same step are taken.
      directory: For the file.
      format_name: Of the export.
      usage: How to load the files, as Markdown.
    """
    config = subject.config
    kind = methods.REGISTRY[config.method.name]
    first = (kind.__doc__ or "").strip().split("\n")[0]
    scores = _scores(workdir, subject.step)
    parts = [
        "---\n"
        f"library_name: {_LIBRARIES[format_name]}\n"
        "pipeline_tag: image-feature-extraction\n"
        "tags:\n- self-supervised-learning\n- ssljax\n"
        "---",
        f"# {config.method.name} on {config.data.name}",
        f"The {subject.method.evaluated} of a run of ssljax, method `{config.method.name}` "
        f"({first.rstrip('.')}), after {subject.step} train steps with batches of "
        f"{config.batch_size} images of the split `{config.data.split}` of `{config.data.name}`."
        + (
            f" It began with the weights `{_name(config.pretrained.weights)}`."
            * bool(config.pretrained.weights)
        ),
        f"## Use\n\n{usage}",
        f"## Images\n\n{_images(subject, format_name)}",
        f"## Scores\n\n{scores or 'It has not been scored at this step.'}",
    ]
    paths.write(directory / "README.md", "\n\n".join(parts) + "\n")


def _name(path: str) -> str:
    return path.replace("\\", "/").rsplit("/", 1)[-1]


def _images(subject: Subject, format_name: str) -> str:
    height, width, channels = subject.image_shape
    outside = " ".join(told(subject))
    if format_name in ("stablehlo", "onnx"):
        return (
            f"The input are bytes, (batch, {height}, {width}, {channels}). Images are decoded and "
            f"brought to that size outside (`data.resize={subject.config.data.resize}`). {outside} "
            "The crop, the resizing to the encoder's size and the normalisation are inside. The "
            f"output is the stage `{subject.stage}`, (batch, dim)."
        )
    view = subject.encoder().view
    share = shown_share(view, subject.image_shape)
    normalised = (
        f"and normalised by the mean {tuple(view.mean)} and the deviation {tuple(view.std or ())} "
        "of each channel"
        if view.mean
        else "and not normalised further"
    )
    return (
        f"All preprocessing is outside the network. {outside} Its side is brought to "
        f"{round(view.size / share)} pixels ({view.interpolation}), the central "
        f"{view.size}x{view.size} are cut out, divided by 255 {normalised}. Axes are (batch, "
        f"channels, height, width), with {channels} channel(s)."
    )


def _scores(workdir: paths.Path, step: int) -> str:
    """The tables of the run's own scores, and of those beside them, at the same step."""
    tables = []
    for file in sorted(workdir.glob("scores*.json")):
        text = file.with_suffix(".md")
        if workdirs.read_json(file).get("step") == step and text.is_file():
            tables.append(paths.read(text).decode().strip())
    return "\n\n".join(tables)
