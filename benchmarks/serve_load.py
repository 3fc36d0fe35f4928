"""Ask a running server from many clients at once, and check every answer.

    multiattn serve runs/asr runs/captioning &
    python benchmarks/serve_load.py --seconds 600 --clients 50 runs/asr runs/captioning

Each client sends examples of the test splits, damaged files and files that are too large, in random
order. An answer is wrong if it is not that of ``predict`` for the same input. Prints counts, median
and 99th percentile.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np

import multiattn
from multiattn.data.corpus import open_corpus
from multiattn.data.splits import Splits

BAD, HUGE = 0.1, 0.02  # shares of the requests


def inputs_of(run: Path, count: int) -> list[tuple[str, dict[str, Any], str]]:
    """Run, form and expected text of some examples of the test split."""
    predictor = multiattn.load(run, device="cpu")
    settings, system = predictor.system.settings, predictor.system
    corpus = open_corpus(settings.corpus, system.host, system.run.read_start()["data"])
    splits = Splits(corpus, settings)
    examples = splits.examples(splits.names.test)[:count]
    inputs = [
        {name: each.fields[source.field] for name, source in settings.sources.items()}
        for each in examples
    ]
    outputs = list(predictor.each(inputs))
    forms = [
        {
            name: (Path(value).name, Path(value).read_bytes())
            if Path(str(value)).is_file()
            else (None, value)
            for name, value in each.items()
        }
        for each in inputs
    ]
    return [
        (run.resolve().name, form, output.text) for form, output in zip(forms, outputs, strict=True)
    ]


async def client(
    url: str, cases: list[Any], until: float, seed: int, counts: Counter[str], took: list[float]
) -> None:
    draw = random.Random(seed)
    async with httpx.AsyncClient(timeout=120) as http:
        while time.monotonic() < until:
            run, form, expected = draw.choice(cases)
            files, kind = {**form, "run": (None, run)}, "good"
            source = next(iter(form))
            if draw.random() < HUGE:
                kind, files[source] = "huge", ("x", bytes(30_000_000))
            elif draw.random() < BAD:
                kind, files[source] = "bad", ("x", b"\x00garbage" * 50)
            started = time.monotonic()
            try:
                answer = await http.post(f"{url}/v1/predict", files=files)
            except httpx.HTTPError as error:
                counts[f"{kind}: {type(error).__name__}"] += 1
                continue
            if kind == "good" and answer.status_code == 200:
                took.append(time.monotonic() - started)
                right = answer.json()["text"] == expected and answer.json()["run"] == run
                counts["good: right" if right else "good: WRONG"] += 1
            else:
                counts[f"{kind}: {answer.status_code}"] += 1


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--inputs", type=int, default=100, help="of each run")
    given = parser.parse_args()
    cases = [case for run in given.runs for case in inputs_of(run, given.inputs)]
    counts: Counter[str] = Counter()
    took: list[float] = []
    until = time.monotonic() + given.seconds
    await asyncio.gather(
        *(client(given.url, cases, until, seed, counts, took) for seed in range(given.clients))
    )
    for kind, count in sorted(counts.items()):
        print(f"{kind:40} {count}")
    if took:
        median, late = np.percentile(took, [50, 99])
        print(f"{len(took)} good answers: median {median:.2f} s, 99th percentile {late:.2f} s")


if __name__ == "__main__":
    asyncio.run(main())
