"""Seven layers that tell triangles, squares and circles apart on 8x8 pixels.

    python examples/shape_classifier.py

Layers fit together like bricks: only the first needs to be told its input, the shapes after it
follow. Saves shape_classifier.png.
"""

import numpy as np

import fastconv as keras
from fastconv.datasets import shapes
from fastconv.layers import Conv2D, Dense, Flatten, MaxPooling2D
from fastconv.plotting import plot_predictions


def build() -> keras.Sequential:
    """The network, 178 weights in all."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            Conv2D(2, (3, 3), padding="same", activation="relu"),
            MaxPooling2D((2, 2)),
            Conv2D(3, (2, 2), padding="same", activation="relu"),
            MaxPooling2D((2, 2)),
            Flatten(),
            Dense(8, activation="relu"),
            Dense(3, activation="softmax"),
        ],
        name="shape_classifier",
    )


def main() -> None:
    """Train, measure on images that were held out, draw some of them."""
    keras.utils.set_random_seed(0)
    (x, y), (x_test, y_test) = shapes.load_data()
    x, x_test = (images[..., None] / np.float32(255) for images in (x, x_test))

    model = build()
    model.summary()
    model.compile(
        optimizer=keras.optimizers.Adam(0.005),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(x, y, batch_size=32, epochs=15, validation_data=(x_test, y_test))
    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"accuracy on {len(x_test)} held-out images: {accuracy:.2%}")

    axes = plot_predictions(
        x_test[:24],
        model.predict(x_test[:24], verbose=0),
        y_test[:24],
        class_names=shapes.CLASS_NAMES,
    )
    axes[0].figure.savefig("shape_classifier.png", dpi=120)
    print("saved shape_classifier.png")


if __name__ == "__main__":
    main()
