"""Random damage: to bytes, to lines, to texts and to values of settings."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

SNIPPETS = (
    *(b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r\n", b"\r", b"\n\n", b"\t", b'"', b"'", b"\\"),
    *(b"{", b"]", b": ", b"- ", b"#", b"&a ", b"*a", b"!!python/object:os.system ", b"nan"),
    *(b"1e999", b"-1", b"null", b"\x1b[31m", "\u202e".encode(), "é".encode("latin-1")),
    *("\u2028".encode(), "\u0301".encode(), b"\xed\xa0\x80", b"<script>alert(1)</script>"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 10**30, 0.5, -0.5, float("nan"), float("inf"), 1e-320),
    *("", " ", "none", "nan", "0", "-1", "1e3", "\x1b[31mred", "[red]x", "../..", "/dev/null"),
    *("é" * 50, "x" * 100_000, "\x00", "\ud800", [], [[]], [1], ["a", "a"], {}, {"name": "lstm"}),
    *({"name": 1}, {"": ""}, [None], {"a": {"b": {"c": 1}}}),
)
LETTERS = (
    *"abc ABC 019 .,;:!?-_'\"()[]{}<>/\\|@#$%^&*+=~`",
    *"\t\n\r\x00\x07\x1b\x7f\u00a0\u00ad\u200b\u200c\u200d\u2028\u202e\ufeff\ufffd\ue000\ud800",
    *"äßéñøİıﬁ中文字日本한글עבריתअक्षรภาษา",
    *("e\u0301", "👩‍👩‍👧", "🇩🇪", "𝔘", "<unk>", "<s>", "</s>", "<pad>", "▁", "&amp;", "[red]"),
)


def damaged(data: bytes, generator: random.Random) -> bytes:
    """The data after one to four mutations."""
    for _ in range(generator.randint(1, 4)):
        data = generator.choice(MUTATIONS)(data, generator)
    return data


def text(generator: random.Random, most: int = 40) -> str:
    """Letters of many scripts, controls, and what has a meaning to a tokenizer or a terminal."""
    return "".join(generator.choices(LETTERS, k=generator.randint(0, most)))


def misspelt(word: str, generator: random.Random) -> str:
    """The word with a letter lost, doubled or changed."""
    at = generator.randrange(len(word) + 1)
    return word[:at] + generator.choice(("", "x", word[at : at + 1] * 2)) + word[at + 1 :]


def _cut(data: bytes, generator: random.Random) -> bytes:
    return data[: generator.randint(0, len(data))]


def _lose(data: bytes, generator: random.Random) -> bytes:
    at = generator.randint(0, len(data))
    return data[:at] + data[at + generator.randint(1, 16) :]


def _flip(data: bytes, generator: random.Random) -> bytes:
    if not data:
        return data
    at = generator.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << generator.randrange(8)]) + data[at + 1 :]


def _insert(data: bytes, generator: random.Random) -> bytes:
    at = generator.randint(0, len(data))
    return data[:at] + generator.choice(SNIPPETS) + data[at:]


def _extreme(data: bytes, generator: random.Random) -> bytes:
    """Four bytes near the start become a very large or a very small number."""
    at = generator.randint(0, min(len(data), 64))
    number = generator.choice((b"\xff" * 4, b"\x00" * 4, b"\x7f\xff\xff\xff"))
    return data[:at] + number + data[at + 4 :]


def _lines(change: Callable[[list[bytes], random.Random], None]) -> Callable[..., bytes]:
    def mutation(data: bytes, generator: random.Random) -> bytes:
        lines = data.split(b"\n")
        change(lines, generator)
        return b"\n".join(lines)

    return mutation


def _drop(lines: list[bytes], generator: random.Random) -> None:
    del lines[generator.randrange(len(lines))]


def _repeat(lines: list[bytes], generator: random.Random) -> None:
    lines.insert(generator.randrange(len(lines)), generator.choice(lines))


def _swap(lines: list[bytes], generator: random.Random) -> None:
    one, other = (generator.randrange(len(lines)) for _ in range(2))
    lines[one], lines[other] = lines[other], lines[one]


MUTATIONS: Sequence[Callable[[bytes, random.Random], bytes]] = (
    *(_cut, _lose, _flip, _insert, _extreme),
    *(_lines(_drop), _lines(_repeat), _lines(_swap)),
)
