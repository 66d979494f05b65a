"""Normalization over the batch."""

from typing import Any

from numpy.typing import NDArray

from fastconv import constraints, functional, initializers, regularizers
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
    elementwise = True

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
        self.axis = int(axis[0] if isinstance(axis, list | tuple) and len(axis) == 1 else axis)
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

    def _uses_batch(self, state: State) -> bool:
        return state.training and self.trainable

    def _gamma(self) -> Array | None:
        return self.gamma.value if self.scale else None

    def is_recordable(self, state: State) -> bool:
        return not state.training

    def forward(self, x: Array, y: Array, state: State) -> None:
        batch = self._uses_batch(state)
        _, mean, variance = functional.batch_norm_forward(
            x,
            self._gamma(),
            self.beta.value if self.center else None,
            mean=None if batch else self.moving_mean.value,
            variance=None if batch else self.moving_variance.value,
            epsilon=self.epsilon,
            axis=self.axis,
            out=y,
        )
        state.extra["statistics"] = (mean, variance)
        if batch:
            rest = 1 - self.momentum
            self.moving_mean.assign_add(rest * (mean - self.moving_mean.value))
            self.moving_variance.assign_add(rest * (variance - self.moving_variance.value))

    def backward(self, dy: Array, dx: Array | None, state: State) -> None:
        needs = ["dx"] if dx is not None else []
        if self.scale and "dw" in state.needs:
            needs.append("dgamma")
        if self.center and "dw" in state.needs:
            needs.append("dbeta")
        functional.batch_norm_backward(
            dy,
            state.x,
            self._gamma(),
            *state.extra["statistics"],
            training=self._uses_batch(state),
            epsilon=self.epsilon,
            axis=self.axis,
            needs=needs,
            out=(
                dx,
                self.gamma.grad if self.scale else None,
                self.beta.grad if self.center else None,
            ),
        )

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
