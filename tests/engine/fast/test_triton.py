"""The Triton loop without a GPU: its numbers in the interpreter, and that every kernel compiles."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from multiattn.engine.fast import triton_loop

pytest.importorskip("triton", reason="PyTorch comes with Triton on Linux only")

HERE = Path(__file__).parent
SINGLE_POINTERS = {"cells", "d_cell", "energy", "bias", "energies", "weights"} | {
    *("d_weights", "d_attended", "d_scores", "d_energy")
}
WHOLE = {"lengths": "*i32", "reach": "*i32", "mask": "*i1"}


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
    assert not triton_loop.triton_works(triton_loop.torch.device("cpu"))


def shape_of(slots: int, hidden_dim: int, key_dim: int, *, gated: bool, half: bool):
    asked_dim = key_dim + hidden_dim + triton_loop.GATE_COLUMNS * gated
    return triton_loop.Shape(4, 3, slots, 16, hidden_dim, key_dim, asked_dim, half)


# Translation in bfloat16, speech in float16, the smallest of all in single precision.
SHAPES = {
    "bf16": shape_of(36, 512, 512, gated=False, half=True),
    "fp16": shape_of(250, 320, 320, gated=True, half=True),
    "fp32": shape_of(1, 16, 16, gated=True, half=False),
}


def constants_of(kernel: str, shape: triton_loop.Shape) -> dict:
    cuts = shape.attention_cuts()
    sizes = {"word_dim": shape.word_dim, "hidden_dim": shape.hidden_dim, "weighed": True}
    keys = {"tile": min(32, shape.all_slots)} if kernel == "keys_backward" else {}
    return {"block": triton_loop.block_of(shape.hidden_dim, 64), **cuts, **sizes, **keys}


@pytest.mark.parametrize(
    "kernel",
    ["lstm_forward", "lstm_backward", "attend_forward", "attend_backward", "keys_backward"],
)
@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("capability", [80, 90])
def test_every_kernel_compiles(kernel, kind, capability, tmp_path, monkeypatch):
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from multiattn.engine.fast import triton_kernels

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    function = getattr(triton_kernels, kernel)
    constants = constants_of(kernel, SHAPES[kind])
    signature, constexprs = {}, {}
    for parameter in function.params:
        name = parameter.name
        if parameter.is_constexpr:
            signature[name], constexprs[(parameter.num,)] = "constexpr", constants[name]
        elif name in ("step", "rows", "slots"):
            signature[name] = "i32"
        else:
            signature[name] = WHOLE.get(name) or f"*{'fp32' if name in SINGLE_POINTERS else kind}"
    source = ASTSource(function, signature=signature, constexprs=constexprs)
    options = {"num_warps": constants["num_warps"]}
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    assert compiled.asm["cubin"]
