"""Layers: the building blocks of models (https://keras.io/api/layers/)."""

from fastconv import _objects
from fastconv.layers._deserialize import layer_from_config
from fastconv.layers.activation import Activation
from fastconv.layers.average_pooling2d import AveragePooling2D
from fastconv.layers.batch_normalization import BatchNormalization
from fastconv.layers.conv2d import Conv2D
from fastconv.layers.dense import Dense
from fastconv.layers.depthwise_conv2d import DepthwiseConv2D
from fastconv.layers.dropout import Dropout
from fastconv.layers.flatten import Flatten
from fastconv.layers.global_average_pooling2d import GlobalAveragePooling2D
from fastconv.layers.global_max_pooling2d import GlobalMaxPooling2D
from fastconv.layers.input_layer import Input, InputLayer
from fastconv.layers.layer import Layer
from fastconv.layers.leaky_relu import LeakyReLU
from fastconv.layers.max_pooling2d import MaxPooling2D
from fastconv.layers.relu import ReLU
from fastconv.layers.rescaling import Rescaling
from fastconv.layers.reshape import Reshape
from fastconv.layers.separable_conv2d import SeparableConv2D
from fastconv.layers.softmax import Softmax
from fastconv.layers.zero_padding2d import ZeroPadding2D

deserialize = layer_from_config
serialize = _objects.serialize

AvgPool2D = AveragePooling2D
Convolution2D = Conv2D
DepthwiseConvolution2D = DepthwiseConv2D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalMaxPool2D = GlobalMaxPooling2D
MaxPool2D = MaxPooling2D
SeparableConvolution2D = SeparableConv2D

__all__ = [
    "Activation",
    "AveragePooling2D",
    "AvgPool2D",
    "BatchNormalization",
    "Conv2D",
    "Convolution2D",
    "Dense",
    "DepthwiseConv2D",
    "DepthwiseConvolution2D",
    "Dropout",
    "Flatten",
    "GlobalAveragePooling2D",
    "GlobalAvgPool2D",
    "GlobalMaxPool2D",
    "GlobalMaxPooling2D",
    "Input",
    "InputLayer",
    "Layer",
    "LeakyReLU",
    "MaxPool2D",
    "MaxPooling2D",
    "ReLU",
    "Rescaling",
    "Reshape",
    "SeparableConv2D",
    "SeparableConvolution2D",
    "Softmax",
    "ZeroPadding2D",
    "deserialize",
    "serialize",
]
