"""The shape of a model's input."""

from typing import Any

from fastconv.layers._legacy import check_shape
from fastconv.layers.layer import Layer, Shape, State

__all__ = ["Input", "InputLayer"]


class InputLayer(Layer):
    """State the shape of a model's input (https://keras.io/api/layers/core_layers/input/).

    Parameters
    ----------
    shape : tuple of int and None, optional
        Shape of one sample.
    batch_size : int, optional
    dtype : str, optional
        Defaults to floatx; other types are accepted and cast to floatx.
    batch_shape : tuple of int and None, optional
        Shape with the batch, in place of ``shape``.
    name : str, optional

    Raises
    ------
    ValueError
        If no shape, or both, are given.

    Examples
    --------
    >>> InputLayer((28, 28, 1)).batch_shape
    (None, 28, 28, 1)
    """

    def __init__(
        self,
        shape: Any = None,
        batch_size: int | None = None,
        dtype: Any = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: Any = None,
        input_tensor: None = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if "input_shape" in kwargs:
            shape = kwargs.pop("input_shape")
        if "batch_input_shape" in kwargs:
            batch_shape = kwargs.pop("batch_input_shape")
        for unsupported, value in (("sparse", sparse), ("ragged", ragged)):
            if value:
                raise ValueError(
                    f"`{unsupported}` inputs are not supported. Received: {unsupported}={value!r}"
                )
        if input_tensor is not None:
            raise ValueError("`input_tensor` is not supported. Received: input_tensor=...")
        super().__init__(name=name, **kwargs)
        if shape is not None and batch_shape is not None:
            raise ValueError(
                "You cannot pass both `shape` and `batch_shape` at the same time. "
                f"Received: shape={shape!r}, batch_shape={batch_shape!r}"
            )
        if shape is None and batch_shape is None:
            raise ValueError("You must pass a `shape` argument. Received: shape=None")
        if batch_shape is not None:
            self.batch_shape = check_shape(batch_shape, "batch_shape")
        else:
            self.batch_shape = (batch_size, *check_shape(shape, "shape"))
        self.input_dtype = str(dtype) if dtype is not None else self.dtype
        self.optional = optional
        self.built = True

    @property
    def shape(self) -> Shape:
        """Shape of the input, with the batch."""
        return self.batch_shape

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return tuple(input_shape)

    def is_view(self, state: State) -> bool:
        return True

    def get_config(self) -> dict[str, Any]:
        return {
            "batch_shape": self.batch_shape,
            "dtype": self.input_dtype,
            "sparse": False,
            "ragged": False,
            "name": self.name,
            "optional": self.optional,
        }


def Input(
    shape: Any = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: Any = None,
    name: str | None = None,
    tensor: None = None,
    optional: bool = False,
) -> InputLayer:
    """Return an :class:`InputLayer`, to be the first entry of a Sequential model.

    Examples
    --------
    >>> Input((28, 28, 1)).shape
    (None, 28, 28, 1)
    """
    return InputLayer(
        shape=shape,
        batch_size=batch_size,
        dtype=dtype,
        sparse=sparse,
        ragged=ragged,
        batch_shape=batch_shape,
        input_tensor=tensor,
        optional=optional,
        name=name,
    )
