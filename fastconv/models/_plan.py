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

from fastconv import functional
from fastconv._kernels import DirectRun
from fastconv._variable import counts, moves
from fastconv.layers._activated import ActivatedLayer
from fastconv.layers.layer import Layer, State, known_shape
from fastconv.models._buffers import Workspace, aligned
from fastconv.models._data import Batch
from fastconv.models._fused_loss import FusedLoss
from fastconv.models._joined import JoinedSteps
from fastconv.models._passes import BackwardPass, ForwardPass, Node, is_own, pools_output

Array = NDArray[Any]

#: The block of the workspace for outputs that are not written where they are pooled at once; the
#: blocks before it are for two outputs in turn and the input.
_PASSED_OVER = 3


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
        #: The list of idle plans for the same shape that this one returns to.
        self.home: list[Plan] | None = None
        self._fused: FusedLoss | None = None
        self._whole: functional.Program | None = None
        self._joined: JoinedSteps | None = None
        self._input_dtype = np.dtype(dtype)
        self._workspace = workspace if workspace is not None else Workspace()
        self._requests = _PASSED_OVER
        #: What the input is multiplied by when it is taken, in place of a first layer.
        self._scale: float | None = None
        self._nodes: list[Node] = []
        self._penalized: list[Node] = []
        #: Stands for the output of a pass without training, which may lie elsewhere every time.
        self._output: Array | None = None
        self._arrange(layers, as_logits)
        self.input = self._workspace.block(2, input_shape, dtype)
        if training:
            self._arrange_gradients()
        self._record()

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
            if i == 0 and is_own(layer):
                self._scale = layer.input_scale()
            if layer.is_view(state) or (i == 0 and self._scale is not None):
                node = Node(layer, state, None)
            else:
                if self.training:
                    y = self._allocate(out, self.dtype)
                elif i + 1 < len(layers) and pools_output(layer, layers[i + 1]):
                    # The pooling is written while the input is still read.
                    y = self._workspace.block(_PASSED_OVER, out, self.dtype)
                else:
                    if not layer.elementwise or borrowed:
                        turn = 1 - turn
                    y = self._workspace.block(turn, out, self.dtype)
                borrowed = False
                node = Node(layer, state, y)
            if layer.activity_regularizer is not None:
                self._penalized.append(node)
            self._nodes.append(node)
            shape = out
        self.output_shape = shape
        final = next((node for node in reversed(self._nodes) if not node.is_view), None)
        if final is not None and not self.training:
            self._output = aligned(math.prod(final.state.output_shape), self.dtype)
            final.y = self._output.reshape(final.state.output_shape)

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
        handed: Array | None = None
        for i in reversed(range(self._first, len(nodes))):
            node, state = nodes[i], nodes[i].state
            size = math.prod(state.output_shape)
            node.dy = pair[side][:size].reshape(state.output_shape) if handed is None else handed
            handed = None
            needs_dx = i > self._first
            weights = ("dw", "db") if node.layer.trainable_weights else ()
            state.needs = ("dx", *weights) if needs_dx else weights
            if not needs_dx:
                continue
            self._absorb_activation(nodes[i - 1], node)
            if node.is_view:
                node.dx = node.dy.reshape(state.input_shape)
            elif nodes[i - 1].hands_on_to(node):
                # Named in the records, but what is handed on lies in the threads' workspaces.
                node.dx = handed = self._allocate(state.input_shape, self.dtype)
            elif node.layer.elementwise and state.input_shape == state.output_shape:
                node.dx = node.dy
            else:
                side = 1 - side
                size = math.prod(state.input_shape)
                node.dx = pair[side][:size].reshape(state.input_shape)

    def _absorb_activation(self, before: Node, node: Node) -> None:
        """Let a layer include the derivative of the activation before it, where it can."""
        layer = before.layer
        if (
            isinstance(layer, ActivatedLayer)
            and is_own(layer)
            and is_own(node.layer)
            and layer.activity_regularizer is None
        ):
            activation = layer.output_activation
            before.state.activation_absorbed = node.layer.absorbs(activation, node.state)

    def _record(self) -> None:
        """Turn the passes into programs, for where the weights are now."""
        self._moves = moves()
        self._forward = ForwardPass(self._nodes, self.input, self._output)
        #: The pass, where it needs nothing else.
        self._direct = self._forward.whole() if self._output is not None else None
        if self.training:
            self._backward = BackwardPass(self._nodes[self._first :], self.input)
        self._advancing = [
            node
            for node in self._nodes
            if self.training and type(node.layer).advance is not Layer.advance
        ]
        if self._advancing or self._scale is not None:
            self._direct = None
        self.fuse(self._fused)

    @property
    def result(self) -> Array:
        """Where :meth:`forward` leaves the output unless it is told otherwise."""
        return self._forward.result

    def take(self, batch: Batch) -> Array:
        """Return the inputs of ``batch`` for :meth:`forward`: where they are, or copied here."""
        x = batch.view(self._input_dtype) if self._scale is None else None
        if x is not None:
            return x.reshape(self.input_shape)
        fits = batch.x_shape == self.input_shape
        batch.fill(self.input if fits else self.input.reshape(batch.x_shape), self._scale)
        return self.input

    def take_array(self, x: Array) -> Array:
        """Return ``x`` for :meth:`forward`: where it is if its type and layout fit, or copied."""
        usable = x.dtype == self._input_dtype and x.flags.c_contiguous and x.flags.aligned
        if usable and self._scale is None:
            return x if x.shape == self.input_shape else x.reshape(self.input_shape)
        return self.take(Batch(x, None, x.shape[0], None, None))

    def forward(self, x: Array, out: Array | None = None) -> Array:
        """Run all layers on ``x``.

        Parameters
        ----------
        x : ndarray of the input's shape and dtype, C-contiguous
            From :meth:`take` or :meth:`take_array`.
        out : ndarray, optional
            Where to put the output; otherwise it lies in the plan's memory and the next call
            overwrites it.

        Returns
        -------
        ndarray
        """
        self._begin(x)
        y = self._forward.run(x, None if self._output is None else out)
        if out is not None and y is not out:
            out[...] = y
            return out
        return y

    def forward_new(self, x: Array) -> tuple[Array, DirectRun] | None:
        """Return a new array, the output for ``x``, and what makes it again for one like it.

        None, and nothing is done, unless the pass is one program that can take ``x`` as it is.
        """
        program = self._direct
        if program is None or x.dtype is not self._input_dtype or self._moves != moves():
            return None
        flags = x.flags
        if not (flags.c_contiguous and flags.aligned) or self.home is None:
            return None
        self._forward.refresh()
        out = np.empty(self.output_shape, self._input_dtype)
        again = DirectRun(
            program, counts, self.home, self, np.empty, out.dtype, x.shape, self.output_shape
        )
        program.run(x, out)
        return out, again

    def forward_each(self, batch: Batch, out: Array) -> None:
        """Run all layers on every batch that ``batch`` holds; ``out`` has the rows of all."""
        x = batch.view(self._input_dtype) if self._scale is None and batch.count > 1 else None
        if x is not None:
            self._begin(x)
            if self._forward.repeat(x, out, batch.count):
                return
        for i, single in enumerate(batch.split()):
            self.forward(self.take(single), out[i * batch.size : (i + 1) * batch.size])

    def forward_slices(self, x: Array, out: Array, beside: Sequence["Plan"]) -> int:
        """Run all layers on as many slices of ``x``, of this plan's size, as it has.

        Parameters
        ----------
        x : ndarray
            Rows of the model's dtype, C-contiguous.
        out : ndarray
            Receives as many rows.
        beside : sequence of Plan
            For slices of the same size: each takes some of them.

        Returns
        -------
        int
            The number of rows that are done.
        """
        size = self.input_shape[0]
        count = len(x) // size
        for plan in (self, *beside):
            plan._begin(x)
        passes = [plan._forward for plan in beside]
        done = self._forward.repeat(x[: count * size], out[: count * size], count, passes)
        assert done, "runs_slices says so"
        return count * size

    @property
    def runs_slices(self) -> bool:
        """Whether :meth:`forward_slices` can run: Python takes no part in a pass."""
        whole = self._output is not None and self._forward.whole() is not None
        return whole and self._scale is None

    def _begin(self, x: Array) -> None:
        if self._moves != moves():
            self._record()
        for node in self._advancing:
            node.layer.advance(node.state)
        self._x = x

    def fuse(self, loss: FusedLoss | None) -> None:
        """Let :meth:`run_fused` end in a loss made for :attr:`result` and :attr:`dy`."""
        self._fused = loss
        self._whole = self._joined = None
        forward = self._forward.whole()
        backward = self._backward.whole() if self.training else functional.Program()
        if loss is not None and forward is not None and backward is not None:
            self._whole = functional.Program((self.input, loss.target, loss.totals))
            for part in (forward, loss.program, backward):
                self._whole.extend(part)

    def run_fused(self, x: Array, y_true: Any) -> tuple[float, float] | None:
        """Run the forward pass, the loss and in training the backward pass.

        Returns
        -------
        (float, float), or None
            Loss and number of correct predictions; None if nothing was run because there is no
            fused loss, or it is not for these targets.
        """
        target = None if self._fused is None else self._fused.prepared(y_true)
        if target is None or self._fused is None:
            return None
        self._begin(x)
        if self._whole is not None:
            self._forward.refresh()
            self._whole.run(x, target, self._fused.totals)
        else:
            self._forward.run(x)
            self._fused.program.run(target, self._fused.totals)
            if self.training:
                self._backward.run(x)
        return self._fused.result()

    def join(self, batch: Batch, update: functional.Program | None) -> JoinedSteps | None:
        """Return the steps of ``batch`` as a program, in training with the update at their end.

        None where Python takes part in a step, or in finding the inputs.
        """
        if self._moves != moves():
            self._record()
        whole, loss = self._whole, self._fused
        if whole is None or loss is None or self._penalized:
            return None
        self._forward.refresh()
        if batch.places(self._input_dtype, self._scale) is None:
            return None
        if self._joined is None or not self._joined.serves(batch, update):
            self._joined = JoinedSteps(
                batch, self.input, self._scale, whole, loss, update, self._advancing
            )
        return self._joined

    @property
    def is_penalized(self) -> bool:
        """Whether any layer has a penalty on its output."""
        return bool(self._penalized)

    def penalty(self) -> float:
        """Return the penalties on outputs of the last forward pass, per sample as Keras has it."""
        return sum(
            float(node.layer.activity_regularizer(node.state.y)) / max(self.input_shape[0], 1)
            for node in self._penalized
        )

    def backward(self) -> None:
        """Run the backward pass from :attr:`dy`; the gradients go into the weights' ``grad``."""
        self._backward.run(self._x)
