"""What ``compile`` sets, and the figures it asks for."""

from typing import Any

import numpy as np

from fastconv import losses, optimizers
from fastconv._objects import Serializable
from fastconv.models._compiled_metrics import CompiledMetrics
from fastconv.models._head import LossHead
from fastconv.models._plans import Plans


class Compiled:
    """The part of a model that knows its optimizer, loss and metrics."""

    _plans: Plans
    _head: LossHead | None

    def _init_compiled(self) -> None:
        self.optimizer: Any = None
        self.loss: Any = None
        self.stop_training = False
        self.compiled = False
        self._compile_arguments: dict[str, Any] = {}
        self._compiled_metrics: CompiledMetrics | None = None
        self._loss_object: losses.Loss | None = None
        self._loss_weight = 1.0
        self._loss_total = 0.0
        self._loss_count = 0.0

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Set what training uses.

        Parameters
        ----------
        optimizer : str or Optimizer
        loss : str, Loss or callable
            A callable of ``(y_true, y_pred)`` made of NumPy functions.
        loss_weights : float, optional
            Factor of the loss.
        metrics, weighted_metrics : list, optional
            Names, Metric objects or functions of ``(y_true, y_pred)``; the weighted ones take
            sample weights into account. 'accuracy' and 'crossentropy' are resolved by the shapes.
        run_eagerly, steps_per_execution, jit_compile, auto_scale_loss
            Accepted for Keras's sake, without effect.

        Raises
        ------
        ValueError
            If a name is unknown.
        """
        made = optimizers.get(optimizer)
        loss_object = None if loss is None else losses.as_loss(_single(loss, "loss"))
        collected = CompiledMetrics(_single_list(metrics), _single_list(weighted_metrics))
        self.optimizer = made
        self.loss = loss
        self._loss_object = loss_object
        self._loss_weight = 1.0 if loss_weights is None else float(_single(loss_weights, "loss"))
        self._compiled_metrics = collected
        self._compile_arguments = {
            "optimizer": made,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution,
            "jit_compile": False if jit_compile == "auto" else jit_compile,
        }
        self.stop_training = False
        self.compiled = True
        self._head = None
        self._plans.clear()
        self.reset_metrics()

    def compile_as(self, other: "Compiled") -> None:
        """Compile as another model is compiled, with an optimizer and metrics of its own."""
        self.compile(**{key: _anew(value) for key, value in other._compile_arguments.items()})

    def get_compile_config(self) -> dict[str, Any] | None:
        """Return the arguments of :meth:`compile` as plain values."""
        from fastconv._objects import serialize

        if not self.compiled:
            return None
        return {key: serialize(value) for key, value in self._compile_arguments.items()}

    def _check_compiled(self, method: str, loss: bool = True) -> CompiledMetrics:
        if self._compiled_metrics is None:
            raise ValueError(
                f"You must call `compile()` before calling `{method}()`. "
                f"Received: model {getattr(self, 'name', '')!r}, which is not compiled"
            )
        if loss and self._loss_object is None:
            raise ValueError(
                "No loss to compute. Provide a `loss` argument in `compile()`. Received: loss=None"
            )
        return self._compiled_metrics

    @property
    def metrics(self) -> list[Any]:
        """The metric objects; they exist once a batch has been seen."""
        return [] if self._compiled_metrics is None else self._compiled_metrics.metrics

    @property
    def metrics_names(self) -> list[str]:
        """The names of the loss and the metrics."""
        if self._compiled_metrics is None:
            return []
        return ["loss", *(name for name, _ in self._compiled_metrics.named())]

    def reset_metrics(self) -> None:
        """Forget the batches that loss and metrics have seen."""
        self._loss_total = 0.0
        self._loss_count = 0.0
        if self._compiled_metrics is not None:
            self._compiled_metrics.reset()

    def get_metrics_result(self) -> dict[str, Any]:
        """Return the means of loss and metrics so far, sorted by name."""
        loss = self._loss_total / self._loss_count if self._loss_count else 0.0
        results = {} if self._compiled_metrics is None else self._compiled_metrics.results()
        return dict(sorted({**results, "loss": float(np.float32(loss))}.items()))


def _anew(value: Any) -> Any:
    """Return ``value`` with its objects made anew from their configuration."""
    if isinstance(value, list | tuple):
        return [_anew(item) for item in value]
    if isinstance(value, Serializable):
        return type(value).from_config(value.get_config())
    return value


def _single(value: Any, name: str) -> Any:
    """Return the only element of a list or dictionary, or the value itself."""
    if isinstance(value, dict) and "class_name" not in value:
        value = list(value.values())
    if isinstance(value, list | tuple):
        if len(value) != 1:
            raise ValueError(
                f"A model with one output takes one {name}. Received: {name}={value!r}"
            )
        return value[0]
    return value


def _single_list(value: Any) -> Any:
    """Return the metrics of the only output, where they are given by its name."""
    if isinstance(value, dict) and len(value) == 1:
        value = next(iter(value.values()))
        return value if isinstance(value, list | tuple) else [value]
    return value
