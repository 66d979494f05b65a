"""The price of red Bordeaux from the weather of its year: a network beside least squares.

    python examples/wine_prices.py

25 vintages to learn from, the last two held out. Features on very different scales (600 mm of rain,
17 degrees) are first brought to mean 0 and deviation 1. With so few rows a network would learn them
by heart (try PENALTY = 0), so a penalty holds its weights small; its strength was chosen by leaving
out one of the 25 at a time. R2 is one minus the squared error over that of guessing the training
mean. Saves wine_prices.png.
"""

import numpy as np
from matplotlib.figure import Figure

import fastconv as keras
from fastconv.datasets import wine
from fastconv.layers import Dense

PENALTY = 0.01


def r2(truth: np.ndarray, predicted: np.ndarray, mean: float) -> float:
    """1 for perfect, 0 for no better than the mean of the training prices."""
    return float(1 - ((truth - predicted) ** 2).sum() / ((truth - mean) ** 2).sum())


def main() -> None:
    """Fit both, print both, draw both."""
    keras.utils.set_random_seed(0)
    (x, y), (x_test, y_test) = wine.load_data()
    mean, deviation = x.mean(0), x.std(0)
    x, x_test = ((rows - mean) / deviation for rows in (x, x_test))

    columns = np.column_stack([np.ones(len(x)), x])
    line, *_ = np.linalg.lstsq(columns, y, rcond=None)
    straight = columns @ line
    straight_test = np.column_stack([np.ones(len(x_test)), x_test]) @ line

    small = keras.regularizers.L2(PENALTY)
    model = keras.Sequential(
        [
            keras.Input((x.shape[1],)),
            Dense(8, activation="tanh", kernel_regularizer=small),
            Dense(1, kernel_regularizer=small),
        ],
        name="wine_prices",
    )
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse")
    # The network learns the deviation from the mean price, so that it starts near the answer.
    model.fit(x, y - y.mean(), batch_size=5, epochs=300, verbose=0)
    curved = model.predict(x, verbose=0)[:, 0] + y.mean()
    curved_test = model.predict(x_test, verbose=0)[:, 0] + y.mean()

    print(f"{'R2':<16} {'25 vintages':>12} {'held-out 2':>12}")
    for name, fitted, tested in (
        ("least squares", straight, straight_test),
        ("network", curved, curved_test),
    ):
        print(f"{name:<16} {r2(y, fitted, y.mean()):>12.3f} {r2(y_test, tested, y.mean()):>12.3f}")

    figure = Figure(figsize=(5, 4.4), layout="constrained")
    ax = figure.subplots()
    ends = [min(y.min(), y_test.min()) - 0.1, max(y.max(), y_test.max()) + 0.1]
    ax.plot(ends, ends, color="#cccccc", zorder=0)
    for name, colour, fitted, tested in (
        ("least squares", "#d9632b", straight, straight_test),
        ("network", "#1f6fb4", curved, curved_test),
    ):
        ax.scatter(y, fitted, s=22, color=colour, alpha=0.6, label=name)
        ax.scatter(y_test, tested, s=80, marker="*", color=colour, label=f"{name}, held out")
    ax.set(xlabel="logarithm of the price", ylabel="predicted")
    ax.legend(frameon=False)
    figure.savefig("wine_prices.png", dpi=120)
    print("saved wine_prices.png")


if __name__ == "__main__":
    main()
