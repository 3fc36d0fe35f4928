"""Whisper's normalisers are those of the package, line by line as the documentation says."""

from __future__ import annotations

import importlib.metadata
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from multiattn import load_host
from multiattn.registry.schema import Named
from multiattn_audio.metrics.error_rates import Wer
from multiattn_audio.whisper_normalisers import WhisperBasic, WhisperEnglish

PAGE = Path(__file__).parents[3] / "docs" / "evaluation" / "normalisers.md"
PARTS = [
    *("twenty one", "$20 million", "Mr. Smith's", "won't", "colour", "um,", "[noise]", "3.5 %"),
    *("(laughs)", "Straße", "ﬁsh", "two thousand and ten", "it's", "I'll", "—", "double oh seven"),
    *("the", "cat", "grey", "theatre", "half past", "first", "£5", "don't", "y'all", "naïve"),
]


def random_lines():
    draw = random.Random(1)
    return [" ".join(draw.choices(PARTS, k=draw.randint(1, 8))) for _ in range(200)]


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
def test_two_hundred_lines_are_normalised_as_by_the_package():
    from whisper_normalizer.basic import BasicTextNormalizer
    from whisper_normalizer.english import EnglishTextNormalizer

    for own, package in (
        (WhisperEnglish(), EnglishTextNormalizer()),
        (WhisperBasic(), BasicTextNormalizer()),
        (WhisperBasic(split_letters=True), BasicTextNormalizer(split_letters=True)),
    ):
        assert [own(line) for line in random_lines()] == list(map(package, random_lines()))


def table(name):
    """The rows of the table of a normaliser in the documentation: text, normalised text."""
    section = PAGE.read_text("utf-8").split(f"\n## `{name}`\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `(.*?)` \| `?(.*?)`? \|$", section, re.MULTILINE)


@pytest.mark.parametrize("name", ["none", "plain", "english", "whisper-basic", "whisper-english"])
def test_the_documentation_says_what_a_normaliser_makes_of_a_text(name):
    normalise = load_host().build("normaliser", Named(name=name))
    rows = table(name)
    assert len(rows) >= 5
    for text, normalised in rows:
        assert normalise(text) == normalised, text


def test_the_signature_names_the_version_of_the_package():
    version = importlib.metadata.version("whisper-normalizer")
    assert WhisperEnglish().signature() == f"whisper-english-{version}"
    assert WhisperBasic(split_letters=True).signature() == f"whisper-basic-letters-{version}"
    assert f"norm:whisper-basic-{version}|" in Wer(normaliser=WhisperBasic).signature()


def test_the_first_import_of_the_package_warns_of_nothing(tmp_path):
    program = "from multiattn_audio.whisper_normalisers import *; WhisperEnglish(); WhisperBasic()"
    command = [sys.executable, "-W", "error", "-X", f"pycache_prefix={tmp_path}", "-c", program]
    subprocess.run(command, check=True)
