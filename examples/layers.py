"""One layer at a time: what goes in, what comes out, how many weights it takes.

    python examples/layers.py

A convolution slides one small filter over the whole image. Its weights are shared between all
places, and each output sees only its neighbourhood; a dense layer has a weight for every pair of
input and output. Saves layers.png.
"""

import numpy as np

import fastconv as keras
from fastconv.layers import Conv2D, Dense, Dropout, Flatten, MaxPooling2D
from fastconv.plotting import plot_model

IMAGE = (3, 3, 1)


def show(title: str, *layers: keras.layers.Layer, shape: tuple[int, ...] = IMAGE) -> None:
    """Print the output shape and the number of weights, without and with the bias."""
    model = keras.Sequential([keras.Input(shape), *layers])
    weights = sum(w.size for w in model.get_weights() if w.ndim > 1)
    size = " x ".join(map(str, model.output_shape[1:]))
    print(f"{title:<58} {size:>12} {weights:>8} {model.count_params():>8}")


def main() -> None:
    """Print the table, then a convolution worked out by hand."""
    print(f"{'layer on a 3 x 3 image':<58} {'output':>12} {'weights':>8} {'+ bias':>8}")
    show("Dense(4): every output sees all nine pixels", Flatten(), Dense(4))
    show("Conv2D(1, (2, 2), 'valid'): the same four outputs", Conv2D(1, (2, 2), padding="valid"))
    show("Conv2D(1, (2, 2), 'same'): zeros around keep the size", Conv2D(1, (2, 2), padding="same"))
    show("Conv2D(3, (2, 2), 'same'): a map for each filter", Conv2D(3, (2, 2), padding="same"))

    print("\non larger images")
    big = (28, 28, 1)
    show(
        "Conv2D(32, (5, 5), 'valid', relu)",
        Conv2D(32, (5, 5), padding="valid", activation="relu"),
        shape=big,
    )
    show("MaxPooling2D((2, 2)): the image halves", MaxPooling2D((2, 2)), shape=(24, 24, 32))
    show("Flatten(): one row of features", Flatten(), shape=(12, 12, 32))
    show("Dropout(0.5): no weights, active in training only", Dropout(0.5), shape=(4608,))
    show("Dense(10, softmax): ten probabilities", Dense(10, activation="softmax"), shape=(4608,))

    image = np.arange(9, dtype=np.float32).reshape(1, 3, 3, 1)
    kernel = np.array([[1, 0], [0, -1]], dtype=np.float32).reshape(2, 2, 1, 1)
    print("\nthe filter [[1, 0], [0, -1]] on 0..8: each output is a pixel minus its diagonal")
    print(keras.conv2d(image, kernel)[0, :, :, 0])
    print("the largest of each 2 x 2 window, moving by one")
    print(keras.max_pool2d(image, 2, strides=1)[0, :, :, 0])

    model = keras.Sequential(
        [keras.Input(IMAGE), Conv2D(1, (2, 2)), Flatten(), Dense(4)], name="layers"
    )
    plot_model(model).figure.savefig("layers.png", dpi=120)
    print("\nsaved layers.png")


if __name__ == "__main__":
    main()
