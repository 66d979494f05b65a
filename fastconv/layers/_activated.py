"""What convolution and dense layers share: a bias, an activation, gradients of the weights."""

from typing import Any

from numpy.typing import NDArray

from fastconv import activations
from fastconv._variable import Variable
from fastconv.layers._activator import Activator
from fastconv.layers.layer import Layer, State

Array = NDArray[Any]


class ActivatedLayer(Layer):
    """A layer with an ``activation`` after an affine operation.

    Subclasses implement ``affine`` and ``affine_backward``; the activation runs in the kernel's
    epilogue where it can, else in place on the output.
    """

    activation: Any
    bias: Variable | None

    def _set_activation(self, activation: Any) -> None:
        self.activation = activations.get(activation)
        self._activator = Activator(self.activation)

    @property
    def output_activation(self) -> str:
        """Name of the activation of the output as the kernels know it, 'linear' if none does."""
        return self._activator.epilogue

    @property
    def ends_in(self) -> Any:
        """The activation function that makes the output."""
        return self.activation

    def affine(self, x: Array, y: Array, activation: str, state: State) -> None:
        """Write ``activation(affine(x))`` to ``y``."""
        raise TypeError(f"{type(self).__name__} must implement `affine`.")

    def affine_backward(self, dz: Array, dx: Array | None, state: State) -> None:
        """Write the gradients, given ``dz``, that of the affine result."""
        raise TypeError(f"{type(self).__name__} must implement `affine_backward`.")

    def prepare(self, state: State) -> None:
        if self._activator.needs_input and state.training and not state.as_logits:
            state.extra["z"] = state.allocate(state.output_shape, self.dtype)

    def is_recordable(self, state: State) -> bool:
        return state.as_logits or self._activator.is_recordable

    def forward(self, x: Array, y: Array, state: State) -> None:
        activator = self._activator
        if state.as_logits or activator.in_epilogue:
            self.affine(x, y, "linear" if state.as_logits else activator.epilogue, state)
            return
        z = state.extra.get("z", y)
        self.affine(x, z, "linear", state)
        activator.forward(z, y)

    def backward(self, dy: Array, dx: Array | None, state: State) -> None:
        done = state.as_logits or state.activation_absorbed
        if not done and not self._activator.is_linear:
            self._activator.backward(dy, state.y, state.extra.get("z"))
        self.affine_backward(dy, dx, state)

    def weight_gradients(self, kernel: Variable) -> tuple[Array | None, Array | None]:
        """Return where the kernel's and the bias's gradients go."""
        return kernel.grad, self.bias.grad if self.bias is not None else None


def wanted(state: State, use_bias: bool) -> tuple[str, ...]:
    """Return the gradients to ask a kernel for."""
    return state.needs if use_bias else tuple(n for n in state.needs if n != "db")
