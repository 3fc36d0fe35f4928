"""One reader of texts that is right, and readers that are wrong in one way each."""

import json
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from multiattn import Reader, hookimpl

NAMES = ("Right", "Numbering", "Mislabelled", "Noisy", "Unseeded", "Forgetful", "Leading")
NAMES += ("Tensors", "Overlong", "Characters", "Raising", "Missing", "Silent")


@hookimpl
def multiattn_components():
    for name in NAMES:
        produces = "lines" if name in ("Missing", "Silent") else "text"
        target = f"faulty_readers:{name}"
        yield Reader(name=name.lower(), target=target, summary="reads words", produces=produces)


class Right:
    """Numbers the words that it is fitted on; any other word is 0."""

    random = False
    spec = "words"

    def __init__(self) -> None:
        self.words = []

    def fit(self, values, target):
        self.words = sorted({word for value in values for word in value.split()})

    def save(self, folder):
        (folder / "words.json").write_text(json.dumps(self.words))

    def load(self, folder, target):
        self.words = json.loads((folder / "words.json").read_text())

    def number(self, word):
        return self.words.index(word) + 1 if word in self.words else 0

    def measure(self, value):
        return len(value.split()) + 1

    def read(self, value, generator=None):
        return np.array([*map(self.number, value.split()), len(self.words) + 1])

    def collate(self, items):
        ids = [torch.tensor(item) for item in items]
        return pad_sequence(ids, True), torch.tensor([len(item) for item in items])

    def labels(self, value):
        return [f"▁{word}" for word in value.split()] + ["</s>"]


class Numbering(Right):
    def labels(self, value):
        return [str(number) for number in self.read(value).tolist()]


class Mislabelled(Right):
    def labels(self, value):
        return value.split()


class Noisy(Right):
    def read(self, value, generator=None):
        ids = super().read(value)
        if generator is not None:
            ids[torch.rand(len(ids), generator=generator).numpy() < 0.5] = 0
        return ids


class Unseeded(Right):
    random = True

    def read(self, value, generator=None):
        ids = super().read(value)
        return np.where(torch.rand(len(ids)).numpy() < 0.5, 0, ids)


class Forgetful(Right):
    def load(self, folder, target):
        self.words = []


class Leading(Right):
    def collate(self, items):
        padded, lengths = super().collate([item[::-1].copy() for item in items])
        return padded.flip(1), lengths


class Tensors(Right):
    def read(self, value, generator=None):
        return torch.tensor(super().read(value))

    def collate(self, items):
        return super().collate([np.asarray(item) for item in items])


class Overlong(Right):
    def collate(self, items):
        padded, _ = super().collate(items)
        return padded, torch.full((len(items),), padded.size(1))


class Characters(Right):
    def measure(self, value):
        return len(value)


class Raising(Right):
    def number(self, word):
        if word not in self.words:
            raise ValueError(f"{word} is not in list")
        return super().number(word)


class Missing(Right):
    """Reads files of lines; says in its own way that there is none."""

    def example_values(self, folder):
        paths = [folder / "one.txt", folder / "three.txt"]
        for path, lines in zip(paths, ("a", "b\nc\nd"), strict=True):
            path.write_text(lines)
        return [str(path) for path in paths]

    def fit(self, values, target):
        self.words = ["a", "b", "c", "d"]

    def lines(self, value):
        return Path(value).read_bytes().decode("utf-8", "replace")

    def measure(self, value):
        return super().measure(self.lines(value))

    def read(self, value, generator=None):
        return super().read(self.lines(value))

    def labels(self, value):
        return super().labels(self.lines(value))


class Silent(Missing):
    """Reads a file that does not exist as an empty one."""

    def lines(self, value):
        try:
            return super().lines(value)
        except FileNotFoundError:
            return ""
