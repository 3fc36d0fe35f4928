"""The Triton loop without a GPU: its numbers in the interpreter, and that every kernel compiles."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from multiattn.engine.fast.gpu import loop
from multiattn.engine.fast.gpu.shapes import Shape, block_of

triton = pytest.importorskip("triton", reason="PyTorch comes with Triton on Linux only")
TRITON_VERSION = tuple(int(part) for part in triton.__version__.split(".")[:2])

HERE = Path(__file__).parent
SINGLE_POINTERS = {"cells", "d_cell", "energy", "bias", "energies", "weights"} | {
    *("d_weights", "d_attended", "d_scores", "d_energy", "d_feature")
}
WHOLE = {"lengths": "*i32", "reach": "*i32", "mask": "*i1"}


@pytest.mark.skipif(
    TRITON_VERSION < (3, 7), reason="older interpreters cannot loop up to a loaded number"
)
def test_the_kernels_compute_the_readable_path_in_the_interpreter():
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, str(HERE / "triton_in_interpreter.py")],
        env={**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout


def test_without_a_gpu_or_the_interpreter_the_loop_does_not_apply():
    assert not loop.triton_works(loop.torch.device("cpu"))


def shape_of(
    slots: int, hidden_dim: int, key_dim: int, *, rows: int, gated: bool, filters: int, half: bool
) -> Shape:
    asked_dim = key_dim + hidden_dim + loop.GATE_COLUMNS * gated
    return Shape(4, rows, slots, 16, hidden_dim, key_dim, asked_dim, filters, half)


# Translation, speech of few rows, with and without location, and the smallest of all.
SHAPES = {
    "bf16": shape_of(36, 512, 512, rows=256, gated=False, filters=0, half=True),
    "bf16, few rows": shape_of(250, 320, 320, rows=32, gated=False, filters=0, half=True),
    "fp16, location": shape_of(250, 320, 320, rows=32, gated=True, filters=16, half=True),
    "fp32, location": shape_of(36, 512, 320, rows=256, gated=True, filters=16, half=False),
    "fp32": shape_of(1, 16, 16, rows=1, gated=True, filters=0, half=False),
}


def variants(kernel: str, shape: Shape) -> list[dict]:
    """The constants that the loop launches a kernel with."""
    sizes = {name: getattr(shape, name) for name in ("word_dim", *HELD)}
    if kernel == "attend_forward":
        return [{**sizes, **cuts} for _, cuts in shape.halves(shape.key_dim, shape.hidden_dim)]
    if kernel == "attend_backward":
        halves = shape.halves(shape.hidden_dim, shape.key_dim)
        return [{**sizes, **cuts, "weighed": True} for _, cuts in halves]
    if kernel in ("location_backward", "keys_backward"):
        if not shape.filters and kernel == "location_backward":
            return []
        return [{**sizes, "block": block_of(shape.key_dim, 64), "tile": 32, "fast": shape.fast}]
    return [{**sizes, "block": shape.cell_block}]


HELD = ("hidden_dim", "key_dim", "asked_dim", "filters")
KERNELS = {
    "lstm_forward": "kernels",
    "lstm_backward": "kernels",
    "attend_forward": "kernels",
    "attend_backward": "gradients",
    "location_backward": "gradients",
    "keys_backward": "gradients",
}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("kind", "capability"), [*((kind, 90) for kind in SHAPES), ("fp16, location", 80)]
)
def test_every_kernel_compiles(kernel, kind, capability, tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    for constants in variants(kernel, SHAPES[kind]):
        assert compiled(kernel, kind.split(",")[0], constants, capability).asm["cubin"]


def compiled(kernel: str, kind: str, constants: dict, capability: int):
    """A kernel for one GPU and one set of constants."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    module = importlib.import_module(f"multiattn.engine.fast.gpu.{KERNELS[kernel]}")
    function = getattr(module, kernel)
    signature, constexprs, aligned = {}, {}, {}
    for parameter in function.params:
        name = parameter.name
        if parameter.is_constexpr:
            signature[name], constexprs[(parameter.num,)] = "constexpr", constants[name]
        elif name in ("step", "rows", "slots", "padded_slots"):
            signature[name] = "i32"
        else:
            signature[name] = WHOLE.get(name) or f"*{'fp32' if name in SINGLE_POINTERS else kind}"
            aligned[(parameter.num,)] = [["tt.divisibility", 16]]
    source = ASTSource(function, signature=signature, constexprs=constexprs, attrs=aligned)
    options = {"num_warps": constants.get("num_warps", 4)}
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
