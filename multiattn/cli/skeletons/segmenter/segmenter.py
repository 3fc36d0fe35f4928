"""A segmenter that cuts a text at its line ends, so that each line is decoded on its own.

Change where ``segments`` cuts. A segmenter is for the values of readers that produce the kind which
its record names: here ``text``. Another one may be for recordings.

Protocol: ``multiattn.protocols.Segmenter``. In a recipe:
``sources: {NAME: {segmenter: my-plugin}}``.
"""

from collections.abc import Iterator

from multiattn import Segment


class MyPluginSegmenter:
    """The lines of a text that are not blank; line ends come back between the outputs."""

    def segments(self, value: str, longest: float | None) -> Iterator[Segment]:
        """Positions are in characters. ``longest``, in the reader's unit, is not looked at."""
        start = 0
        for line in value.splitlines(keepends=True):
            text = line.strip()
            first = start + line.find(text)
            if text:
                yield Segment(text, first, first + len(text), len(value), separator="\n")
            start += len(line)
