"""Nothing is wrong with this one: what a recipe needs besides the core, as small as it gets."""

from typing import Literal

from pydantic import PositiveInt

from multiattn import Corpus, Encoder, Metric, Reader, hookimpl
from multiattn.recipe.settings import TokenizerSettings


@hookimpl
def multiattn_components():
    yield Corpus(name="lines", target="parts:Lines", summary="lines of a file")
    yield Reader(name="letters", target="parts:Letters", summary="letters", produces="text")
    yield Encoder(name="bag", target="parts:Bag", summary="a bag of letters", consumes="text")
    yield Encoder(name="eye", target="parts:Eye", summary="sees", consumes="image")
    yield Metric(
        name="exact", target="parts:Exact", summary="equality", higher_is_better=True, unit="0-1"
    )


class Lines:
    def __init__(self, folder, *, suffix: str = ".txt") -> None: ...


class Letters:
    def __init__(self, *, tokenizer: TokenizerSettings | Literal["target"] = "target") -> None: ...


class Bag:
    def __init__(self, input_spec, *, dim: PositiveInt = 8, dropout: float = 0.0) -> None: ...


class Eye:
    def __init__(self, input_spec) -> None: ...


class Exact:
    def __init__(self, *, lowercase: bool = False) -> None: ...
