"""``fastconv predict``: what a saved model sees in image files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from fastconv.cli import _common

BRIGHT = 0.5


def add_parser(commands: Any) -> None:
    """Add ``predict`` to the command line."""
    parser = commands.add_parser(
        "predict",
        help="name what image files show",
        description="Classify image files with a saved model. Each is made grey or colour and "
        "resized as the model needs, with values from 0 to 1.",
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a .keras or .h5 file")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="PNG, JPEG, ...")
    parser.add_argument(
        "--invert",
        choices=("auto", "yes", "no"),
        default="auto",
        help="turn dark on light into light on dark, as Fashion-MNIST is; auto: grey images "
        "whose border is light (default: %(default)s)",
    )
    parser.add_argument(
        "--names",
        metavar="A,B,...",
        help="names of the classes in order (default: Fashion-MNIST's for a model of "
        "'fastconv train', else numbers)",
    )
    parser.add_argument(
        "--top",
        type=_common.positive,
        default=3,
        metavar="N",
        help="classes to print for each image (default: %(default)s)",
    )
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw the images with names")
    _common.add_run_options(parser, batch_size=64)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Read, predict, print."""
    from fastconv.models import load_model

    _common.use_threads(options.threads)
    model = load_model(options.model, compile=False)
    shape = tuple(size or 0 for size in model.input_shape[1:])
    classes = model.output_shape[-1] or 0
    names = _names(options.names, model.name, classes)
    x = np.stack([read_image(path, shape, options.invert) for path in options.images])
    probabilities = model.predict(x, batch_size=options.batch_size, verbose=0)
    rows: list[dict[str, Any]] = []
    for path, row in zip(options.images, probabilities, strict=True):
        best = np.argsort(row)[::-1][: options.top]
        rows.append(
            {
                "image": str(path),
                "predictions": [
                    {"class": int(label), "name": names[label], "probability": float(row[label])}
                    for label in best
                ],
            }
        )
    if options.plot:
        from fastconv.plotting import plot_predictions

        axes = plot_predictions(x, probabilities, class_names=names)
        axes[0].figure.savefig(options.plot, dpi=150)
    if options.json:
        _common.print_json(rows)
        return 0
    for row in rows:
        found = ", ".join(f"{p['name']} {p['probability']:.1%}" for p in row["predictions"])
        print(f"{row['image']}: {found}")
    return 0


def read_image(path: Path, shape: tuple[int, ...], invert: str) -> _common.Images:
    """Read one image file as a model's input of shape (rows, columns, 1 or 3), 0 to 1."""
    if len(shape) != 3 or shape[-1] not in (1, 3):
        raise ValueError(
            "the model must take images of shape (rows, columns, 1) or (rows, columns, 3). "
            f"Received: {shape}"
        )
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise ImportError('reading images needs pillow: pip install "fastconv[plot]"') from error
    try:
        with Image.open(path) as file:
            # Transparent parts count as black, the background of Fashion-MNIST.
            flat = Image.new("RGBA", file.size, "black")
            flat.alpha_composite(file.convert("RGBA"))
    except UnidentifiedImageError as error:
        raise ValueError(f"{path} is not an image that can be read.") from error
    small = flat.convert("L" if shape[-1] == 1 else "RGB").resize(
        (shape[1], shape[0]), Image.Resampling.LANCZOS
    )
    pixels = np.asarray(small, dtype=np.float32).reshape(shape) / np.float32(255)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    light = shape[-1] == 1 and float(np.median(border)) > BRIGHT
    return 1 - pixels if invert == "yes" or (invert == "auto" and light) else pixels


def _names(given: str | None, model_name: str, classes: int) -> list[str]:
    """The names of the classes: those given, those known, or numbers."""
    from fastconv.cli._training import MODEL_NAME
    from fastconv.datasets.fashion_mnist import CLASS_NAMES

    if given is not None:
        names = given.split(",")
        if len(names) != classes:
            raise ValueError(f"--names must have {classes} names. Received: {len(names)}")
        return names
    if model_name == MODEL_NAME and classes == len(CLASS_NAMES):
        return list(CLASS_NAMES)
    return [str(label) for label in range(classes)]
