"""Kill a run with SIGKILL at random moments, resume it, and compare the final weights.

    python benchmarks/kill_test.py translation --times 20 --set training.steps=60 ...

Options other than --times, --seed and --folder are passed on to ``multiattn train``. The moment is
drawn by progress, not by time, so that all phases are covered on a busy machine too: a random
logged step plus a random delay; one kill in eight comes while the run is starting. The exit code is
0 if every killed run ends with the same weights as the uninterrupted one, bit for bit, and with the
same log apart from the times.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TIME_KEYS = {"seconds", "tokens_per_second"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=None)
    arguments, options = parser.parse_known_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="kill-test-"))
    generator = random.Random(arguments.seed)
    command = ["train", arguments.recipe, *options]
    uninterrupted = folder / "uninterrupted"
    start([*command, "--out", str(uninterrupted)]).wait()
    expected = fingerprint(uninterrupted)
    logged_steps = sorted({line["step"] for line in log_lines(uninterrupted)})
    print(f"uninterrupted: {logged_steps[-1]} steps, weights {expected[0][:16]}", flush=True)
    equal = done = 0
    while done < arguments.times:
        out = folder / f"killed-{done + 1:02d}"
        moment = start_and_kill([*command, "--out", str(out)], out, logged_steps, generator)
        start([*command, "--out", str(out)]).wait()
        same = fingerprint(out) == expected
        if moment is not None:
            done, equal = done + 1, equal + same
            print(f"{done}: {moment}: {'equal' if same else f'DIFFERENT, see {out}'}", flush=True)
        if same:
            shutil.rmtree(out)
    print(f"{equal} of {done} bit for bit equal")
    return int(equal < done)


def start(arguments: list[str]) -> subprocess.Popen[bytes]:
    """Start multiattn from this environment, in its own process group."""
    program = [sys.executable, "-c", "from multiattn.cli import main; main()"]
    return subprocess.Popen(
        [*program, *arguments], stdout=subprocess.DEVNULL, start_new_session=True
    )


def start_and_kill(
    arguments: list[str], out: Path, logged_steps: list[int], generator: random.Random
) -> str | None:
    """Start a run and kill it at a random moment; describe the kill, or None if it ended first."""
    if generator.random() < 1 / 8:
        step, delay = -1, generator.uniform(0, 8)
    else:
        step, delay = generator.choice(logged_steps[:-1]), generator.uniform(0, 2)
    process = start(arguments)
    while process.poll() is None and (log_lines(out)[-1]["step"] if log_lines(out) else -1) < step:
        time.sleep(0.01)
    time.sleep(delay)
    if process.poll() is not None:
        return None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    checkpoints = sorted(file.stem for file in out.glob("checkpoints/step-*.pt"))
    last = f"step {log_lines(out)[-1]['step']}" if log_lines(out) else "nothing"
    return f"killed with {last} logged, checkpoint {checkpoints[-1] if checkpoints else 'none'}"


def log_lines(run: Path) -> list[dict[str, object]]:
    """The complete lines of the log."""
    log = run / "log.jsonl"
    return [json.loads(line) for line in log.read_text().split("\n")[:-1]] if log.exists() else []


def fingerprint(run: Path) -> tuple[str, list[dict[str, object]]]:
    """The hash of the weights, and the log without its times."""
    log = [{name: line[name] for name in line if name not in TIME_KEYS} for line in log_lines(run)]
    return hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest(), log


if __name__ == "__main__":
    sys.exit(main())
