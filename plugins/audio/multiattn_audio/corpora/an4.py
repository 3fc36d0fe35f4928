"""CMU AN4."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from multiattn import Example
from multiattn.corpora import (
    BadRowError,
    FileLine,
    OnBadRow,
    collect_examples,
    decode_line,
    find_splits,
    first_existing,
    read_lines,
)
from multiattn_audio.corpora.manifest import Manifest
from multiattn_audio.corpora.recording_examples import (
    missing_recording,
    recording_example,
    recording_files,
    write_recordings,
)


class An4:
    """CMU AN4 (Acero and Stern 1990): people spelling names, addresses and numbers, 16 kHz.

    Either a folder of ``train.jsonl``, ``dev.jsonl``, ``test.jsonl`` (id, audio, seconds, speaker,
    text) and the recordings that they name; or the folder as CMU released it, with
    ``etc/an4_SPLIT.transcription``, ``wav/an4_clstk`` and ``wav/an4test_clstk`` and the splits
    ``train`` and ``test``.
    """

    group = "speaker"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._manifest = Manifest(folder)
        self._as_released = (folder / "etc").is_dir()

    @staticmethod
    def example_folder(folder: Path) -> dict[str, str]:
        """Write two recordings in the layout as released."""
        write_recordings(*(folder / f"wav/an4_clstk/fash/an251-{name}.wav" for name in "ab"))
        (folder / "etc").mkdir()
        lines = "<s> GO </s> (an251-a)\nSTOP (an251-b)\n"
        (folder / "etc/an4_train.transcription").write_text(lines)
        return {}

    def splits(self) -> tuple[str, ...]:
        """Names of the manifests, or of the released splits."""
        if not self._as_released:
            return self._manifest.splits()
        return tuple(sorted(find_splits(self._folder / "etc", "an4_{split}.transcription")))

    def examples(self, split: str, on_bad_row: OnBadRow | None = None) -> Sequence[Example]:
        """Read the utterances of a split."""
        if not self._as_released:
            return self._manifest.examples(split, on_bad_row)
        transcripts = first_existing(self._folder / "etc", [f"an4_{split}.transcription"])
        folder = self._folder / "wav" / ("an4test_clstk" if split == "test" else "an4_clstk")
        recordings = {path.stem: path for path in recording_files(folder)}

        def example(line: int, raw: bytes) -> Example:
            location = FileLine(transcripts, line)
            row = decode_line(raw, location)
            match = re.fullmatch(r"(?:<s> )?(.+?)(?: </s>)? \((\S+)\)\s*", row)
            if match is None:
                raise BadRowError(
                    f"expected WORDS (NAME) in {location}, got {row!r}; fetch the corpus again"
                )
            text, name = match.groups()
            if name not in recordings:
                raise missing_recording(folder / f"*/{name}.*", location)
            path = recordings[name]
            return recording_example(name, path, text, path.parent.name, location)

        return collect_examples(enumerate(read_lines(transcripts), start=1), example, on_bad_row)
