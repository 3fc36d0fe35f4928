"""Captions as COCO's evaluation cuts them: the Penn Treebank tokeniser of Stanford, no punctuation.

It refuses to know any metric. A caption is tokenised once in a process, whichever metrics ask. No
torch.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from pathlib import Path

from pycocoevalcap.tokenizer import ptbtokenizer

from multiattn_image.captioning_metrics.java_process import Program, Running

TOKENIZER = Program(
    jar=Path(ptbtokenizer.__file__).with_name(ptbtokenizer.STANFORD_CORENLP_3_4_1_JAR),
    main="edu.stanford.nlp.process.PTBTokenizer",
    arguments=("-preserveLines", "-lowerCase", "-encoding", "UTF-8"),
    memory_mb=512,
    seconds=120,
)
NAME = "ptb-corenlp-3.4.1"
PUNCTUATION = frozenset(ptbtokenizer.PUNCTUATIONS)
REMEMBERED = 200_000  # captions, about 50 MB

_LINE_BREAKS = re.compile("[\n\r\x0b\x0c\u2028\u2029]")  # where the tokeniser would begin a line
# the tokeniser writes in blocks of 8,192 characters and knows no flush: lines that follow a
# question push the answer out of the block, and are read off before the next
_BLOCK = 8_192
_PUSHING = ["x" + " x" * 63] * (2 * _BLOCK // 128)


class Tokenizer:
    """The tokeniser as one Java process, started when first needed, that stays for later captions.

    The package starts one per call; a reward asks a few captions at every step of a training.
    """

    def __init__(self) -> None:
        self._running: Running | None = None
        self._lock = threading.Lock()
        self._known: dict[str, str] = {}
        self._owed = 0  # pushing lines not read off yet

    def __call__(self, captions: Sequence[str]) -> list[str]:
        """Each caption in small letters, its words between single spaces; "" where none is left.

        Raises UserError where Java fails.
        """
        with self._lock:
            unknown = list(dict.fromkeys(text for text in captions if text not in self._known))
            fresh = dict(zip(unknown, self._cut(unknown), strict=True))
            cut = [fresh[text] if text in fresh else self._known[text] for text in captions]
            if len(self._known) + len(fresh) > REMEMBERED:
                self._known = {}
            if len(fresh) <= REMEMBERED:
                self._known |= fresh
            return cut

    def _cut(self, captions: Sequence[str]) -> list[str]:
        if not captions:
            return []
        if self._running is None or not self._running.usable:
            self._running, self._owed = Running(TOKENIZER), 0
        lines = [_LINE_BREAKS.sub(" ", caption) for caption in captions]
        owed, self._owed = self._owed, len(_PUSHING)
        answers = self._running.ask([*lines, *_PUSHING], owed + len(lines))
        return [_without_punctuation(answer) for answer in answers[owed:]]


tokenised = Tokenizer()


def _without_punctuation(line: str) -> str:
    return " ".join(word for word in line.rstrip().split(" ") if word not in PUNCTUATION)
