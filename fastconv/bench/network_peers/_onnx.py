"""A network as an ONNX model, for the libraries that read one."""

from __future__ import annotations

from typing import Any

from fastconv.bench.networks import Conv, Dense, Dropout, Flatten, Network, Pool


def model(onnx: Any, network: Network, batch: int) -> bytes:
    """The model with constant weights: images "x" (batch, c, h, w), predictions "y"."""
    helper = onnx.helper
    weights = iter(network.channels_first_weights())
    nodes: list[Any] = []
    constants: list[Any] = []
    last = "x"

    def add(operator: str, weighted: bool = False, **options: Any) -> None:
        nonlocal last
        inputs, output = [last], f"{operator}_{len(nodes)}"
        for name in ("kernel", "bias") if weighted else ():
            constants.append(onnx.numpy_helper.from_array(next(weights), f"{output}_{name}"))
            inputs.append(constants[-1].name)
        nodes.append(helper.make_node(operator, inputs, [output], **options))
        last = output

    for layer in network.layers:
        match layer:
            case Conv(_, kernel, padding):
                before = (kernel - 1) // 2 if padding == "same" else 0
                after = kernel - 1 - before if padding == "same" else 0
                pads = [before, before, after, after]
                add("Conv", weighted=True, kernel_shape=[kernel, kernel], pads=pads)
                add("Relu")
            case Pool():
                add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
            case Flatten():
                add("Flatten")
            case Dense(_, activation):
                add("Gemm", weighted=True, transB=1)
                if activation != "linear":
                    add("Relu" if activation == "relu" else "Softmax")
            case Dropout():
                pass
    nodes[-1].output[0] = "y"
    float32 = onnx.TensorProto.FLOAT
    height, width, channels = network.input_shape
    x = helper.make_tensor_value_info("x", float32, [batch, channels, height, width])
    y = helper.make_tensor_value_info("y", float32, [batch, network.classes])
    graph = helper.make_graph(nodes, network.name, [x], [y], constants)
    opset = helper.make_opsetid("", 17)
    return bytes(helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString())
