"""Pictures of training, filters, feature maps, predictions and models, drawn with matplotlib.

Every function returns the matplotlib axes, so that a picture can be changed further and saved
with ``axes.figure.savefig(...)``. None of them touches ``pyplot`` or needs a display. Install
matplotlib with ``pip install "fastconv[plot]"``.
"""

from fastconv.plotting._history import plot_history as plot_history
from fastconv.plotting._layers import plot_feature_maps as plot_feature_maps
from fastconv.plotting._layers import plot_filters as plot_filters
from fastconv.plotting._model import plot_model as plot_model
from fastconv.plotting._predictions import plot_confusion_matrix as plot_confusion_matrix
from fastconv.plotting._predictions import plot_predictions as plot_predictions

__all__ = [
    "plot_confusion_matrix",
    "plot_feature_maps",
    "plot_filters",
    "plot_history",
    "plot_model",
    "plot_predictions",
]
