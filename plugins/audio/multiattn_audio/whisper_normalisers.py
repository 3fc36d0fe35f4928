"""The normalisers of Whisper (Radford et al. 2023, appendix C), which leaderboards use.

They are those of the package whisper-normalizer (``multiattn-audio[whisper]``).
"""

from __future__ import annotations

import importlib.metadata
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PACKAGE = "whisper-normalizer"


@contextmanager
def _unwarned() -> Iterator[None]:
    """Silence what Python says of the package's escapes when it compiles it for the first time."""
    with warnings.catch_warnings():
        for category in (DeprecationWarning, SyntaxWarning):
            warnings.filterwarnings("ignore", "invalid escape sequence", category)
        yield


class _Packaged:
    """Calls the package, and names its version."""

    def __init__(self, name: str, normalise: Callable[[str], str]) -> None:
        self._name = name
        self._normalise = normalise

    def __call__(self, text: str) -> str:
        return self._normalise(text)

    def signature(self) -> str:
        """The name and the version of the package."""
        return f"{self._name}-{importlib.metadata.version(PACKAGE)}"


class WhisperEnglish(_Packaged):
    """For English: also writes numbers as digits, and British words in American spelling."""

    def __init__(self) -> None:
        with _unwarned():
            from whisper_normalizer.english import EnglishTextNormalizer

        super().__init__("whisper-english", EnglishTextNormalizer())


class WhisperBasic(_Packaged):
    """For any language: lower-case letters and digits, without what stands in brackets.

    split_letters: divide words into letters, for languages without spaces.
    """

    def __init__(self, *, split_letters: bool = False) -> None:
        with _unwarned():
            from whisper_normalizer.basic import BasicTextNormalizer

        name = "whisper-basic-letters" if split_letters else "whisper-basic"
        super().__init__(name, BasicTextNormalizer(split_letters=split_letters))
