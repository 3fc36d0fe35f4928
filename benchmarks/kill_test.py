"""Kill -9 a run at random moments, continue it by the same command, compare the final weights.

    python benchmarks/kill_test.py translation --times 20 --set training.steps=60 ...

Every option after the recipe is handed to ``multiattn train``, but --times, --seed and --folder.
The moment is drawn by progress, not by the clock, so that a busy machine does not spare the run: a
step of the log, then a part of the time to the next; one in eight while the run is still starting.
Exit code 0 if every run that was killed ends bit for bit as the one that was not: the weights, and
the log but for what a clock says.
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

CLOCK = {"seconds", "tokens_per_second"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=None)
    arguments, options = parser.parse_known_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="kill-test-"))
    draw = random.Random(arguments.seed)
    command = ["train", arguments.recipe, *options]
    undisturbed = folder / "undisturbed"
    start([*command, "--out", str(undisturbed)]).wait()
    expected = fingerprint(undisturbed)
    logged = sorted({line["step"] for line in lines(undisturbed)})
    print(f"undisturbed: {logged[-1]} steps, weights {expected[0][:16]}", flush=True)
    equal = done = 0
    while done < arguments.times:
        out = folder / f"killed-{done + 1:02d}"
        where = killed([*command, "--out", str(out)], out, logged, draw)
        start([*command, "--out", str(out)]).wait()
        same = fingerprint(out) == expected
        if where is not None:
            done, equal = done + 1, equal + same
            print(f"{done}: {where}: {'equal' if same else f'DIFFERENT, see {out}'}", flush=True)
        if same:
            shutil.rmtree(out)
    print(f"{equal} of {done} bit-equal")
    return int(equal < done)


def start(arguments: list[str]) -> subprocess.Popen[bytes]:
    """The command line of this environment, in a process group of its own."""
    program = [sys.executable, "-c", "from multiattn.cli import main; main()"]
    return subprocess.Popen(
        [*program, *arguments], stdout=subprocess.DEVNULL, start_new_session=True
    )


def killed(arguments: list[str], out: Path, logged: list[int], draw: random.Random) -> str | None:
    """Start, kill at a random moment; where that was, or None if the run was quicker."""
    if draw.random() < 1 / 8:
        step, delay = -1, draw.uniform(0, 8)
    else:
        step, delay = draw.choice(logged[:-1]), draw.uniform(0, 2)
    process = start(arguments)
    while process.poll() is None and (lines(out)[-1]["step"] if lines(out) else -1) < step:
        time.sleep(0.01)
    time.sleep(delay)
    if process.poll() is not None:
        return None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    checkpoints = sorted(file.stem for file in out.glob("checkpoints/step-*.pt"))
    last = f"step {lines(out)[-1]['step']}" if lines(out) else "nothing"
    return f"killed with {last} logged, checkpoint {checkpoints[-1] if checkpoints else 'none'}"


def lines(run: Path) -> list[dict[str, object]]:
    """The whole lines of a log."""
    log = run / "log.jsonl"
    return [json.loads(line) for line in log.read_text().split("\n")[:-1]] if log.exists() else []


def fingerprint(run: Path) -> tuple[str, list[dict[str, object]]]:
    """The hash of the weights, and the log without times."""
    told = [{name: line[name] for name in line if name not in CLOCK} for line in lines(run)]
    return hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest(), told


if __name__ == "__main__":
    sys.exit(main())
