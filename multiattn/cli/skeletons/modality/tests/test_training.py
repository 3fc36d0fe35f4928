"""The recipe learns: after a short training it guesses better than one who sees no series."""

import json
import subprocess
import sys

from my_plugin.make_corpus import make

BLIND = 3.2  # the perplexity of the words that make_corpus draws
SHORT = ("training.steps=150", "training.validate_every=150", "training.schedule=constant")


def test_the_recipe_learns(tmp_path):
    make(tmp_path / "data")
    folders = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "run")]
    settings = [part for setting in SHORT for part in ("--set", setting)]
    command = [sys.executable, "-m", "multiattn", "train", "my-plugin", *folders, *settings]
    subprocess.run(command, check=True)
    *_, last = (tmp_path / "run" / "log.jsonl").read_text("utf-8").splitlines()
    assert json.loads(last)["perplexity"] < 0.8 * BLIND
