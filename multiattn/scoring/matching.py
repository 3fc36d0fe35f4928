"""Match the outputs of systems with references: by time, by id or line by line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Literal, TypeVar

from multiattn.errors import UserError, shown
from multiattn.scoring.forms.contents import (
    Meta,
    ReferenceFile,
    Span,
    SystemOutputs,
    TimedWords,
    first_few,
)

Same = TypeVar("Same", SystemOutputs, ReferenceFile)
Missing = Literal["error", "empty", "skip"]
MISSING: tuple[Missing, ...] = ("error", "empty", "skip")


@dataclass(frozen=True)
class Examples:
    """The outputs of one or several systems and their references, example by example.

    meta: what else is known of each example. signature: what was done with missing outputs, if any
    were; notes: the same and how outputs were matched, in sentences.
    """

    systems: tuple[SystemOutputs, ...]
    references: tuple[tuple[str, ...], ...]
    meta: tuple[Meta, ...]
    signature: str = ""
    notes: tuple[str, ...] = ()

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Those of the first system, or the numbers of its lines."""
        first = self.systems[0]
        return first.ids or tuple(str(number) for number in range(1, len(first.texts) + 1))

    def values(self, name: str) -> tuple[str, ...]:
        """What is known of every example by this name. Raises UserError if some have nothing."""
        without = [own for own, meta in zip(self.ids, self.meta, strict=True) if not meta.get(name)]
        if not without:
            return tuple(meta[name] for meta in self.meta)
        known = sorted({key for meta in self.meta for key in meta})
        advice = f"choose from {', '.join(known)}" if known else "give a form with more columns"
        if name in known:
            advice = "fill them in, or leave these examples out"
        raise UserError(
            f"expected {shown(name)} of every example, got none of {first_few(without)}; {advice}"
        )


def match(
    systems: Sequence[SystemOutputs | TimedWords],
    references: Sequence[ReferenceFile],
    missing: Missing = "error",
) -> Examples:
    """Outputs and references of the same examples, in the order of the first system.

    A file without ids is taken to have the examples of the first file that has some, in its order;
    references come before systems.
    missing: what to do where a system lacks an output for a reference: to raise, to take an empty
    text, or to leave the example out for all systems; then the order is that of the references.
    Raises UserError if the examples are not the same, or there are no references.
    """
    notes: list[str] = []
    own = systems[0]
    if missing != "error" and not references and isinstance(own, SystemOutputs) and own.references:
        references = [ReferenceFile(own.name, own.references, own.ids)]
    read = [_utterances(system, references, notes) for system in systems]
    filled, given, signature = _fill(read, references, missing, notes)
    (first, *others), given = _with_ids(filled, given)
    ordered = (first, *(align_by_id(first, other) for other in others))
    aligned = [align_by_id(first, each) for each in given]
    if aligned:
        sets = zip(*(each.texts for each in aligned), strict=True)
        targets = tuple(tuple(chain.from_iterable(of_example)) for of_example in sets)
    elif first.references is not None:
        targets = first.references
        _require_same_references(ordered)
    else:
        raise UserError(f"expected --ref, as {first.name} has no references, got none; give one")
    nothing: tuple[Meta, ...] = ({},) * len(first.texts)
    metas = [each.meta or nothing for each in ordered] + [each.meta or nothing for each in aligned]
    merged = tuple(
        {k: v for meta in of for k, v in meta.items()} for of in zip(*metas, strict=True)
    )
    return Examples(ordered, targets, merged, signature, tuple(notes))


def _with_ids(
    systems: Sequence[SystemOutputs], references: Sequence[ReferenceFile]
) -> tuple[list[SystemOutputs], list[ReferenceFile]]:
    """Files without ids get those of the first with some, references before systems.

    Raises UserError if that file has another number of examples.
    """
    files: list[SystemOutputs | ReferenceFile] = [*references, *systems]
    with_some = [each for each in files if each.ids is not None]
    if not with_some or any(each.whole for each in references):
        return list(systems), list(references)
    named = with_some[0]

    def with_ids(file: Same) -> Same:
        if file.ids is not None:
            return file
        _require_equal_counts(named, file)
        return replace(file, ids=named.ids)

    return [with_ids(each) for each in systems], [with_ids(each) for each in references]


def _require_same_references(systems: Sequence[SystemOutputs]) -> None:
    """Raise UserError if systems come with references of their own that are not the same."""
    first, *others = systems
    for other in others:
        if other.references is not None and other.references != first.references:
            pairs = zip(first.references or (), other.references, strict=True)
            row = next(row for row, (one, two) in enumerate(pairs) if one != two)
            name = shown(first.ids[row]) if first.ids else f"line {row + 1}"
            raise UserError(
                f"expected the same references in {first.name} and {other.name}, got different "
                f"ones of {name}; give those to score against with --ref"
            )


def align_by_id(outputs: SystemOutputs, other: Same) -> Same:
    """``other`` in the order of ``outputs``: by id if both have ids, else line by line.

    Raises UserError if the two are not of the same examples; only a whole set of references may
    have more.
    """
    whole = isinstance(other, ReferenceFile) and other.whole
    if whole and outputs.ids is None:
        raise UserError(
            f"expected outputs with ids, because {other.name} lists pictures by id, got plain "
            f'lines in {outputs.name}; give a results.json of [{{"image_id": ..., "caption": ...}}]'
        )
    if outputs.ids is None or other.ids is None:
        _require_equal_counts(outputs, other)
        return other
    positions = {name: position for position, name in enumerate(other.ids)}
    missing = [name for name in outputs.ids if name not in positions]
    known = set(outputs.ids)
    extra = [] if whole else [name for name in other.ids if name not in known]
    if missing or extra:
        counts = [
            f"{first_few(ids)} only in {name}"
            for ids, name in ((missing, outputs.name), (extra, other.name))
            if ids
        ]
        advice = "give files of the same split"
        if isinstance(other, ReferenceFile) and not missing:
            advice += ", or say with --missing empty or skip what to do without these outputs"
        raise UserError(
            f"expected the same examples in {outputs.name} and {other.name}, got "
            f"{' and '.join(counts)}; {advice}"
        )
    rows = [positions[name] for name in outputs.ids]
    if isinstance(other, SystemOutputs) and other.references is not None:
        other = replace(other, references=tuple(other.references[row] for row in rows))
    return replace(
        other,
        texts=tuple(other.texts[row] for row in rows),
        ids=outputs.ids,
        meta=None if other.meta is None else tuple(other.meta[row] for row in rows),
    )


def _require_equal_counts(
    outputs: SystemOutputs | ReferenceFile, other: SystemOutputs | ReferenceFile
) -> None:
    if len(outputs.texts) != len(other.texts):
        raise UserError(
            f"expected as many lines in {other.name} as in {outputs.name}, got {len(other.texts)} "
            f"and {len(outputs.texts)}; give files of the same examples in the same order"
        )


def _fill(
    systems: Sequence[SystemOutputs],
    references: Sequence[ReferenceFile],
    missing: Missing,
    notes: list[str],
) -> tuple[list[SystemOutputs], Sequence[ReferenceFile], str]:
    """Systems and references of the same examples where outputs were missing."""
    base = next((each.ids for each in references if each.ids is not None), None)
    if missing == "error" or base is None or any(system.ids is None for system in systems):
        return list(systems), references, ""
    lacking = [sorted(set(base).difference(system.ids or ())) for system in systems]
    if not any(lacking):
        return list(systems), references, ""
    done = "were taken as empty" if missing == "empty" else "were left out"
    notes += [
        f"{system.name} has no output for {first_few(names)} of {len(base)} examples, which {done}"
        for system, names in zip(systems, lacking, strict=True)
        if names
    ]
    left_out = {name for names in lacking for name in names} if missing == "skip" else set[str]()
    ids = [name for name in base if name not in left_out]
    filled = [_completed(system, ids, left_out) for system in systems]
    return filled, [replace(each, whole=True) for each in references], f"|missing:{missing}"


def _completed(system: SystemOutputs, ids: Sequence[str], left_out: set[str]) -> SystemOutputs:
    """A system's outputs for these ids, and for others that it has; empty where it has none."""
    assert system.ids is not None  # noqa: S101
    texts = dict(zip(system.ids, system.texts, strict=True))
    metas: Mapping[str, Meta] = dict(zip(system.ids, system.meta or (), strict=False))
    known = set(ids)
    extra = [name for name in system.ids if name not in known and name not in left_out]
    order = (*ids, *extra)
    return SystemOutputs(
        system.name,
        tuple(texts.get(name, "") for name in order),
        order,
        meta=tuple(metas.get(name, {}) for name in order) if metas else None,
    )


def _utterances(
    system: SystemOutputs | TimedWords, references: Sequence[ReferenceFile], notes: list[str]
) -> SystemOutputs:
    """Words with times as utterances: those of the references if they have times too."""
    if isinstance(system, SystemOutputs):
        return system
    for target in references:
        if target.spans is not None:
            return _joined_by_time(system, target, target.spans, notes)
    words: dict[str, list[tuple[float, str]]] = {}
    for span, word in system.words:
        words.setdefault(span.recording, []).append((span.middle, word))
    ids = tuple(words) if len(words) > 1 or "" not in words else None
    texts = tuple(" ".join(word for _, word in sorted(each, key=_first)) for each in words.values())
    return SystemOutputs(system.name, texts or ("",), ids)


def _first(pair: tuple[float, str]) -> float:
    return pair[0]


def _joined_by_time(
    system: TimedWords, references: ReferenceFile, spans: Sequence[Span], notes: list[str]
) -> SystemOutputs:
    """Each word goes to the utterance in which its middle lies, or to the nearest one.

    Words in what is not to be scored are left out. A recording without any words has no outputs.
    Raises UserError for words of a recording that has no references.
    """
    texts: list[list[tuple[float, str]]] = [[] for _ in spans]
    places = _places(system, references.name, spans)
    of_place: dict[tuple[str, str], list[int]] = {}
    for number, span in enumerate(spans):
        of_place.setdefault(span.place, []).append(number)
    outside = 0
    for span, word in system.words:
        place, middle = places[span.place], span.middle
        if any(each.place == place and _distance(each, middle) == 0 for each in references.ignored):
            continue
        nearest = min(of_place[place], key=lambda number: _distance(spans[number], middle))
        outside += _distance(spans[nearest], middle) > 0
        texts[nearest].append((middle, word))
    note = f"joined {len(system.words)} words of {system.name} to {len(spans)} utterances by time"
    notes.append(f"{note}; {outside} between utterances went to the nearest" if outside else note)
    joined = tuple(" ".join(word for _, word in sorted(each, key=_first)) for each in texts)
    if references.ids is None:
        return SystemOutputs(system.name, joined)
    recordings = {place[0] for place in places.values()}
    rows = [row for row, span in enumerate(spans) if span.recording in recordings]
    return SystemOutputs(
        system.name,
        tuple(joined[row] for row in rows),
        tuple(references.ids[row] for row in rows),
    )


def _places(
    system: TimedWords, name: str, spans: Sequence[Span]
) -> Mapping[tuple[str, str], tuple[str, str]]:
    """The place in the references of each place of a system's words.

    Channels need not have the same names where a recording has one, nor recordings where there is
    one. Raises UserError for words of another recording.
    """
    known = list(dict.fromkeys(span.place for span in spans))
    found = {}
    for place in dict.fromkeys(span.place for span, _ in system.words):
        same = [each for each in known if each == place]
        recording = [each for each in known if each[0] == place[0]]
        single = known if "" in (place[0], known[0][0]) else []
        fitting = next((each for each in (same, recording, single) if len(each) == 1), None)
        if fitting is None:
            listed = ", ".join(f"{shown(each[0])} {each[1]}".strip() for each in known[:3])
            raise UserError(
                f"expected words of the recordings in {name} ({listed}"
                f"{', …' if len(known) > 3 else ''}), got some of {shown(place[0])} {place[1]} in "
                f"{system.name}; give references of the same recordings"
            )
        found[place] = fitting[0]
    return found


def _distance(span: Span, time: float) -> float:
    """How far a time is from a span, in seconds; 0 within it."""
    return max(span.start - time, time - span.end, 0.0)
