"""``fastconv train``: train the example network on Fashion-MNIST and show what it learned."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from fastconv.cli import _common

PREDICTIONS_SHOWN = 40
INTERRUPTED = 130


def add_parser(commands: Any) -> None:
    """Add ``train`` to the command line."""
    parser = commands.add_parser(
        "train",
        help="train the example network on Fashion-MNIST",
        description="Train a small convolutional network to tell ten kinds of clothing apart. "
        "Leaves a model (model.keras), its learning curves and a picture of test images with "
        "the predicted and true names. Ctrl-C stops early and keeps what was learned.",
    )
    parser.add_argument(
        "--epochs",
        type=_common.positive,
        default=10,
        metavar="N",
        help="passes over the training images (default: %(default)s)",
    )
    parser.add_argument(
        "--learning-rate",
        type=float,
        default=0.002,
        metavar="RATE",
        help="step size of Adam at the start; it falls to a twentieth (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("fastconv-run"),
        metavar="DIR",
        help="folder for the results (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of weights and order (default: 0)"
    )
    _common.add_data_options(parser)
    _common.add_run_options(parser, batch_size=64)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train, measure, save."""
    import fastconv
    from fastconv.cli._training import Recorder, build

    if not options.learning_rate > 0:
        raise ValueError(
            f"--learning-rate must be above 0. Received: --learning-rate={options.learning_rate}"
        )
    _common.use_threads(options.threads)
    source, (x, y), (x_test, y_test) = _common.load(options.data, options.limit)
    options.out.mkdir(parents=True, exist_ok=True)
    _common.say(
        f"data: {source}, {len(x):,} training and {len(x_test):,} test images",
        as_json=options.json,
    )

    fastconv.utils.set_random_seed(options.seed)
    model = build()
    steps = -(-len(x) // options.batch_size) * options.epochs
    schedule = fastconv.optimizers.schedules.CosineDecay(options.learning_rate, steps, alpha=0.05)
    model.compile(
        optimizer=fastconv.optimizers.Adam(schedule),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    recorder = Recorder(len(x), options.batch_size)
    interrupted = False
    try:
        model.fit(
            x,
            y,
            batch_size=options.batch_size,
            epochs=options.epochs,
            validation_data=(x_test, y_test),
            callbacks=[recorder],
            verbose=0 if options.json else "auto",
        )
    except KeyboardInterrupt:
        interrupted = True
        print("interrupted: keeping what was learned so far", file=sys.stderr)

    loss, accuracy = model.evaluate(x_test, y_test, batch_size=256, verbose=0)
    result: dict[str, Any] = {
        "test_accuracy": float(accuracy),
        "test_loss": float(loss),
        "images_per_second": recorder.images / max(recorder.seconds, 1e-9),
        "epochs": len(recorder.curves.get("loss", [])),
        "interrupted": interrupted,
        "threads": fastconv.get_num_threads(),
        "data": source.kind,
        "history": recorder.curves,
    }
    _common.say(
        f"test accuracy {accuracy:.2%} (loss {loss:.4f}); "
        f"{result['images_per_second']:,.0f} images/s in training, {result['threads']} thread(s)",
        as_json=options.json,
    )
    result["files"] = _save(options, model, recorder.curves, x_test, y_test)
    for file in result["files"]:
        _common.say(f"saved {file}", as_json=options.json)
    if source.kind == "embedded subset":
        _common.say(
            "this was a small part of the data; for all 70,000 images: "
            "fastconv datasets download fashion_mnist",
            as_json=options.json,
        )
    if options.json:
        _common.print_json(result)
    return INTERRUPTED if interrupted else 0


def _save(
    options: argparse.Namespace,
    model: Any,
    curves: dict[str, list[float]],
    x_test: _common.Images,
    y_test: _common.Labels,
) -> list[str]:
    """Write the model and, with matplotlib, the pictures; return the files' names."""
    from fastconv import plotting
    from fastconv.datasets.fashion_mnist import CLASS_NAMES

    path = options.out / "model.keras"
    model.save(path)
    files = [str(path)]
    try:
        if curves.get("loss"):
            path = options.out / "learning_curves.png"
            plotting.plot_history(curves, ["loss", "accuracy"])[0].figure.savefig(path, dpi=150)
            files.append(str(path))
        shown = np.s_[:PREDICTIONS_SHOWN]
        axes = plotting.plot_predictions(
            x_test[shown],
            model.predict(x_test[shown], verbose=0),
            y_test[shown],
            class_names=CLASS_NAMES,
            title="Test images: predicted class, and the true one where it differs",
        )
        path = options.out / "predictions.png"
        axes[0].figure.savefig(path, dpi=150)
        files.append(str(path))
    except ImportError as error:
        print(f"no pictures: {error}", file=sys.stderr)
    return files
