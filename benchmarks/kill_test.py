"""Kill `multiattn run` with SIGKILL at random moments, repeat it, and compare all that it wrote.

    python benchmarks/kill_test.py translation --times 12 --set training.steps=60 ...

Options other than --times, --seed and --folder are passed on to ``multiattn run``. The moment is
drawn by progress, not by time, so that all phases are covered on a busy machine too. The phases
take turns: the start; a step; the writing of a checkpoint; the evaluation of each split; the
writing of its results; the report and its writing. A random delay follows. The exit code is 0 if
every killed run ends as the uninterrupted one: weights, outputs and scores the same bit for bit,
the log apart from the times, and a report.
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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIME_KEYS = {"seconds", "tokens_per_second"}
INSTANT = 0.002  # seconds: about as long as a small file takes to be written


@dataclass(frozen=True)
class Moment:
    """Up to ``delay`` seconds after a file that fits ``pattern`` is there and a step is logged.

    Without a pattern the delay begins at once.
    """

    phase: str
    pattern: str
    delay: float
    step: int = -1

    def reached(self, run: Path) -> bool:
        """Whether the delay begins."""
        there = not self.pattern or any(run.glob(self.pattern))
        return there and last_step(run) >= self.step


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=None)
    arguments, options = parser.parse_known_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="kill-test-"))
    generator = random.Random(arguments.seed)
    command = ["run", arguments.recipe, *options]
    uninterrupted = folder / "uninterrupted"
    start([*command, "--out", str(uninterrupted)]).wait()
    expected = fingerprint(uninterrupted)
    print(f"uninterrupted: weights {expected['model.safetensors'][:16]}", flush=True)
    equal = done = 0
    for moment in moments(uninterrupted, generator):
        if done == arguments.times:
            break
        out = folder / f"killed-{done + 1:02d}"
        killed = start_and_kill([*command, "--out", str(out)], out, moment, generator)
        start([*command, "--out", str(out)]).wait()
        found = fingerprint(out)
        names = {**expected, **found}
        differing = [name for name in names if expected.get(name) != found.get(name)]
        if killed is not None:
            done, equal = done + 1, equal + (not differing)
            outcome = f"DIFFERENT in {', '.join(differing)}, see {out}" if differing else "equal"
            print(f"{done}: {killed}: {outcome}", flush=True)
        if not differing:
            shutil.rmtree(out)
    print(f"{equal} of {done} bit for bit equal")
    return int(equal < done)


def start(arguments: list[str]) -> subprocess.Popen[bytes]:
    """Start multiattn from this environment, in its own process group."""
    program = [sys.executable, "-c", "from multiattn.cli import main; main()"]
    return subprocess.Popen(
        [*program, *arguments], stdout=subprocess.DEVNULL, start_new_session=True
    )


def moments(uninterrupted: Path, generator: random.Random) -> Iterator[Moment]:
    """Moments in each phase of a run like this one, in turns and without end."""
    steps = sorted({line["step"] for line in log_lines(uninterrupted)})[:-1]
    results = sorted(uninterrupted.glob("results/[!.]*"), key=lambda path: path.stat().st_mtime)
    while True:
        yield Moment("start", "", 8)
        yield Moment("step", "log.jsonl", 2, generator.choice(steps))
        for suffix in ("safetensors", "pt"):
            written = f"checkpoints/.step-*.{suffix}.partial"
            yield Moment(f"checkpoint's {suffix}", written, INSTANT, generator.choice(steps))
        for split in (path.name for path in results):
            yield Moment(f"evaluation of {split}", f".{split}.lock", 2)
            yield Moment(f"results of {split}", f"results/.{split}.partial", INSTANT)
        yield Moment("report", f"results/{results[-1].name}", 2)
        yield Moment("report's file", ".report.html.partial", INSTANT)


def start_and_kill(
    arguments: list[str], out: Path, moment: Moment, generator: random.Random
) -> str | None:
    """Start a run and kill it at the moment; describe the kill, or None if it ended first."""
    process = start(arguments)
    while process.poll() is None and not moment.reached(out):
        time.sleep(0 if moment.delay == INSTANT else 0.01)
    time.sleep(generator.uniform(0, moment.delay))
    if process.poll() is not None:
        return None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    checkpoints = sorted(file.stem for file in out.glob("checkpoints/step-*.pt"))
    done = [f"step {last_step(out)} logged"] if last_step(out) >= 0 else ["nothing logged"]
    done += [f"checkpoint {checkpoints[-1] if checkpoints else 'none'}"]
    done += sorted(f"{path.name} written" for path in out.glob("results/[!.]*"))
    done += sorted(f"{path.name} left behind" for path in out.rglob("*.partial"))
    return f"{moment.phase}: {', '.join(done)}"


def last_step(run: Path) -> int:
    """The last step in the log, -1 if there is none."""
    lines = log_lines(run)
    return lines[-1]["step"] if lines else -1


def log_lines(run: Path) -> list[dict[str, Any]]:
    """The complete lines of the log."""
    log = run / "log.jsonl"
    return [json.loads(line) for line in log.read_text().split("\n")[:-1]] if log.exists() else []


def fingerprint(run: Path) -> dict[str, Any]:
    """By file its content or a hash of it, without times; whether there is a report."""
    found: dict[str, Any] = {
        str(file.relative_to(run)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in (run / "model.safetensors", *run.glob("results/*/*"))
        if file.name != "scores.json"
    }
    for file in run.glob("results/*/scores.json"):
        scores = json.loads(file.read_text())
        del scores["decoding"]["seconds"]
        found[str(file.relative_to(run))] = scores
    log = [{name: line[name] for name in line if name not in TIME_KEYS} for line in log_lines(run)]
    left = sorted(str(file.relative_to(run)) for file in run.rglob("*.partial"))
    return {**found, "log.jsonl": log, "report.html": (run / "report.html").exists(), "left": left}


if __name__ == "__main__":
    sys.exit(main())
