"""What is fuzzed, class by class: each attempt damages one input and uses it as a command would."""

from __future__ import annotations

import functools
import gzip
import io
import json
import random
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import mutations
import numpy as np
import soundfile
import tiny_runs
import yaml
from PIL import Image

import multiattn
from multiattn.data.corpus import open_corpus
from multiattn.data.splits import Splits
from multiattn.data.tokenizer import Tokenizer
from multiattn.prediction.inputs import InputParser
from multiattn.recipe.loading import dump_recipe, load_recipe, recipe_files, shipped
from multiattn.recipe.yamlfile import leaves
from multiattn.registry.host import load_host
from multiattn.registry.schema import Named
from multiattn.scoring import intervals
from multiattn.scoring.matching import MISSING, match
from multiattn.scoring.system_outputs import read_files
from multiattn.unicode import normalise_unicode

RECIPES = ("translation", "summarization", "asr", "captioning")
FIRST = 12  # rows of each shipped corpus


@functools.cache
def plugins() -> Any:
    """Everything that is installed."""
    return load_host()


class Target(ABC):
    """A class of inputs. ``folder`` is its own and holds what was prepared."""

    name: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.prepare()

    def prepare(self) -> None:  # noqa: B027 - some have nothing to prepare
        """Write what the attempts damage."""

    @abstractmethod
    def attempt(self, generator: random.Random) -> None:
        """Damage an input and use it. UserError: refused; AssertionError: silently accepted."""


class RecipeFiles(Target):
    """Shipped recipes with damaged bytes and lines; what is accepted says the same when dumped."""

    name = "recipes"

    def prepare(self) -> None:
        self.sources = [file.path.read_bytes() for file in recipe_files(plugins())]

    def attempt(self, generator: random.Random) -> None:
        file = self.folder / "recipe.yaml"
        file.write_bytes(mutations.damaged(generator.choice(self.sources), generator))
        settings = load_recipe(file, (), plugins())
        file.write_text(dump_recipe(settings), "utf-8")
        again = load_recipe(file, (), plugins())
        assert repr(again) == repr(settings), "the dumped recipe reads differently"


class Overrides(Target):
    """``--set`` with keys and values at random; accepted settings can be written as YAML."""

    name = "overrides"

    def prepare(self) -> None:
        self.keys = {
            file.path: [key for key, _ in leaves(yaml.safe_load(file.path.read_bytes()))]
            for file in recipe_files(plugins())
        }

    def attempt(self, generator: random.Random) -> None:
        path = generator.choice(list(self.keys))
        key = generator.choice([*self.keys[path], "search.beam", "training.steps", "seed"])
        if generator.random() < 0.3:
            key = mutations.misspelt(key, generator)
        value = generator.choice(mutations.VALUES)
        written = value if isinstance(value, str) else json.dumps(value)
        if generator.random() < 0.2:
            written = mutations.text(generator)
        settings = load_recipe(path, [f"{key}={written}"], plugins())
        dump_recipe(settings).encode()


class Corpora(Target):
    """Shipped corpora, a dozen rows each, with one damaged text, table or JSON file."""

    name = "corpora"

    def prepare(self) -> None:
        for recipe in RECIPES:
            settings = load_recipe(recipe, (), plugins())
            source, copy = shipped("data") / settings.corpus.folder, self.folder / recipe
            copy.mkdir()
            for file in source.iterdir():
                if file.is_file():
                    head = io.BytesIO(content_of(file)).readlines()[:FIRST]
                    (copy / file.name.removesuffix(".gz")).write_bytes(b"".join(head))
                else:
                    (copy / file.name).symlink_to(file.resolve())

    def attempt(self, generator: random.Random) -> None:
        recipe = generator.choice(RECIPES)
        settings = load_recipe(recipe, (f"corpus.folder={recipe}",), plugins())
        files = sorted(file for file in (self.folder / recipe).iterdir() if file.is_file())
        file = generator.choice(files)
        whole = file.read_bytes()
        try:
            file.write_bytes(mutations.damaged(whole, generator))
            splits = Splits(open_corpus(settings.corpus, plugins(), self.folder), settings)
            for split in (settings.splits.train, settings.splits.validation, settings.splits.test):
                splits.training_rows(split)
        finally:
            file.write_bytes(whole)


def content_of(file: Path) -> bytes:
    """The content of a file, unzipped if it is zipped."""
    return gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()


class MediaFiles(Target):
    """Files of one medium, damaged, through its reader."""

    reader: str
    suffixes: tuple[str, ...]

    def prepare(self) -> None:
        self.files = {suffix: self.encoded(suffix) for suffix in self.suffixes}
        self.built: Any = plugins().build("reader", Named(name=self.reader))

    @abstractmethod
    def encoded(self, suffix: str) -> bytes:
        """A small whole file."""

    def attempt(self, generator: random.Random) -> None:
        suffix = generator.choice(self.suffixes)
        damaged = mutations.damaged(self.files[suffix], generator)
        file = self.folder / f"{abs(hash(damaged))}{generator.choice((suffix, *self.suffixes))}"
        file.write_bytes(damaged)
        try:
            size, value = self.built.measure(str(file)), self.built.read(str(file))
            assert np.isfinite(value).all(), "numbers that are none"
            assert self.built.measure(str(file)) == size, "another size the second time"
        finally:
            file.unlink()


class Sound(MediaFiles):
    """Recordings in four formats."""

    name, reader, suffixes = "sound", "audio", (".wav", ".flac", ".ogg", ".mp3")

    def encoded(self, suffix: str) -> bytes:
        wave = 0.3 * np.sin(np.arange(6400) / 5)
        file = io.BytesIO()
        soundfile.write(file, wave, 16000, format=suffix[1:].upper())
        return file.getvalue()


class Pictures(MediaFiles):
    """Photographs in six formats."""

    name, reader = "pictures", "image"
    suffixes = (".png", ".jpg", ".gif", ".bmp", ".webp", ".tiff")

    def encoded(self, suffix: str) -> bytes:
        pixels = np.random.default_rng(1).integers(0, 255, (24, 31, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, {".jpg": "JPEG"}.get(suffix, suffix[1:].upper()))
        return file.getvalue()


class RunFolders(Target):
    """A run with one damaged, cut or missing file: used if it was finished, continued if not.

    What is accepted predicts, or ends with the weights, that there would be without the damage;
    the recipe alone may be edited.
    """

    name = "runs"
    settings = ("training.schedule=constant",)

    def prepare(self) -> None:
        self.finished, self.stopped = self.folder / "finished", self.folder / "stopped"
        for copy, steps in ((self.finished, 12), (self.stopped, 6)):
            self.request = tiny_runs.start(
                self.folder, (*self.settings, f"training.steps={steps}"), run=copy.name
            )
            tiny_runs.trained(self.request)
        self.request = tiny_runs.start(self.folder, self.settings)
        self.expected = self.prediction(self.finished)
        self.weights = (self.finished / "model.safetensors").read_bytes()

    @staticmethod
    def prediction(path: Path) -> tuple[str, float]:
        predicted = multiattn.load(path, host=tiny_runs.host())("abc")
        return predicted.text, predicted.score

    def attempt(self, generator: random.Random) -> None:
        run = self.request.run
        shutil.rmtree(run.path, ignore_errors=True)
        whole = generator.choice((self.finished, self.stopped))
        shutil.copytree(whole, run.path)
        file = generator.choice(sorted(each for each in run.path.rglob("*") if each.is_file()))
        if generator.random() < 0.1:
            file.unlink()
        else:
            file.write_bytes(mutations.damaged(file.read_bytes(), generator))
        if whole == self.stopped:
            tiny_runs.trained(self.request)
            assert run.weights.read_bytes() == self.weights, f"{file.name}: other weights"
        elif self.prediction(run.path) != self.expected:
            assert file.name == "recipe.yaml", f"{file.name}: another prediction"


class Tokenizers(Target):
    """Tokenizers of every kind trained on odd texts: a known text comes back as it was."""

    name = "tokenizers"
    kinds = ("char", "word", "bpe", "byte", "unigram")

    def attempt(self, generator: random.Random) -> None:
        from multiattn.recipe.settings import TokenizerSettings

        texts = [mutations.text(generator) for _ in range(generator.randint(1, 8))]
        size = generator.choice((0, 5, 40, 300))
        kind = generator.choice(self.kinds)
        settings = {"kind": kind, **({} if kind == "char" else {"size": max(size, 5)})}
        tokenizer = Tokenizer.train(iter(texts), TokenizerSettings(**settings))
        for text in (*texts, mutations.text(generator)):
            ids = tokenizer.encode(text)
            spelt = tokenizer.decode(ids)
            assert tokenizer.decode(tokenizer.encode(spelt)) == spelt or 3 in ids, repr(text)
            assert len(tokenizer.pieces(ids)) == len(ids), repr(text)


class ScorerFiles(Target):
    """Outputs and references in every form, damaged; plain lines are as many as were written."""

    name = "scores"
    texts = ("a dog runs", "the cat sat on the mat", "", "zwei Hunde spielen im Schnee")

    def prepare(self) -> None:
        rows = [{"id": f"x{n}", "text": text} for n, text in enumerate(self.texts)]
        captions = [{"image_id": n, "caption": text} for n, text in enumerate(self.texts)]
        images = [{"id": n} for n, _ in enumerate(self.texts)]
        self.forms: Mapping[str, bytes] = {
            "h.txt": "\n".join(self.texts).encode() + b"\n",
            "h.jsonl": "".join(json.dumps(row) + "\n" for row in rows).encode(),
            "h.json": json.dumps(captions).encode(),
            "a.json": json.dumps({"images": images, "annotations": captions}).encode(),
            "k.txt": "".join(f"utt-{n} {text}\n" for n, text in enumerate(self.texts)).encode(),
            "t.trn": "".join(f"{text} (s_{n})\n" for n, text in enumerate(self.texts)).encode(),
            "t.csv": "".join(
                ["id,text\n", *(f'{row["id"]},"{row["text"]}"\n' for row in rows)]
            ).encode(),
            "s.stm": "".join(f"r 1 a {n}.0 {n}.9 {t}\n" for n, t in enumerate(self.texts)).encode(),
            "s.ctm": "".join(f"r 1 {n}.0 0.5 word{n}\n" for n in range(5)).encode(),
            "s.srt": "".join(
                f"{n + 1}\n00:00:0{n},000 --> 00:00:0{n},900\n{text}\n\n"
                for n, text in enumerate(self.texts[:9])
            ).encode(),
        }
        record = plugins().find("metric", "bleu").record
        self.metric = record, plugins().build("metric", Named(name="bleu"))

    def attempt(self, generator: random.Random) -> None:
        name = generator.choice(list(self.forms))
        damaged = mutations.damaged(self.forms[name], generator)
        (self.folder / name).write_bytes(damaged)
        reference = generator.choice((name, "h.txt") if name != "s.ctm" else ("s.stm", "h.txt"))
        whole = self.folder / f"ref-{reference}"
        whole.write_bytes(self.forms[reference])
        files = read_files([str(self.folder / name)], [str(whole)])
        examples = match(files.systems, files.references, generator.choice(MISSING))
        texts = examples.systems[0].texts
        if name == "h.txt":
            assert len(texts) == damaged.removesuffix(b"\n").count(b"\n") + 1
        intervals.score(*self.metric, texts, examples.references)


class Inputs(Target):
    """Texts, paths and pairs as arguments of ``predict``, through a tiny model."""

    name = "inputs"

    def prepare(self) -> None:
        run = tiny_runs.trained(tiny_runs.start(self.folder))
        self.predictor = multiattn.load(run.path, host=tiny_runs.host())
        (self.folder / "lines.txt").write_text("abc\n\ncab\n")

    def attempt(self, generator: random.Random) -> None:
        shapes: tuple[Callable[[], str], ...] = (
            lambda: mutations.text(generator),
            lambda: f"letters={mutations.text(generator)}",
            lambda: f"{mutations.misspelt('letters', generator)}=abc",
            lambda: str(self.folder / mutations.misspelt("lines.txt", generator)),
            lambda: generator.choice(("-", "", " ", ".", "/", "abc" * 2000)),
        )
        arguments = [generator.choice(shapes)() for _ in range(generator.randint(1, 3))]
        settings = self.predictor.system.settings
        parser = InputParser.of(settings.sources, tiny_runs.host(), generator.random() < 0.3)
        values = list(parser.parse(arguments, io.BytesIO(mutations.damaged(b"a\nb\n", generator))))
        prefix = generator.choice(("", "", "a", mutations.text(generator, 4)))
        for value in values[:4]:
            prediction = self.predictor(value, prefix=prefix)
            json.dumps(prediction.as_json())
            spelt = " ".join(normalise_unicode(prefix).split())
            assert prediction.text.startswith(spelt), (prefix, prediction.text)


TARGETS: Mapping[str, type[Target]] = {
    target.name: target
    for target in (
        *(RecipeFiles, Overrides, Corpora, Sound, Pictures),
        *(RunFolders, Tokenizers, ScorerFiles, Inputs),
    )
}
