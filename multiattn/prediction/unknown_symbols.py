"""What of an input the model never saw in training, in sentences."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from multiattn.data.tokenizer import Tokenizer
from multiattn.symbols import UNK
from multiattn.unicode import normalise_unicode

DOUBTED_SHARE = 0.2  # of the symbols of a source
UNKNOWN, SILENT = "<unk>", ("<pad>", "<s>", "</s>")
NAMED = 5  # unknown symbols in a sentence

# Typographic characters, and what texts without them have instead.
_PLAIN = str.maketrans(
    {**dict.fromkeys("‘’‚‛", "'"), **dict.fromkeys("“”„‟«»", '"'), **dict.fromkeys("‐‑–—", "-")}
)
_ENTITY = re.compile(r"&#?\w+;")


def unknown_symbol_warnings(
    source: str, value: object, labels: Sequence[str], tokenizer: Tokenizer | None
) -> Iterator[str]:
    """Warn of unknown symbols that are a large share, or that have a form the model knows.

    labels: the reader's. Without a tokenizer, symbols are counted by labels.
    """
    if tokenizer is None or not isinstance(value, str):
        seen = [label.strip("▁") for label in labels if label not in SILENT]
        symbols = [label for label in seen if label]
        yield from _share(source, [each for each in symbols if each == UNKNOWN], len(symbols))
        return
    unknown, count = tokenizer.unknown_symbols(value)
    yield from _share(source, unknown, count)
    yield from _other_forms(source, value, unknown, tokenizer)
    yield from _entities(source, value, tokenizer)


def _other_forms(
    source: str, value: str, unknown: Sequence[str], tokenizer: Tokenizer
) -> Iterator[str]:
    """Warn of unknown symbols that are known in another form."""
    plain = {symbol: symbol.translate(_PLAIN) for symbol in unknown}
    known = {
        symbol: other
        for symbol, other in plain.items()
        if other != symbol and UNK not in tokenizer.encode(other)
    }
    if known:
        yield (
            f"the source {source!r} has typographic characters where the model knows plain ones "
            f"({_listed(known)}); write the plain ones"
        )
    if len(tokenizer.unknown_symbols(normalise_unicode(value))[0]) < len(unknown):
        yield (
            f"the source {source!r} has decomposed or invisible characters, which the model does "
            "not know; give the text as NFC, or train with the tokenizer setting unicode: nfc"
        )


def _entities(source: str, value: str, tokenizer: Tokenizer) -> Iterator[str]:
    """Warn of HTML entities, unless each is a piece, as in texts that Moses tokenised."""
    meant = {entity: html.unescape(entity) for entity in _ENTITY.findall(value)}
    pieces = {entity: tokenizer.encode(entity) for entity in meant}
    found = {
        entity: symbol
        for entity, symbol in meant.items()
        if entity != symbol and (len(pieces[entity]) > 1 or UNK in pieces[entity])
    }
    if found:
        yield (
            f"the source {source!r} has HTML entities, which are not common in the texts that the "
            f"model was trained on ({_listed(found)}); write the characters themselves"
        )


def _listed(pairs: Mapping[str, str]) -> str:
    return ", ".join(f"{written} for {other}" for written, other in islice(pairs.items(), NAMED))


def _share(source: str, unknown: Sequence[str], count: int) -> Iterator[str]:
    if unknown and len(unknown) == count:
        yield (
            f"no symbol of the source {source!r} was seen in training, so the output says "
            "nothing about it; give an input like those that the model was trained on"
        )
    elif unknown and len(unknown) >= DOUBTED_SHARE * count:
        named = [symbol for symbol in dict.fromkeys(unknown) if symbol != UNKNOWN]
        shown = f" ({' '.join(named[:NAMED])}{' …' if len(named) > NAMED else ''})" if named else ""
        yield (
            f"{len(unknown)} of {count} symbols of the source {source!r} were never seen in "
            f"training{shown}; give an input like those that the model was trained on"
        )
