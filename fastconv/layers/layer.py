"""The base of all layers and what they share.

A layer knows its weights and how to run on given arrays; it allocates nothing while it runs. A
plan (``fastconv.models``) owns the arrays: for each layer and batch shape it makes a
:class:`State`, asks the layer to :meth:`~Layer.prepare` it once, then calls ``forward(x, y,
state)`` and ``backward(dy, dx, state)`` with buffers that live as long as the plan.
"""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastconv import _naming, _objects, regularizers
from fastconv._autodiff import Tensor, as_float, plain
from fastconv._variable import Variable
from fastconv.layers import _recording
from fastconv.layers._legacy import pop_input_shape
from fastconv.layers._placed import Placed, noting
from fastconv.layers._state import Shape, State, dtype_name, known_shape
from fastconv.layers._weighted import Weighted

__all__ = ["Layer", "Shape", "State", "known_shape"]

Array = NDArray[Any]


class Layer(Weighted, Placed, _objects.Serializable):
    """Base of all layers, and of layers that users write.

    A layer of your own implements ``call(x)`` (or ``call(x, training)``) with NumPy functions, and
    ``build(input_shape)`` if it has weights. Its gradient is found by differentiating ``call``
    automatically; override ``forward(x, y, state)`` and ``backward(dy, dx, state)`` for speed.

    Parameters
    ----------
    trainable : bool
    dtype : str, optional
        'float32' or 'float64'; defaults to floatx.
    name : str, optional
        Defaults to the class name in snake case, numbered.
    activity_regularizer : str or Regularizer, optional
        Penalty on the output.
    input_shape : tuple of int, optional
        Shape of one sample, for the first layer of a model.
    input_dim : int, optional
        The same for samples with one axis.

    Attributes
    ----------
    ndim : int or None
        Number of axes of the input, with the batch.
    min_ndim : int or None
        The least number of axes, with the batch.

    Examples
    --------
    >>> import numpy as np
    >>> class Scale(Layer):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones")
    ...     def call(self, x):
    ...         return x * self.factor
    >>> Scale()(np.ones((2, 3), "float32")).shape
    (2, 3)
    """

    keras_module = "keras.layers"
    ndim: ClassVar[int | None] = None
    min_ndim: ClassVar[int | None] = None
    #: backward may write dx over dy, and forward y over x where x is not needed again.
    elementwise: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "build" in cls.__dict__:
            cls.build = noting(cls.__dict__["build"])  # type: ignore[method-assign]

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        self._input_shape_argument = pop_input_shape(kwargs)
        if kwargs:
            raise ValueError(
                f"Unrecognized keyword arguments passed to {type(self).__name__}. "
                f"Received: {', '.join(f'{k}={v!r}' for k, v in kwargs.items())}"
            )
        if name is not None and (not isinstance(name, str) or "/" in name):
            raise ValueError(
                f"Argument `name` must be a string and cannot contain character `/`. "
                f"Received: name={name!r} (of type {type(name)})"
            )
        self._base_init(name, dtype, trainable)
        self.activity_regularizer = regularizers.get(activity_regularizer)

    def _base_init(self, name: str | None, dtype: Any, trainable: bool = True) -> None:
        self.name = (
            name
            if name is not None
            else _naming.unique_name(_naming.to_snake_case(type(self).__name__))
        )
        self.dtype = dtype_name(dtype)
        self.built = False
        self._trainable = bool(trainable)
        self._weights: list[Variable] = []
        self._build_shape: Shape | None = None
        self._last_input_shape: Shape | None = None
        self._last_output_shape: Shape | None = None

    def leaves(self) -> list["Layer"]:
        """Return the layers that hold the weights: this one, or those it is made of."""
        return [self]

    # Shapes

    @noting
    def build(self, input_shape: Shape) -> None:
        """Create the weights for inputs of ``input_shape``, which begins with the batch."""

    def ensure_built(self, input_shape: Shape) -> None:
        """Check ``input_shape`` and call :meth:`build` the first time."""
        self.check_input_shape(input_shape)
        if not self.built:
            self.build(input_shape)

    def check_input_shape(self, input_shape: Shape) -> None:
        """Raise ValueError if the number of axes does not suit the layer."""
        found = len(input_shape)
        wanted = None
        if self.ndim is not None and found != self.ndim:
            wanted = f"ndim={self.ndim}"
        elif self.min_ndim is not None and found < self.min_ndim:
            wanted = f"min_ndim={self.min_ndim}"
        if wanted is not None:
            raise ValueError(
                f'Input 0 of layer "{self.name}" is incompatible with the layer: expected '
                f"{wanted}, found ndim={found}. Full shape received: {tuple(input_shape)}"
            )

    def check_axis(self, input_shape: Shape, axis: int, expected: int) -> None:
        """Raise ValueError if an axis no longer has the size the layer was built for."""
        if input_shape[axis] is not None and input_shape[axis] != expected:
            raise ValueError(
                f'Input 0 of layer "{self.name}" is incompatible with the layer: expected axis '
                f"{axis} of input shape to have value {expected}, but received input with shape "
                f"{tuple(input_shape)}"
            )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of the output; sizes that are not known are None."""
        if type(self).call is Layer.call:
            return tuple(input_shape)
        sample = np.zeros(tuple(1 if n is None else n for n in input_shape), self.dtype)
        result = np.shape(plain(self.apply_call(sample, False)))
        return (input_shape[0], *result[1:])

    # Running

    def call(self, x: Any, training: bool = False) -> Any:
        """Return the output for ``x``; a layer of your own implements it with NumPy functions."""
        return x

    def apply_call(self, x: Any, training: bool) -> Any:
        """Return ``call(x)``, with ``training`` if it takes that."""
        return self.call(x, training=training) if self._takes_training() else self.call(x)

    def _takes_training(self) -> bool:
        import inspect

        return "training" in inspect.signature(self.call).parameters

    def __call__(self, x: ArrayLike, training: bool = False) -> Any:
        """Run the layer on an array; the weights are created the first time."""
        from fastconv.layers.input_layer import InputLayer

        if isinstance(x, InputLayer | Layer):
            raise TypeError(
                f"{type(self).__name__} must be called on an array. Models are built with "
                f"`Sequential([...])`. Received: x={x!r}"
            )
        if isinstance(x, Tensor):
            self.ensure_built(x.shape)
            own = type(self).call is not Layer.call
            y: Any = self.apply_call(x, training) if own else None
            return y if own else _recording.as_tensor(self, x, training)
        array = np.ascontiguousarray(as_float(x), dtype=self.dtype)
        array = array.reshape(np.shape(x))
        self.ensure_built(array.shape)
        return self.run(array, training)

    def run(self, x: Array, training: bool) -> Array:
        """Return a new array: one forward pass outside of any plan."""
        shape = known_shape(self.compute_output_shape(x.shape))
        state = State(training, x.shape, shape, self.dtype)
        state.x = x
        if self.is_view(state):
            return self.view(x, state).copy()
        self.prepare(state)
        self.refresh(state)
        self.advance(state)
        state.y = np.empty(shape, self.dtype)
        self.forward(x, state.y, state)
        return state.y

    def prepare(self, state: State) -> None:
        """Allocate scratch for one plan."""

    def is_view(self, state: State) -> bool:
        """Return whether the output is the input's memory, at most in another shape."""
        return False

    def input_scale(self) -> float | None:
        """Return the factor of a layer that only multiplies, which a plan can do on the way in."""
        return None

    def absorbs(self, activation: str, state: State) -> bool:
        """Return whether ``backward`` will include the derivative of the activation before it.

        Called once, by a plan. It is asked of layers whose output is made of some of the input's
        values unchanged: they have the derivative at hand for fewer elements.
        """
        return False

    def is_recordable(self, state: State) -> bool:
        """Return whether both passes only call ``functional`` on the arrays they are given.

        A plan then records these calls once and repeats them without Python. What differs from
        step to step must lie in arrays that :meth:`advance` changes. Layers outside of this package
        are never recorded.
        """
        return False

    def refresh(self, state: State) -> None:
        """Compute anew what is kept in ``state`` and depends on weights that may have changed."""

    def advance(self, state: State, steps: int = 1) -> None:
        """Prepare for the next forward pass in training, such as by drawing random numbers.

        If for several, :meth:`record_next` comes between them.
        """

    def record_next(self, state: State) -> None:
        """Record what leads from one forward pass in training to the next, if recordable."""

    def view(self, x: Array, state: State) -> Array:
        """Return the output of a layer that :meth:`is_view`."""
        return x.reshape(state.output_shape)

    def forward(self, x: Array, y: Array, state: State) -> None:
        """Write the output for ``x`` to ``y``."""
        if state.training and type(self).backward is Layer.backward:
            _recording.record(self, x, y, state)
        else:
            y[...] = plain(self.apply_call(x, state.training))

    def backward(self, dy: Array, dx: Array | None, state: State) -> None:
        """Write the gradient of the input to ``dx``, unless None, and those of the weights.

        ``dy`` may be overwritten. Weight gradients go into ``variable.grad``.
        """
        _recording.replay(self, dy, dx, state)

    # Configuration

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain values."""
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": {
                "module": "keras",
                "class_name": "DTypePolicy",
                "config": {"name": self.dtype},
                "registered_name": None,
            },
        }

    def get_build_config(self) -> dict[str, Any] | None:
        """Return what :meth:`build` was called with."""
        if self._build_shape is None:
            return None
        return {"input_shape": list(self._build_shape)}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"
