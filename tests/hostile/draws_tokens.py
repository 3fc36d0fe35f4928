"""Renderers and an aligner of a layout that others draw and align too, and two of another.

One renderer fails.
"""

from multiattn import Aligner, Renderer, TimedWord, hookimpl


@hookimpl
def multiattn_components():
    for name in ("Stripes", "Failing"):
        yield Renderer(
            name=name.lower(), target=f"draws_tokens:{name}", summary="draws", layout="tokens"
        )
    yield Aligner(
        name="ordinals", target="draws_tokens:Ordinals", summary="counts", layout="tokens"
    )
    yield Renderer(name="dials", target="draws_tokens:Stripes", summary="draws", layout="clock")
    yield Aligner(name="chimes", target="draws_tokens:Ordinals", summary="counts", layout="clock")


class Stripes:
    def draw(self, figure, record):
        figure.set_size_inches(3, 1)
        figure.add_subplot().bar(range(len(record.words)), record.weights.sum(1))


class Failing:
    def draw(self, figure, record):
        raise ZeroDivisionError("no stripes")


class Ordinals:
    def align(self, evidence):
        if evidence.words[0][0].startswith("A"):
            raise ZeroDivisionError("no ordinals")
        return [
            TimedWord(word, float(place), place + 1.0, 0.5, "ordinal")
            for place, (word, *_) in enumerate(evidence.words)
        ]
