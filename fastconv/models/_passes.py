"""Forward and backward passes as programs: recorded once, run without Python.

Layers that only call kernels are recorded (``Layer.is_recordable``); those that run in Python stand
between two programs.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from fastconv import activations, regularizers
from fastconv._variable import changes
from fastconv.functional import Program
from fastconv.layers.conv2d import Conv2D
from fastconv.layers.layer import Layer, State
from fastconv.layers.max_pooling2d import MaxPooling2D

Array = NDArray[Any]


def is_own(layer: Layer) -> bool:
    """Return whether the layer's class is of this package: nothing of it is overridden."""
    return type(layer).__module__.startswith("fastconv.layers.")


class Node:
    """A layer's place in a plan: its state, its output and the gradients of output and input."""

    __slots__ = ("dx", "dy", "is_view", "layer", "reads_input", "state", "y")

    def __init__(self, layer: Layer, state: State, y: Array | None) -> None:
        self.layer = layer
        self.state = state
        self.is_view = y is None
        self.y = y
        self.dy: Array | None = None
        self.dx: Array | None = None
        #: The input is the plan's, at most in another shape.
        self.reads_input = False

    @property
    def is_recordable(self) -> bool:
        """Whether a program may hold this layer's calls."""
        return is_own(self.layer) and self.layer.is_recordable(self.state)

    def is_pooled_by(self, pool: "Node") -> bool:
        """Return whether nothing but the max-pooling after it needs this convolution's output."""
        if not pools_output(self.layer, pool.layer):
            return False
        kept = self.state.training and not (
            self.state.activation_absorbed or self.layer.ends_in is activations.linear
        )
        penalties = (self.layer.activity_regularizer, pool.layer.activity_regularizer)
        return not kept and penalties == (None, None)

    def hands_on_to(self, pool: "Node") -> bool:
        """Return whether that is worth slices in training.

        It is if the output is larger than the kernel, which each slice reads and whose gradients
        are summed over them.
        """
        return (
            self.state.training
            and self.is_pooled_by(pool)
            and pools_output(self.layer, pool.layer)
            and 8 * self.layer.kernel.size <= math.prod(self.state.output_shape)
        )

    def run_forward(self) -> None:
        """Run the layer from ``state.x`` to ``y``."""
        self.layer.forward(self.state.x, self.y, self.state)  # type: ignore[arg-type]

    def run_backward(self, batch_size: int) -> None:
        """Run the layer from ``dy`` to ``dx``, and the penalty on its output before that."""
        dy = self.dy
        assert dy is not None
        if self.layer.activity_regularizer is not None:
            penalty = np.zeros_like(dy)
            regularizers.apply_gradient(self.layer.activity_regularizer, self.state.y, penalty)
            dy += penalty / max(batch_size, 1)
        if not self.is_view:
            self.layer.backward(dy, self.dx, self.state)


def pools_output(layer: Layer, after: Layer) -> TypeGuard[Conv2D]:
    """Return whether ``layer`` is a convolution and ``after`` max-pooling."""
    return type(layer) is Conv2D and type(after) is MaxPooling2D


class ForwardPass:
    """All layers from the input to the output.

    Parameters
    ----------
    nodes : list of Node
    x : ndarray
        Stands for the input, which may lie elsewhere in every run.
    output : ndarray, optional
        The last layer's output, if that may lie elsewhere too.
    """

    def __init__(self, nodes: list[Node], x: Array, output: Array | None = None) -> None:
        self._output = output
        self._last = next((node for node in reversed(nodes) if not node.is_view), None)
        moving = (x,) if output is None else (x, output)
        self.steps: list[Program | Node] = []
        self._refreshing = [
            node
            for node in nodes
            if type(node.layer).refresh is not Layer.refresh and not node.state.training
        ]
        self._changes = -1
        self.refresh()
        #: Views of the input itself, which a penalty looks at.
        self._penalized_views: list[Node] = []
        is_input = True
        pairs = list(pairwise(nodes))
        pooling = {after for node, after in pairs if node.is_pooled_by(after)}
        handed_to = {after for node, after in pairs if node.hands_on_to(after)}
        for node in nodes:
            node.state.x = x
            node.reads_input = is_input
            if node.is_view:
                x = node.layer.view(x, node.state)
                if is_input and node.layer.activity_regularizer is not None:
                    self._penalized_views.append(node)
            else:
                assert node.y is not None
                x = node.y
                is_input = False
                if node.is_recordable:
                    with _open(self.steps, moving) as program:
                        node.run_forward()
                    if node in handed_to:
                        program.slice(len(program) - 2)
                    if node in pooling and len(program) > 1:
                        program.pool(len(program) - 2)
                else:
                    self.steps.append(node)
            node.state.y = x
        self.result = x

    def run(self, x: Array, out: Array | None = None) -> Array:
        """Return the output for ``x``: in ``out``, or where the plan has it.

        ``out`` needs an `output` that it can take the place of.
        """
        self.refresh()
        for node in self._penalized_views:
            node.state.y = x.reshape(node.state.output_shape)
        if self._last is None:
            self.result = x.reshape(self.result.shape)
            return self.result
        arrays = (x,) if self._output is None else (x, self._output if out is None else out)
        for step in self.steps:
            if isinstance(step, Program):
                step.run(*arrays)
            else:
                self._run_node(step, x, out)
        return self.result if out is None else out

    def repeat(
        self, x: Array, out: Array, count: int, beside: Sequence["ForwardPass"] = ()
    ) -> bool:
        """Run a number of batches that follow each other in ``x`` and ``out``.

        Passes ``beside`` this one, through the same layers, take some of the batches each. Return
        False, with nothing done, where Python takes part in a pass.
        """
        programs = []
        for each in (self, *beside):
            program = each.whole()
            if program is None or each._output is None:
                return False
            each.refresh()
            programs.append(program)
        programs[0].repeat(count, x, out, beside=tuple(programs[1:]))
        return True

    def whole(self) -> Program | None:
        """Return the pass if it is one program; :meth:`refresh` comes before it."""
        return None if self._penalized_views else _whole(self.steps)

    def refresh(self) -> None:
        """Let the layers compute anew what they keep of weights that may have changed."""
        if self._changes != changes():
            self._changes = changes()
            for node in self._refreshing:
                node.layer.refresh(node.state)

    def _run_node(self, node: Node, x: Array, out: Array | None) -> None:
        if node.reads_input:
            node.state.x = x.reshape(node.state.input_shape)
        if out is not None and node is self._last:
            y = out.reshape(node.state.output_shape)
            node.state.y = y
            node.layer.forward(node.state.x, y, node.state)
        else:
            node.run_forward()


class BackwardPass:
    """The layers with gradients, from the last to the first with weights to train.

    Parameters
    ----------
    nodes : list of Node
        From the first to the last.
    x : ndarray
        Stands for the input, as in the forward pass.
    """

    def __init__(self, nodes: list[Node], x: Array) -> None:
        self._batch_size = x.shape[0]
        self.steps: list[Program | Node] = []
        handing_on = {node for node, after in pairwise(nodes) if node.hands_on_to(after)}
        for node in reversed(nodes):
            if node.is_view and node.layer.activity_regularizer is None:
                continue
            if node.is_recordable and node.layer.activity_regularizer is None:
                with _open(self.steps, (x,)) as program:
                    recorded = len(program)
                    node.run_backward(self._batch_size)
                if node in handing_on:
                    program.slice(recorded - 1)
            else:
                self.steps.append(node)

    def whole(self) -> Program | None:
        """Return the pass if it is one program."""
        return _whole(self.steps)

    def run(self, x: Array) -> None:
        """Compute all gradients."""
        for step in self.steps:
            if isinstance(step, Program):
                step.run(x)
            else:
                if step.reads_input:
                    step.state.x = x.reshape(step.state.input_shape)
                step.run_backward(self._batch_size)


def _whole(steps: list[Program | Node]) -> Program | None:
    return steps[0] if len(steps) == 1 and isinstance(steps[0], Program) else None


def _open(steps: list[Program | Node], moving: tuple[Array, ...]) -> Program:
    """Return the program at the end of ``steps``, which is a new one after a layer in Python."""
    last = steps[-1] if steps else None
    if not isinstance(last, Program):
        last = Program(moving)
        steps.append(last)
    return last
