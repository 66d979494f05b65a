"""Fashion-MNIST: ten kinds of clothing, and what batch, epoch and iteration mean.

    python examples/clothing.py [EPOCHS]

A batch is the images processed at once; an iteration is one step of the optimizer, so one batch; an
epoch is one pass over all training images. The progress bar counts the iterations of each epoch.
Saves clothing.png.
"""

import sys

import numpy as np

import fastconv as keras
from fastconv.datasets import fashion_mnist
from fastconv.layers import Conv2D, Dense, Dropout, Flatten, MaxPooling2D
from fastconv.plotting import plot_confusion_matrix

BATCH = 64


def main(epochs: int = 10) -> None:
    """Train, measure, draw which classes are taken for which."""
    keras.utils.set_random_seed(0)
    (train_images, train_labels), (test_images, test_labels) = fashion_mnist.load_data()
    print(f"images: {fashion_mnist.source()}")
    x, x_test = (im[..., None] / np.float32(255) for im in (train_images, test_images))

    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            Conv2D(32, (5, 5), padding="valid", activation="relu"),
            MaxPooling2D((2, 2)),
            Conv2D(64, (3, 3), padding="same", activation="relu"),
            MaxPooling2D((2, 2)),
            Flatten(),
            Dense(128, activation="relu"),
            Dropout(0.5),
            Dense(10, activation="softmax"),
        ],
        name="fashion_mnist",
    )
    iterations = -(-len(x) // BATCH)
    print(
        f"{len(x)} images in batches of {BATCH}: {iterations} iterations an epoch, "
        f"{iterations * epochs} in {epochs} epochs"
    )
    rate = keras.optimizers.schedules.CosineDecay(0.002, iterations * epochs, alpha=0.05)
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    model.fit(
        x, train_labels, batch_size=BATCH, epochs=epochs, validation_data=(x_test, test_labels)
    )

    _, accuracy = model.evaluate(x_test, test_labels, verbose=0)
    print(f"accuracy on {len(x_test)} test images: {accuracy:.2%}")
    ax = plot_confusion_matrix(
        test_labels, model.predict(x_test, verbose=0), class_names=fashion_mnist.CLASS_NAMES
    )
    ax.figure.savefig("clothing.png", dpi=120)
    print("saved clothing.png")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
