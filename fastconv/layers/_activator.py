"""How a layer runs its activation: in the kernel's epilogue, by name, or as a Python function."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv import activations, functional
from fastconv._autodiff import Tensor

Array = NDArray[Any]

#: Applied by the convolution and dense kernels as the result leaves the registers.
EPILOGUE = {
    activations.linear: "linear",
    activations.relu: "relu",
    activations.sigmoid: "sigmoid",
    activations.tanh: "tanh",
}

#: Known to ``functional.activate``. The derivative of the second group needs the input.
_NAMED = {
    **EPILOGUE,
    activations.elu: "elu",
    activations.selu: "selu",
    activations.softplus: "softplus",
    activations.softsign: "softsign",
    activations.leaky_relu: "leaky_relu",
    activations.exponential: "exponential",
    activations.hard_sigmoid: "hard_sigmoid",
    activations.relu6: "relu6",
}
_NAMED_OF_INPUT = {activations.gelu: "gelu", activations.silu: "silu"}


class Activator:
    """Runs one activation function forward and backward on given arrays.

    Parameters
    ----------
    function : callable
        From :mod:`fastconv.activations` or a user's NumPy function.

    Attributes
    ----------
    epilogue : str
        What to pass to the kernel: the function's own name, or 'linear'.
    in_epilogue : bool
        The kernel applies the whole function.
    is_recordable : bool
        Only kernels are called.
    needs_input : bool
        ``backward`` needs the values before the activation.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._name = _NAMED.get(function) or _NAMED_OF_INPUT.get(function)
        self._softmax = function is activations.softmax
        self.is_linear = function is activations.linear
        self.in_epilogue = function in EPILOGUE
        self.is_recordable = self._name is not None or self._softmax
        self.epilogue = EPILOGUE.get(function, "linear")
        self.needs_input = self._name in _NAMED_OF_INPUT.values() or (
            self._name is None and not self._softmax
        )

    def forward(self, z: Array, y: Array) -> None:
        """Write the function of ``z`` to ``y``, which may be ``z``."""
        if self._name is not None:
            functional.activate(z, self._name, out=y)
        elif self._softmax:
            functional.softmax(z, out=y)
        else:
            y[...] = self._function(z)

    def backward(self, dy: Array, y: Array, z: Array | None) -> None:
        """Multiply ``dy`` by the derivative in place; ``z`` is the input if ``needs_input``."""
        if self._name is not None:
            functional.activate_backward(dy, y, self._name, x=z, out=dy)
        elif self._softmax:
            functional.softmax_backward(dy, y, out=dy)
        else:
            tensor = Tensor(z)
            Tensor.of(self._function(tensor)).backward(dy)
            dy[...] = np.zeros_like(dy) if tensor.grad is None else tensor.grad
