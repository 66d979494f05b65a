"""Normalization over the batch."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv import constraints, initializers, regularizers
from fastconv.layers.layer import Layer, Shape, State

__all__ = ["BatchNormalization"]

Array = NDArray[Any]


class BatchNormalization(Layer):
    """Normalize each channel over the batch (Ioffe and Szegedy, ICML 2015).

    While training, ``gamma * (x - mean(x)) / sqrt(var(x) + epsilon) + beta`` with the mean and the
    biased variance of the batch; moving averages of both take their place otherwise, and also if
    ``trainable`` is False. The moving averages are updated as
    ``moving * momentum + batch * (1 - momentum)``.

    Parameters
    ----------
    axis : int
        The axis that is not averaged over, the channels: -1, or 1 for channels_first images.
    momentum, epsilon : float
    center : bool
        Add ``beta``.
    scale : bool
        Multiply by ``gamma``.
    beta_initializer, gamma_initializer : str or Initializer
    moving_mean_initializer, moving_variance_initializer : str or Initializer
    beta_regularizer, gamma_regularizer : str or Regularizer, optional
    beta_constraint, gamma_constraint : str or Constraint, optional

    Raises
    ------
    ValueError
        If ``axis`` is no axis of the input.

    Examples
    --------
    >>> import numpy as np
    >>> y = BatchNormalization()(np.array([[1.0], [3.0]]), training=True)
    >>> y.round(3)
    array([[-1.],
           [ 1.]], dtype=float32)
    """

    min_ndim = 2

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: None = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if renorm or synchronized:
            raise ValueError(
                "`renorm` and `synchronized` are not supported. "
                f"Received: renorm={renorm}, synchronized={synchronized}"
            )
        self.axis = int(axis)
        self.momentum = momentum
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.renorm_momentum = renorm_momentum

    def build(self, input_shape: Shape) -> None:
        if not -len(input_shape) <= self.axis < len(input_shape) or self.axis == 0:
            raise ValueError(
                f"`axis` must be an axis of the input other than the batch. "
                f"Received: axis={self.axis}, input_shape={tuple(input_shape)}"
            )
        channels = input_shape[self.axis]
        if channels is None:
            raise ValueError(
                "The size of the normalized axis must be known. "
                f"Received: axis={self.axis}, input_shape={tuple(input_shape)}"
            )
        shape = (channels,)
        if self.scale:
            self.gamma = self.add_weight(
                shape,
                self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
                name="gamma",
            )
        if self.center:
            self.beta = self.add_weight(
                shape,
                self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
                name="beta",
            )
        self.moving_mean = self.add_weight(
            shape, self.moving_mean_initializer, trainable=False, name="moving_mean"
        )
        self.moving_variance = self.add_weight(
            shape, self.moving_variance_initializer, trainable=False, name="moving_variance"
        )

    def check_input_shape(self, input_shape: Shape) -> None:
        super().check_input_shape(input_shape)
        if self.built:
            self.check_axis(input_shape, self.axis, self.moving_mean.size)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_input_shape(input_shape)
        return tuple(input_shape)

    def _channels_last(self, array: Array) -> Array:
        """Return a view with the channels last."""
        return array if self.axis in (-1, array.ndim - 1) else np.moveaxis(array, self.axis, -1)

    def _uses_batch(self, state: State) -> bool:
        return state.training and self.trainable

    def forward(self, x: Array, y: Array, state: State) -> None:
        x, y = self._channels_last(x), self._channels_last(y)
        if self._uses_batch(state):
            axes = tuple(range(x.ndim - 1))
            mean = x.mean(axis=axes, dtype=np.float64)
            np.subtract(x, mean.astype(x.dtype), out=y)
            variance = np.square(y).mean(axis=axes, dtype=np.float64)
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.value += (1 - self.momentum) * (batch - moving.value)
        else:
            mean, variance = self.moving_mean.value, self.moving_variance.value
            np.subtract(x, mean, out=y)
        scale = (1 / np.sqrt(variance + self.epsilon)).astype(x.dtype)
        state.extra["mean"], state.extra["scale"] = np.asarray(mean, x.dtype), scale
        np.multiply(y, scale * self.gamma.value if self.scale else scale, out=y)
        if self.center:
            np.add(y, self.beta.value, out=y)

    def prepare(self, state: State) -> None:
        if state.training:
            state.extra["normal"] = state.allocate(state.input_shape, self.dtype)

    def backward(self, dy: Array, dx: Array | None, state: State) -> None:
        x, dy = self._channels_last(state.x), self._channels_last(dy)
        normal = self._channels_last(state.extra["normal"])
        axes = tuple(range(x.ndim - 1))
        scale = state.extra["scale"]
        np.subtract(x, state.extra["mean"], out=normal)
        np.multiply(normal, scale, out=normal)
        count = x.size // x.shape[-1]
        dbeta = dy.sum(axis=axes)
        dgamma = np.einsum("nc,nc->c", *(a.reshape(-1, x.shape[-1]) for a in (dy, normal)))
        if self.trainable:
            if self.scale and self.gamma.grad is not None:
                self.gamma.grad[...] = dgamma
            if self.center and self.beta.grad is not None:
                self.beta.grad[...] = dbeta
        if dx is None:
            return
        dx = self._channels_last(dx)
        factor = scale * self.gamma.value if self.scale else scale
        if not self._uses_batch(state):
            np.multiply(dy, factor, out=dx)
            return
        np.multiply(normal, dgamma / x.dtype.type(count), out=normal)
        np.subtract(dy, normal, out=dx)
        np.subtract(dx, dbeta / x.dtype.type(count), out=dx)
        np.multiply(dx, factor, out=dx)

    def get_config(self) -> dict[str, Any]:
        config = {
            **super().get_config(),
            "axis": self.axis,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
        }
        for part in ("beta", "gamma", "moving_mean", "moving_variance"):
            name = f"{part}_initializer"
            config[name] = initializers.serialize(getattr(self, name))
        for part in ("beta", "gamma"):
            for kind in ("regularizer", "constraint"):
                name = f"{part}_{kind}"
                config[name] = initializers.serialize(getattr(self, name))
        return {
            **config,
            "synchronized": False,
            "renorm": False,
            "renorm_clipping": None,
            "renorm_momentum": self.renorm_momentum,
        }
