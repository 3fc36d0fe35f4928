"""Random and damaged inputs of every class: each is used, or refused with a UserError.

    python tests/fuzz/fuzz.py                            # an hour over all classes
    python tests/fuzz/fuzz.py --seconds 60 --only sound  # a minute of one
    python tests/fuzz/fuzz.py --only sound --seed 4711   # one attempt again, with its traceback

A failure is any other exception, more than LONGEST seconds, more than LARGEST bytes of memory, or
a damaged input that was accepted and changed a result without a word. The table counts them; every
failure is printed with the seed that repeats it. The exit code is 1 if there was one.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tiny")]
from fuzz_targets import TARGETS, Target

from multiattn.errors import UserError

LONGEST = 20.0
LARGEST = 1 << 30


class Hang(BaseException):
    """No ``except Exception`` may swallow it."""


def outcome(target: Target, seed: int) -> tuple[str, str]:
    """The kind of the outcome of one attempt, and what to print of a failure."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        with _time_limit(LONGEST), warnings.catch_warnings(), _quiet():
            warnings.simplefilter("ignore")
            target.attempt(random.Random(seed))
    except UserError as error:
        sentence = str(error)
        if max(map(len, sentence.split("\n"))) > 2000 or any(
            ord(letter) < 32 and letter not in "\n\t" for letter in sentence
        ):
            return "sentence", f"{len(sentence)} characters: {sentence[:300]!r}"
        return "refused", ""
    except AssertionError as error:
        return "silent", str(error)
    except Hang:
        return "hang", traceback.format_exc()
    except BaseException:
        return "traceback", traceback.format_exc()
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    return ("memory", f"{grown >> 20} MiB") if grown > LARGEST else ("accepted", "")


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise Hang

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def run(target: Target, first_seed: int, seconds: float, attempts: int | None) -> Counter[str]:
    """Attempt until the time is over, or so many times; count the outcomes."""
    counts: Counter[str] = Counter()
    end = time.monotonic() + seconds
    for seed in itertools.count(first_seed):
        kind, detail = outcome(target, seed)
        counts[kind] += 1
        if detail:
            print(f"{target.name}, seed {seed}: {kind}\n{detail}", flush=True)
        if time.monotonic() > end or sum(counts.values()) == attempts:
            return counts
    raise AssertionError


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600, help="over all classes")
    parser.add_argument("--only", choices=sorted(TARGETS), action="append")
    parser.add_argument("--seed", type=int, help="one attempt with this seed")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed")
    arguments = parser.parse_args()
    names = arguments.only or list(TARGETS)
    failed = False
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        for name in names:
            (Path(folder) / name).mkdir()
            target = TARGETS[name](Path(folder) / name)
            if arguments.seed is not None:
                target.attempt(random.Random(arguments.seed))
                continue
            counts = run(target, arguments.first, arguments.seconds / len(names), None)
            failures = counts.keys() - {"accepted", "refused"}
            failed |= bool(failures)
            kinds = ("accepted", "refused", *sorted(failures))
            rest = ", ".join(f"{counts[kind]} {kind}" for kind in kinds)
            print(f"{name}: {counts.total()} attempts, {rest}", flush=True)
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
