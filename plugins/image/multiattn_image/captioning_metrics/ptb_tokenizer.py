"""The tokeniser of COCO's evaluation: Stanford's Penn Treebank tokeniser, without punctuation.

A caption is tokenised once per process, whichever metrics use it. Imports no torch.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from pathlib import Path

from pycocoevalcap.tokenizer import ptbtokenizer

from multiattn_image.captioning_metrics.java_process import JavaProcess, JavaProgram

PROGRAM = JavaProgram(
    jar=Path(ptbtokenizer.__file__).with_name(ptbtokenizer.STANFORD_CORENLP_3_4_1_JAR),
    main="edu.stanford.nlp.process.PTBTokenizer",
    arguments=("-preserveLines", "-lowerCase", "-encoding", "UTF-8"),
    memory_mb=512,
    seconds=120,
)
NAME = "ptb-corenlp-3.4.1"
PUNCTUATION = frozenset(ptbtokenizer.PUNCTUATIONS)
CACHE_SIZE = 200_000  # captions, about 50 MB

_LINE_BREAKS = re.compile("[\n\r\x0b\x0c\u2028\u2029]")  # where the tokeniser would start a line
# The tokeniser writes in blocks of 8,192 characters and cannot be flushed. These extra lines follow
# each request to push its answers out; their own answers are skipped in the next request.
_BLOCK = 8_192
_FLUSH_LINES = ["x" + " x" * 63] * (2 * _BLOCK // 128)


class PTBTokenizer:
    """The tokeniser as one Java process, started when first used and kept for later captions.

    The package starts a process per call, but a reward tokenises captions at every training step.
    """

    def __init__(self) -> None:
        self._process: JavaProcess | None = None
        self._lock = threading.Lock()
        self._cache: dict[str, str] = {}
        self._unread_lines = 0  # answers to flush lines of the last request

    def __call__(self, captions: Sequence[str]) -> list[str]:
        """Each caption in lower case with single spaces between its tokens; "" if none are left.

        Raises UserError where Java fails.
        """
        with self._lock:
            unseen = list(dict.fromkeys(text for text in captions if text not in self._cache))
            new = dict(zip(unseen, self._tokenise(unseen), strict=True))
            tokenised = [new[text] if text in new else self._cache[text] for text in captions]
            if len(self._cache) + len(new) > CACHE_SIZE:
                self._cache = {}
            if len(new) <= CACHE_SIZE:
                self._cache |= new
            return tokenised

    def _tokenise(self, captions: Sequence[str]) -> list[str]:
        if not captions:
            return []
        if self._process is None or not self._process.usable:
            self._process, self._unread_lines = JavaProcess(PROGRAM), 0
        lines = [_LINE_BREAKS.sub(" ", caption) for caption in captions]
        unread, self._unread_lines = self._unread_lines, len(_FLUSH_LINES)
        answers = self._process.request([*lines, *_FLUSH_LINES], unread + len(lines))
        return [_remove_punctuation(answer) for answer in answers[unread:]]


tokenise = PTBTokenizer()


def _remove_punctuation(line: str) -> str:
    return " ".join(token for token in line.rstrip().split(" ") if token not in PUNCTUATION)
