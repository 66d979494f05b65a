"""A plan: the layers of a model with all arrays they need for one shape of batch.

Everything is allocated when the plan is made; running it allocates nothing of the batch's size.
In training every layer keeps its output for the backward pass, and two buffers take turns as the
gradient of a layer's output and input. Without training two buffers take turns as input and output.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastconv import regularizers
from fastconv.layers.layer import Layer, State, known_shape
from fastconv.models._buffers import Workspace
from fastconv.models._data import Batch

Array = NDArray[Any]


class _Node:
    """A layer's place in a plan."""

    __slots__ = ("backward", "dx", "dy", "forward", "is_view", "layer", "state", "view", "y")

    def __init__(self, layer: Layer, state: State, y: Array | None) -> None:
        self.layer = layer
        self.state = state
        self.is_view = y is None
        self.y = y
        self.dy: Array | None = None
        self.dx: Array | None = None
        self.forward = layer.forward
        self.backward = layer.backward
        self.view = layer.view


class Plan:
    """The layers of a model bound to buffers for one shape of input.

    Parameters
    ----------
    layers : sequence of Layer
        Built, without nested models.
    input_shape : tuple of int
        With the batch.
    training : bool
    dtype : str
    workspace : Workspace, optional
        Shared with other plans that do not run at the same time.
    as_logits : bool
        Leave out the final softmax or sigmoid.

    Attributes
    ----------
    output_shape : tuple of int
    dy : ndarray
        Where the loss puts the gradient of the output, in training.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        input_shape: tuple[int, ...],
        training: bool,
        dtype: str,
        workspace: Workspace | None = None,
        as_logits: bool = False,
    ) -> None:
        self.input_shape = input_shape
        self.training = training
        self.dtype = dtype
        #: Where the loss puts the predictions of a model without its last activation.
        self.predictions: Array = np.empty(0)
        self.dy: Array | None = None
        self._workspace = workspace if workspace is not None else Workspace()
        self._requests = 2
        self._input: Array | None = None
        self._nodes: list[_Node] = []
        self._penalized: list[_Node] = []
        self._arrange(layers, as_logits)
        if training:
            self._arrange_gradients()

    def _allocate(self, shape: tuple[int, ...], dtype: Any) -> Array:
        self._requests += 1
        return self._workspace.block(self._requests, shape, dtype)

    def _arrange(self, layers: Sequence[Layer], as_logits: bool) -> None:
        """Make the states and output buffers."""
        shape = self.input_shape
        turn = 0
        borrowed = True  # the current array is the caller's: it must not be written to
        for i, layer in enumerate(layers):
            out = known_shape(layer.compute_output_shape(shape))
            last = i == len(layers) - 1
            state = State(self.training, shape, out, self.dtype, self._allocate, as_logits and last)
            layer.prepare(state)
            if layer.is_view(state):
                node = _Node(layer, state, None)
            else:
                if self.training:
                    y = self._allocate(out, self.dtype)
                else:
                    if not layer.elementwise or borrowed:
                        turn = 1 - turn
                    y = self._workspace.block(turn, out, self.dtype)
                borrowed = False
                node = _Node(layer, state, y)
            if layer.activity_regularizer is not None:
                self._penalized.append(node)
            self._nodes.append(node)
            shape = out
        self.output_shape = shape

    def _arrange_gradients(self) -> None:
        """Give every node its gradient buffers, down to the first layer with weights to train."""
        nodes = self._nodes
        trained = [i for i, node in enumerate(nodes) if node.layer.trainable_weights]
        self._first = trained[0] if trained else len(nodes)
        sizes = [math.prod(node.state.output_shape) for node in nodes]
        largest = max(sizes, default=0)
        pair = [self._allocate((largest,), self.dtype) for _ in range(2)]
        side = 0
        self.dy = pair[0][: math.prod(self.output_shape)].reshape(self.output_shape)
        for i in reversed(range(self._first, len(nodes))):
            node, state = nodes[i], nodes[i].state
            size = math.prod(state.output_shape)
            node.dy = pair[side][:size].reshape(state.output_shape)
            needs_dx = i > self._first
            weights = ("dw", "db") if node.layer.trainable_weights else ()
            state.needs = ("dx", *weights) if needs_dx else weights
            if not needs_dx:
                continue
            if node.is_view:
                node.dx = node.dy.reshape(state.input_shape)
            elif node.layer.elementwise and state.input_shape == state.output_shape:
                node.dx = node.dy
            else:
                side = 1 - side
                size = math.prod(state.input_shape)
                node.dx = pair[side][:size].reshape(state.input_shape)

    @property
    def input(self) -> Array:
        """A buffer for the input, allocated on first use."""
        if self._input is None:
            self._input = self._workspace.block(2, self.input_shape, self.dtype)
        return self._input

    def take(self, batch: Batch) -> Array:
        """Return the inputs of ``batch`` for :meth:`forward`: where they are, or copied here."""
        x = batch.view(self.dtype)
        if x is None:
            x = batch.fill(self.input.reshape(batch.x_shape))
        return x.reshape(self.input_shape)

    def forward(self, x: Array, out: Array | None = None) -> Array:
        """Run all layers on ``x``.

        Parameters
        ----------
        x : ndarray of the input's shape and dtype, C-contiguous
        out : ndarray, optional
            Where to put the output; otherwise it lies in the plan's memory and the next call
            overwrites it.

        Returns
        -------
        ndarray
        """
        nodes = self._nodes
        final = len(nodes) - 1
        for i, node in enumerate(nodes):
            state = node.state
            state.x = x
            if node.is_view:
                y = node.view(x, state)
            else:
                y = out if i == final and out is not None else node.y  # type: ignore[assignment]
                node.forward(x, y, state)
            state.y = y
            x = y
        if out is not None and x is not out:
            out[...] = x
            return out
        return x

    def penalty(self) -> float:
        """Return the penalties on outputs of the last forward pass, per sample as Keras has it."""
        return sum(
            float(node.layer.activity_regularizer(node.state.y)) / max(self.input_shape[0], 1)
            for node in self._penalized
        )

    def backward(self) -> None:
        """Run the backward pass from :attr:`dy`; the gradients go into the weights' ``grad``."""
        nodes = self._nodes
        for i in range(len(nodes) - 1, self._first - 1, -1):
            node = nodes[i]
            dy = node.dy
            if node.layer.activity_regularizer is not None and dy is not None:
                penalty = np.zeros_like(dy)
                regularizers.apply_gradient(node.layer.activity_regularizer, node.state.y, penalty)
                dy += penalty / max(self.input_shape[0], 1)
            if not node.is_view:
                node.backward(dy, node.dx, node.state)  # type: ignore[arg-type]
