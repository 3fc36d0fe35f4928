"""One corpus that is right, and corpora that are wrong in one way each."""

from multiattn import Corpus, Example, UserError, hookimpl

NAMES = ("Right", "Repeating", "Undeclared", "Lacking", "Generating", "Exhausted", "Pathless")
NAMES += ("Numeric", "Everything", "Ungrouped", "Secret")


@hookimpl
def multiattn_components():
    for name in NAMES:
        yield Corpus(
            name=name.lower(),
            target=f"faulty_corpora:{name}",
            summary="notes and their sound",
            fields={"note": "text", "sound": "audio"},
        )


class Right:
    """A line per note in ``SPLIT.txt``, and one file of sound."""

    group = "note"

    def __init__(self, folder) -> None:
        self.folder = folder

    @staticmethod
    def example_folder(folder):
        for split in ("train", "test"):
            (folder / f"{split}.txt").write_text("do\nre\nmi\n")
        (folder / "sound.wav").write_bytes(b"")
        return {}

    def splits(self):
        return sorted(path.stem for path in self.folder.glob("*.txt"))

    def fields(self, note):
        return {"note": note, "sound": str(self.folder / "sound.wav")}

    def examples(self, split, on_bad_row=None):
        path = self.folder / f"{split}.txt"
        if not path.exists():
            raise UserError(f"expected one of {self.splits()}, got {split!r}")
        notes = path.read_text().split()
        return [Example(f"{split}-{i}", self.fields(note)) for i, note in enumerate(notes)]


class Repeating(Right):
    def examples(self, split, on_bad_row=None):
        return [Example(split, example.fields) for example in super().examples(split)]


class Undeclared(Right):
    def fields(self, note):
        return {**super().fields(note), "pitch": "high"}


class Lacking(Right):
    def fields(self, note):
        return {"note": note}


class Generating(Right):
    def examples(self, split, on_bad_row=None):
        return (example for example in super().examples(split))


class Exhausted(Right):
    """Takes from what is left of the split."""

    def __init__(self, folder) -> None:
        super().__init__(folder)
        self.left = {}

    def examples(self, split, on_bad_row=None):
        left = self.left.setdefault(split, super().examples(split))
        taken, left[:] = list(left), []
        return taken


class Pathless(Right):
    def fields(self, note):
        return {"note": note, "sound": "sound.wav"}


class Numeric(Right):
    def fields(self, note):
        return {**super().fields(note), "note": len(note)}


class Everything(Right):
    """Has every split that one asks for."""

    def examples(self, split, on_bad_row=None):
        return super().examples(split if split in self.splits() else "train")


class Ungrouped(Right):
    group = "singer"


class Secret:
    """Gives no example of itself."""

    group = "note"
    __init__ = Right.__init__
    splits, fields, examples = Right.splits, Right.fields, Right.examples
