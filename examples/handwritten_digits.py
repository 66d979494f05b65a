"""Handwritten digits on 8x8 pixels: a small network with dropout.

    python examples/handwritten_digits.py

Saves handwritten_digits.png: test images, wrong answers in red.
"""

import numpy as np

import fastconv as keras
from fastconv.datasets import digits
from fastconv.layers import Conv2D, Dense, Dropout, Flatten, MaxPooling2D
from fastconv.plotting import plot_predictions


def main() -> None:
    """Train, measure, draw the images with the least certain answers."""
    keras.utils.set_random_seed(0)
    (x, y), (x_test, y_test) = digits.load_data()
    x, x_test = (images[..., None] / np.float32(16) for images in (x, x_test))

    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            Conv2D(32, (3, 3), padding="same", activation="relu"),
            MaxPooling2D((2, 2)),
            Conv2D(64, (3, 3), padding="same", activation="relu"),
            Flatten(),
            Dropout(0.5),
            Dense(10, activation="softmax"),
        ],
        name="handwritten_digits",
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=32, epochs=20, validation_data=(x_test, y_test))
    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"accuracy on {len(x_test)} test images: {accuracy:.2%}")

    probabilities = model.predict(x_test, verbose=0)
    least = np.argsort(probabilities.max(1))[:24]
    axes = plot_predictions(
        x_test[least],
        probabilities[least],
        y_test[least],
        class_names=digits.CLASS_NAMES,
        title="The 24 least certain answers",
    )
    axes[0].figure.savefig("handwritten_digits.png", dpi=120)
    print("saved handwritten_digits.png")


if __name__ == "__main__":
    main()
