"""Kill -9 a run at random moments, continue it by the same command, compare the final weights.

    python benchmarks/kill_test.py translation --times 20 --set training.steps=60 ...

Every option after the recipe is handed to ``multiattn train``, but --times, --seed and --folder.
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
    seconds = run_whole([*command, "--out", str(folder / "undisturbed")])
    expected = fingerprint(folder / "undisturbed")
    print(f"undisturbed: {seconds:.1f} s, weights {expected[0][:16]}", flush=True)
    wrong = 0
    for number in range(1, arguments.times + 1):
        out = folder / f"killed-{number:02d}"
        moment = draw.uniform(0, seconds)
        where = kill_at(moment, [*command, "--out", str(out)], out)
        run_whole([*command, "--out", str(out)])
        same = fingerprint(out) == expected
        wrong += not same
        verdict = "equal" if same else f"DIFFERENT, see {out}"
        print(f"{number}: killed after {moment:.1f} s ({where}): {verdict}", flush=True)
        if same:
            shutil.rmtree(out)
    print(f"{arguments.times - wrong} of {arguments.times} bit-equal")
    return int(wrong > 0)


def run_whole(arguments: list[str]) -> float:
    """Run to the end; how many seconds it took."""
    started = time.perf_counter()
    subprocess.run(multiattn(arguments), check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def kill_at(moment: float, arguments: list[str], out: Path) -> str:
    """Start, kill the process and all it started after so many seconds; how far it had come."""
    process = subprocess.Popen(
        multiattn(arguments), stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        process.wait(timeout=moment)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    lines = (out / "log.jsonl").read_text().split("\n")[:-1] if (out / "log.jsonl").exists() else []
    checkpoints = sorted(file.stem for file in out.glob("checkpoints/step-*.pt"))
    logged = json.loads(lines[-1])["step"] if lines else "nothing"
    return f"logged {logged}, checkpoint {checkpoints[-1] if checkpoints else 'none'}"


def fingerprint(run: Path) -> tuple[str, list[dict[str, object]]]:
    """The hash of the weights, and the log without times."""
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    told = [{name: line[name] for name in line if name not in CLOCK} for line in log]
    return hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest(), told


def multiattn(arguments: list[str]) -> list[str]:
    """The command line of this environment."""
    return [sys.executable, "-c", "from multiattn.cli import main; main()", *arguments]


if __name__ == "__main__":
    sys.exit(main())
