"""``fastconv evaluate``: how good a saved model is on the test images of Fashion-MNIST."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from fastconv.cli import _common


def add_parser(commands: Any) -> None:
    """Add ``evaluate`` to the command line."""
    parser = commands.add_parser(
        "evaluate",
        help="measure a saved model on the test images",
        description="Measure the accuracy of a saved classifier of 28x28 images on the test "
        "images of Fashion-MNIST.",
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a .keras or .h5 file")
    parser.add_argument(
        "--plot", type=Path, metavar="PNG", help="draw the confusion matrix into this file"
    )
    _common.add_data_options(parser)
    _common.add_run_options(parser, batch_size=256)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Load, predict, count."""
    from fastconv.datasets.fashion_mnist import CLASS_NAMES
    from fastconv.models import load_model

    _common.use_threads(options.threads)
    model = load_model(options.model, compile=False)
    if tuple(model.input_shape[1:]) != (28, 28, 1) or tuple(model.output_shape[1:]) != (10,):
        raise ValueError(
            f"{options.model} must take images of shape (28, 28, 1) and give 10 classes. "
            f"Received: {tuple(model.input_shape[1:])} and {tuple(model.output_shape[1:])}"
        )
    source, _, (x, y) = _common.load(options.data, options.limit)
    start = time.perf_counter()
    probabilities = model.predict(x, batch_size=options.batch_size, verbose=0)
    seconds = time.perf_counter() - start
    predicted = probabilities.argmax(1)
    right = predicted == y
    per_class = {
        name: float(right[y == label].mean())
        for label, name in enumerate(CLASS_NAMES)
        if (y == label).any()
    }
    likelihood = np.maximum(probabilities[np.arange(len(y)), y], 1e-7)
    result: dict[str, Any] = {
        "accuracy": float(right.mean()),
        "loss": float(-np.log(likelihood).mean()),
        "images": len(y),
        "images_per_second": len(y) / seconds,
        "data": source.kind,
        "per_class_accuracy": per_class,
    }
    if options.plot:
        from fastconv.plotting import plot_confusion_matrix

        axes: Any = plot_confusion_matrix(y, predicted, class_names=CLASS_NAMES)
        axes.figure.savefig(options.plot, dpi=150)
    if options.json:
        _common.print_json(result)
        return 0
    print(f"data: {source}, {len(y):,} test images")
    print(
        f"accuracy {result['accuracy']:.2%}, loss {result['loss']:.4f}, "
        f"{result['images_per_second']:,.0f} images/s"
    )
    for name, accuracy in per_class.items():
        print(f"  {name:<12} {accuracy:7.2%}")
    if options.plot:
        print(f"saved {options.plot}")
    return 0
