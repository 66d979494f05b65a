"""Forward and backward passes of layers that only have a ``call``, by differentiating it."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastconv._autodiff import Tensor
from fastconv._variable import Variable
from fastconv.layers._state import State, known_shape

if TYPE_CHECKING:
    from fastconv.layers.layer import Layer

Array = NDArray[Any]


class _Tracked:
    """While inside, weights take part in NumPy expressions as tensors."""

    def __init__(self, variables: list[Variable], tensors: list[Tensor]) -> None:
        self._pairs = list(zip(variables, tensors, strict=True))

    def __enter__(self) -> None:
        for variable, tensor in self._pairs:
            variable.tensor = tensor

    def __exit__(self, *error: object) -> None:
        for variable, _ in self._pairs:
            variable.tensor = None


def record(layer: "Layer", x: Array, y: Array, state: State) -> None:
    """Write the output of ``layer.call`` to ``y`` and keep how it was computed."""
    tensor = Tensor(x)
    tracked = [Tensor(v.value) for v in layer.own_weights]
    with _Tracked(layer.own_weights, tracked):
        result = Tensor.of(layer.apply_call(tensor, True))
    y[...] = result.value
    state.extra["tape"] = (tensor, tracked, result)


def replay(layer: "Layer", dy: Array, dx: Array | None, state: State) -> None:
    """Write the gradients of what :func:`record` kept."""
    tensor, tracked, result = state.extra.pop("tape")
    for _, part in layer.sublayers():
        for variable in part.weights:
            if variable.grad is not None:
                variable.grad[...] = 0
    result.backward(dy.reshape(result.shape))
    if dx is not None:
        dx[...] = 0 if tensor.grad is None else tensor.grad
    for variable, copy in zip(layer.own_weights, tracked, strict=True):
        if variable.grad is not None and variable.trainable:
            variable.grad[...] = 0 if copy.grad is None else copy.grad


def as_tensor(layer: "Layer", x: Tensor, training: bool) -> Tensor:
    """Return the output of a layer without ``call`` as a tensor: a part of a user's layer."""
    shape = known_shape(layer.compute_output_shape(x.shape))
    state = State(training, x.shape, shape, layer.dtype)
    state.x = np.ascontiguousarray(x.value, layer.dtype)
    if layer.is_view(state):
        return x.reshape(shape)
    if not layer.trainable:
        state.needs = ("dx",)
    layer.prepare(state)
    layer.refresh(state)
    layer.advance(state)
    state.y = np.empty(shape, layer.dtype)
    layer.forward(state.x, state.y, state)

    def pull(dy: Array) -> Array:
        dx = np.empty(x.shape, layer.dtype)
        grads = [v.grad for v in layer.own_weights if v.grad is not None]
        before = [grad.copy() for grad in grads]
        layer.backward(np.array(dy, layer.dtype), dx, state)
        for grad, earlier in zip(grads, before, strict=True):
            grad += earlier
        return dx

    return Tensor(state.y, [(x, pull)])
