"""Files from which CIDEr takes its document frequencies: references, or saved frequencies.

Saved frequencies are what the authors' code of CIDEr keeps: ``document_frequency``, in how many
examples each n-gram occurs, and ``ref_len``, the number of examples. Theirs are pickles, which may
run code when they are loaded; here one that holds anything but plain containers and numbers is
refused. Ours are JSON.
"""

from __future__ import annotations

import pickle
from collections import defaultdict
from collections.abc import Callable, Sequence
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

from pydantic import BaseModel, NonNegativeFloat, PositiveFloat, TypeAdapter, ValidationError

from multiattn import UserError
from multiattn_image.captioning_metrics.cider import (
    DocumentFrequencies,
    NgramCounts,
    document_frequencies,
)
from multiattn_image.captioning_metrics.tokenizers import Tokenizer, TokenizerName, make_tokenizer

DIGEST_LETTERS = 8
PICKLES = (".p", ".pkl", ".pickle")
References = Sequence[Sequence[str]]


class _Caption(BaseModel):
    image_id: int | str
    caption: str


class _Annotations(BaseModel):
    annotations: list[_Caption]


class _Row(BaseModel):
    references: tuple[str, ...]


class _Pickled(BaseModel):
    """As the authors' code of CIDEr pickles it."""

    document_frequency: dict[tuple[str, ...], NonNegativeFloat]
    ref_len: PositiveFloat


class _Saved(BaseModel):
    """As ``save_frequencies`` writes it; tokens: the signature of the tokeniser."""

    document_frequency: dict[str, NonNegativeFloat]
    ref_len: PositiveFloat
    tokens: str


def read_frequencies(file: Path, tokenizer: Tokenizer) -> tuple[DocumentFrequencies, str]:
    """The frequencies, and how a signature names them: kind, number of examples, digest.

    Raises UserError for a file that cannot be read or has none, and for frequencies that were saved
    with another tokeniser.
    """
    try:
        content = file.read_bytes()
        frequencies, kind = _parse(content, file, tokenizer)
    except (OSError, ValueError, pickle.UnpicklingError) as error:
        raise UserError(
            "expected COCO's annotations (.json), JSON lines with references, or saved document "
            f"frequencies (.json, .p) as frequencies, got {file} ({_reason(error)}); check the "
            "path, or convert it"
        ) from error
    if not frequencies.counts:
        raise UserError(f"expected references in {file}, got none; give a file that has some")
    digest = sha256(content).hexdigest()[:DIGEST_LETTERS]
    return frequencies, f"{kind}-{frequencies.example_count}-{digest}"


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return error.errors()[0]["msg"]
    return str(error.strerror if isinstance(error, OSError) else error)


def save_frequencies(file: Path, references: References, tokenize: TokenizerName = "ptb") -> None:
    """Write the document frequencies of references, as ``frequencies`` of ``cider`` reads them.

    ``references[i]`` belong to one example.
    """
    tokenizer = make_tokenizer(tokenize)
    frequencies = _counted(references, tokenizer.tokenise)
    counts = {" ".join(ngram): count for ngram, count in sorted(frequencies.counts.items())}
    content = _Saved(
        document_frequency=counts,
        ref_len=frequencies.example_count,
        tokens=tokenizer.signature,
    )
    file.write_text(content.model_dump_json(), encoding="utf-8")


def _parse(content: bytes, file: Path, tokenizer: Tokenizer) -> tuple[DocumentFrequencies, str]:
    if file.suffix in PICKLES:
        pickled = _Pickled.model_validate(_unpickled(content))
        return _frequencies(pickled.document_frequency, pickled.ref_len), "saved"
    if file.suffix != ".json":
        lines = [line for line in content.splitlines() if line.strip()]
        rows = [_Row.model_validate_json(line).references for line in lines]
        return _counted(rows, tokenizer.tokenise), "references"
    values = TypeAdapter(dict[str, Any]).validate_json(content)
    if "document_frequency" not in values:
        return _counted(_annotated(values), tokenizer.tokenise), "references"
    saved = _Saved.model_validate(values)
    if saved.tokens != tokenizer.signature:
        raise UserError(
            f"expected frequencies of tokens that this metric makes ({tokenizer.signature}), got "
            f"{saved.tokens} in {file}; set tokenize as it was when they were saved"
        )
    split = {tuple(ngram.split(" ")): n for ngram, n in saved.document_frequency.items()}
    return _frequencies(split, saved.ref_len), "saved"


def _frequencies(counts: dict[tuple[str, ...], float], examples: float) -> DocumentFrequencies:
    return DocumentFrequencies(NgramCounts(counts), int(examples))


def _counted(
    references: References, tokenise: Callable[[Sequence[str]], list[str]]
) -> DocumentFrequencies:
    tokenised = iter(tokenise([caption for own in references for caption in own]))
    return document_frequencies([[next(tokenised) for _ in own] for own in references])


def _annotated(values: dict[str, Any]) -> References:
    captions: dict[str, list[str]] = {}
    for row in _Annotations.model_validate(values).annotations:
        captions.setdefault(str(row.image_id), []).append(row.caption)
    return list(captions.values())


def _unpickled(content: bytes) -> object:
    try:
        return _Unpickler(BytesIO(content)).load()
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # a damaged pickle raises nearly anything
        raise pickle.UnpicklingError(f"damaged: {error!r}") from error


class _Unpickler(pickle.Unpickler):
    """Builds nothing but containers, texts and numbers."""

    def find_class(self, module: str, name: str) -> Any:
        """Raises UnpicklingError for everything but the types that the authors' files have."""
        allowed = {("collections", "defaultdict"): defaultdict, ("builtins", "float"): float}
        allowed |= {("__builtin__", "float"): float, ("builtins", "int"): int}
        try:
            return allowed[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it would load {module}.{name}") from None
