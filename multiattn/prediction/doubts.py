"""Warnings about an output, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from multiattn.engine.layouts import Layout, Time
from multiattn.errors import shown
from multiattn.recipe.settings import SearchSettings
from multiattn.runs.source_sizes import SourceSizes
from multiattn.search.diagnostics.reading import looping_tokens
from multiattn.search.diagnostics.skipped import CTCOutput, skipped_stretch
from multiattn.search.diagnostics.unread import unread_stretch
from multiattn.search.hypotheses import Hypothesis

END = "</s>"  # the label of a text's last slot
QUOTED_LETTERS = 30  # at each end of a stretch


def unread_warnings(
    hypothesis: Hypothesis,
    layouts: Mapping[str, Layout],
    labels: Mapping[str, Sequence[str]],
    sizes: Mapping[str, SourceSizes],
) -> list[str]:
    """A warning per source of which a long stretch was hardly read.

    Only texts and recordings are read from end to end; a run of an earlier version has no
    ``sizes``, and is not warned about.
    """
    warnings = []
    for source, weights in hypothesis.attention.items():
        due = sizes[source].tokens_per_slot if source in sizes else None
        if due is not None and source in labels:
            place = _place(unread_stretch(weights, due), layouts[source], labels[source])
            if place:
                warnings.append(
                    f"the source {source!r} got little attention {place}, so the output may lack "
                    "this part; give shorter inputs, such as one sentence at a time"
                )
    return warnings


def skipped_warnings(
    hypothesis: Hypothesis,
    layouts: Mapping[str, Layout],
    labels: Mapping[str, Sequence[str]],
    ctc: Mapping[str, CTCOutput],
) -> list[str]:
    """A warning per source of which the output lacks several tokens that CTC finds."""
    warnings = []
    for source, found in ctc.items():
        skipped = skipped_stretch(found, hypothesis.tokens)
        place = _place(skipped.slots, layouts[source], labels.get(source, ()))
        if skipped.tokens:
            warnings.append(
                f"CTC finds {skipped.tokens} tokens in a row in the source {source!r} that the "
                f"output lacks{place and ', '}{place}; give shorter inputs, or add the scorer "
                "'ctc' to search.scorers"
            )
    return warnings


def looping_warnings(
    hypothesis: Hypothesis,
    layouts: Mapping[str, Layout],
    words: Sequence[tuple[str, int, int]],
) -> list[str]:
    """A warning if the output repeats itself while its attention stays on one place of a source.

    Images are not read from end to end, so that attention to them may stay anywhere.
    """
    for source, weights in hypothesis.attention.items():
        if layouts[source].kind == "grid":
            continue
        loop = looping_tokens(weights, hypothesis.tokens)
        repeated = [word for word, first, _ in words if first in loop]
        if loop:
            text = shown(" ".join(repeated), 2 * QUOTED_LETTERS)
            return [
                f"the output repeats itself while it looks at one place of the source {source!r}: "
                f"{text}; give shorter inputs, or set search.block_ngrams"
            ]
    return []


def too_few_warnings(found: int, search: SearchSettings) -> list[str]:
    """A warning if a search found fewer different texts than it was asked for."""
    if found >= search.n_best or search.method == "sample":
        return []
    return [
        f"gave {found} of the {search.n_best} outputs that search.n_best asks for, because the "
        "others in the beam have the same text or did not end; raise search.beam"
    ]


def _place(stretch: range, layout: Layout, labels: Sequence[str]) -> str:
    if not stretch:
        return ""
    if isinstance(layout, Time):
        start, end = (slot * layout.seconds_per_slot for slot in (stretch.start, stretch.stop))
        return f"from {start:.1f} to {end:.1f} seconds"
    if layout.kind != "tokens" or not labels:
        return ""
    letters = "".join(labels[stretch.start : stretch.stop]).removesuffix(END)
    text = letters.replace("▁", " ").strip()
    if len(text) > 2 * QUOTED_LETTERS:
        first, last = text[:QUOTED_LETTERS], text[-QUOTED_LETTERS:]
        text = f"{first.rpartition(' ')[0] or first} … {last.partition(' ')[2] or last}"
    return f'in {len(stretch)} of its {len(labels)} tokens, "{text}"'
