"""ncnn: inference, one image at a time, with prepacked weights and packed channels."""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np

from fastconv.bench.case import Array, Case, Pass
from fastconv.bench.peers import Peer, Variant, library

_AS_IT_IS = 1  # extract a result without unpacking its channels


class Ncnn:
    """One-layer nets on packed and on planar channels, with and without Winograd, in float32."""

    name = "ncnn"

    def __init__(self, threads: int) -> None:
        self.ncnn = library("ncnn")
        self.threads = threads
        self.version: str = self.ncnn.__version__
        self.ncnn.set_omp_num_threads(threads)

    def supports(self, case: Case, pass_: Pass) -> bool:
        return pass_ == "forward" and case.batch == 1

    def prepare(self, case: Case, pass_: Pass) -> list[Variant]:
        return [
            self._variant("packed", case, packing=True, winograd=True),
            self._variant("packed without Winograd", case, packing=True, winograd=False),
            self._variant("planar", case, packing=False, winograd=True),
        ]

    def _variant(self, name: str, case: Case, packing: bool, winograd: bool) -> Variant:
        ncnn = self.ncnn
        net = self._net(case, packing, winograd)
        option = net.opt
        image = case.inputs().x[0].transpose(2, 0, 1).copy()
        planar = ncnn.Mat(image).clone()  # a Mat made from an array does not own its memory
        x = planar
        if packing:
            pack = next(pack for pack in (16, 8, 4, 1) if case.channels % pack == 0)
            x = ncnn.Mat()
            ncnn.convert_packing(planar, x, pack, option)

        def run() -> Any:
            extractor = net.create_extractor()
            extractor.input("x", x)
            return extractor.extract("y", _AS_IT_IS)[1]

        def to_numpy(result: Any) -> tuple[Array, ...]:
            y = ncnn.Mat()
            ncnn.convert_packing(result, y, 1, option)
            return (np.array(y).transpose(1, 2, 0)[np.newaxis],)

        return Variant(name, run, to_numpy)

    def _net(self, case: Case, packing: bool, winograd: bool) -> Any:
        net = self.ncnn.Net()
        net.opt.num_threads = self.threads
        net.opt.use_packing_layout = packing
        net.opt.use_winograd_convolution = winograd
        for option in dir(net.opt):
            if option.startswith(("use_fp16", "use_bf16", "use_int8")):
                setattr(net.opt, option, False)
        (kh, kw), (sh, sw), (ph, pw) = case.kernel, case.strides, case.padding
        kernel, bias = case.inputs().kernel.transpose(3, 2, 0, 1), case.inputs().bias
        if case.is_convolution:
            layer = "Convolution" if case.groups == 1 else "ConvolutionDepthWise"
            options = (
                f"0={case.filters} 1={kw} 11={kh} 2={case.dilation[1]} 12={case.dilation[0]} "
                f"3={sw} 13={sh} 4={pw} 14={ph} 5=1 6={kernel.size} 7={case.groups}"
            )
        else:
            layer, options = "Pooling", f"0=0 1={kw} 11={kh} 2={sw} 12={sh} 3={pw} 13={ph} 5=1"
        text = f"7767517\n2 2\nInput x 0 1 x\n{layer} layer 1 1 x y {options}\n"
        with tempfile.NamedTemporaryFile(suffix=".bin") as weights:
            # A tag that says "float32", the kernel, and the bias without a tag.
            weights.write(bytes(4) + kernel.tobytes() + bias.tobytes())
            weights.flush()
            if net.load_param_mem(text) or net.load_model(weights.name):
                raise RuntimeError(f"ncnn could not create {case.name}")
        return net


def connect(threads: int) -> Peer:
    return Ncnn(threads)
