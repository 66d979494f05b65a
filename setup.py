"""Builds the one extension module: an explicit list of C files, the same flags for all of them."""

import os
import shlex
import sys
from concurrent.futures import ThreadPoolExecutor
from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCES = [
    "src_c/ukernels/isa_avx512.c",
    "src_c/ukernels/isa_amx.c",
    "src_c/ukernels/isa_avx2.c",
    "src_c/ukernels/isa_scalar.c",
    "src_c/ukernels/isa_neon.c",
    "fastconv/_kernels.pyx",
    "src_c/conv2d.c",
    "src_c/conv2d_nchw.c",
    "src_c/conv2d_depthwise_gradients.c",
    "src_c/conv2d_depthwise_planes.c",
    "src_c/conv2d_igemm.c",
    "src_c/conv2d_igemm_exchanged.c",
    "src_c/conv2d_igemm_gradient.c",
    "src_c/conv2d_igemm_halves.c",
    "src_c/conv2d_igemm_matrix.c",
    "src_c/conv2d_igemm_pack.c",
    "src_c/conv2d_igemm_rows.c",
    "src_c/conv2d_igemm_steps.c",
    "src_c/conv2d_panels.c",
    "src_c/conv2d_planes.c",
    "src_c/conv2d_planes_block.c",
    "src_c/conv2d_planes_scattered.c",
    "src_c/matrix.c",
    "src_c/conv2d_rows.c",
    "src_c/conv2d_scattered.c",
    "src_c/conv2d_wgrad.c",
    "src_c/conv2d_wgrad_blocks.c",
    "src_c/conv2d_wgrad_exchanged.c",
    "src_c/conv2d_wgrad_matrix.c",
    "src_c/conv2d_winograd.c",
    "src_c/conv2d_winograd_choice.c",
    "src_c/conv2d_winograd_input.c",
    "src_c/conv2d_winograd_output.c",
    "src_c/conv2d_winograd_matrix.c",
    "src_c/conv2d_winograd_panels.c",
    "src_c/conv2d_winograd_plan.c",
    "src_c/conv2d_winograd_products.c",
    "src_c/conv2d_winograd_registers.c",
    "src_c/conv2d_winograd_weights.c",
    "src_c/conv2d_winograd_few.c",
    "src_c/conv2d_winograd_few_planes.c",
    "src_c/conv2d_winograd_gradient.c",
    "src_c/conv2d_folded.c",
    "src_c/conv2d_winograd_wgrad.c",
    "src_c/conv2d_images.c",
    "src_c/conv2d_grouped.c",
    "src_c/conv2d_grouped_choice.c",
    "src_c/conv2d_grouped_registers.c",
    "src_c/conv2d_grouped_wgrad.c",
    "src_c/pool2d.c",
    "src_c/pool2d_backward.c",
    "src_c/pool2d_lines.c",
    "src_c/pool2d_planes.c",
    "src_c/pool2d_planes_backward.c",
    "src_c/pool2d_padded.c",
    "src_c/pool2d_scatter.c",
    "src_c/pool2d_separable.c",
    "src_c/pool2d_steps.c",
    "src_c/pool2d_windows.c",
    "src_c/elementwise.c",
    "src_c/loss.c",
    "src_c/optimizer.c",
    "src_c/batchnorm.c",
    "src_c/program.c",
    "src_c/dispatch.c",
    "src_c/threads.c",
    "src_c/scratch.c",
]
FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-O3", "-fno-math-errno", "-fvisibility=hidden", "-pthread"]
LINK = ["-pthread"]
# FASTCONV_SANITIZE=address,undefined or =thread: an instrumented build with assertions on.
# Without optimization: the instrumentation of unrolled kernels takes minutes to compile.
sanitize = os.environ.get("FASTCONV_SANITIZE")
if sanitize:
    FLAGS += [f"-fsanitize={sanitize}", "-fno-omit-frame-pointer", "-g", "-UNDEBUG", "-O0"]
    # What the address sanitizer finds anyway, in a fifth less time.
    FLAGS += ["-fno-sanitize=null,object-size"]
    LINK += [f"-fsanitize={sanitize}"]
else:
    # Nothing unwinds through C: without tables for it the wheel is 1% smaller.
    FLAGS += ["-DNDEBUG", "-g0", "-fno-asynchronous-unwind-tables"]
    # Nor do names of static functions help users: another 1%. Profilers need `FASTCONV_CFLAGS=-g`.
    if sys.platform == "linux" and "-g" not in os.environ.get("FASTCONV_CFLAGS", ""):
        LINK += ["-Wl,--strip-all"]
FLAGS += shlex.split(os.environ.get("FASTCONV_CFLAGS", ""))


def optimization(source):
    """What only kernels gain from, which are unrolled, makes the rest a quarter larger."""
    rest = source.startswith("src_c/") and "ukernels" not in source
    return ["-O2"] if rest and not sanitize else []


class BuildExt(build_ext):
    """Compiles files at the same time: most of the time goes into a few of them."""

    def build_extensions(self):
        compile_files = self.compiler.compile

        def compile_parallel(sources, **options):
            given = options.pop("extra_postargs", None) or []

            def compile_one(source):
                arguments = [*given, *optimization(source)]
                return compile_files([source], extra_postargs=arguments, **options)

            with ThreadPoolExecutor(os.cpu_count()) as pool:
                objects = pool.map(compile_one, sources)
            return [path for paths in objects for path in paths]

        self.compiler.compile = compile_parallel
        super().build_extensions()


extension = Extension(
    "fastconv._kernels",
    sources=SOURCES,
    include_dirs=["src_c"],
    depends=["setup.py", *glob("src_c/**/*.[hi]*", recursive=True)],
    extra_compile_args=FLAGS,
    extra_link_args=LINK,
    define_macros=[("FC_BUILD_FLAGS", '"' + " ".join(FLAGS).replace('"', "") + '"')],
)
setup(
    cmdclass={"build_ext": BuildExt},
    ext_modules=cythonize(
        [extension],
        language_level=3,
        compiler_directives={
            "boundscheck": False,
            "wraparound": False,
            "initializedcheck": False,
            "embedsignature": True,
        },
    ),
)
