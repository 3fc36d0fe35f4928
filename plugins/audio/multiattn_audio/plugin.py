"""The components of the audio plugin. A target is imported only when a recipe uses it."""

from __future__ import annotations

from collections.abc import Iterator

from multiattn import (
    Aligner,
    Corpus,
    Encoder,
    Metric,
    Normaliser,
    Reader,
    Record,
    Renderer,
    Segmenter,
    hookimpl,
)
from multiattn_audio.recordings.suffixes import SUFFIXES


@hookimpl
def multiattn_components() -> Iterator[Record]:
    """Yield encoder, reader, corpora, metrics, normalisers, aligner, segmenters, renderer."""
    yield Encoder(
        name="filterbank-bilstm",
        target="multiattn_audio.encoder.filterbank_bilstm:FilterbankBiLSTM",
        consumes="audio",
        summary="log-mel filterbanks, time reduction, bidirectional LSTM",
        paper="Chan et al. 2016, Listen, attend and spell",
    )
    yield Reader(
        name="audio",
        target="multiattn_audio.reader:Audio",
        produces="audio",
        suffixes=SUFFIXES,
        summary="a recording as one waveform at one sampling rate",
    )
    yield from _corpora()
    yield from _metrics()
    yield from _normalisers()
    yield Aligner(
        name="word-times",
        target="multiattn_audio.word_times:WordTimes",
        layout="time",
        summary="start and end of each word, from a CTC head if there is one, else from attention",
        paper="Kürzinger et al. 2020, CTC-segmentation of large corpora",
    )
    yield Segmenter(
        name="energy",
        target="multiattn_audio.segmenters.energy:EnergySegmenter",
        consumes="audio",
        summary="cuts a recording at its pauses, told by their energy",
    )
    yield Segmenter(
        name="silero",
        target="multiattn_audio.segmenters.silero:SileroSegmenter",
        consumes="audio",
        summary="cuts a recording at its pauses, told by the network of silero-vad",
        paper="Silero Team 2021, Silero VAD",
    )
    yield Renderer(
        name="time",
        target="multiattn_audio.rendering:AttentionOverTime",
        layout="time",
        summary="attention over seconds, below the spectrogram of the recording",
    )


def _corpora() -> Iterator[Record]:
    fields = {"audio": "audio", "text": "text", "speaker": "text"}
    yield Corpus(
        name="manifest",
        target="multiattn_audio.corpora.manifest:Manifest",
        fields=fields,
        summary="recordings and transcripts in a table: SPLIT.jsonl, SPLIT.csv or SPLIT.tsv",
    )
    yield Corpus(
        name="an4",
        target="multiattn_audio.corpora.an4:An4",
        fields=fields,
        summary="people spelling names, addresses and numbers",
        paper="Acero and Stern 1990, Environmental robustness in automatic speech recognition",
    )
    yield Corpus(
        name="librispeech",
        target="multiattn_audio.corpora.librispeech:Librispeech",
        fields=fields,
        summary="read audiobooks, as released: SPLIT/SPEAKER/CHAPTER/*.flac and *.trans.txt",
        paper="Panayotov et al. 2015, Librispeech: an ASR corpus based on public domain audio "
        "books",
    )
    yield Corpus(
        name="common-voice",
        target="multiattn_audio.corpora.common_voice:CommonVoice",
        fields=fields,
        summary="sentences read by volunteers, as released: SPLIT.tsv and clips/",
        paper="Ardila et al. 2020, Common Voice: a massively-multilingual speech corpus",
    )
    yield Corpus(
        name="folder",
        target="multiattn_audio.corpora.folder:Folder",
        fields=fields,
        summary="recordings with transcripts beside them: SPLIT/NAME.wav and SPLIT/NAME.txt",
    )


def _metrics() -> Iterator[Record]:
    yield Metric(
        name="wer",
        target="multiattn_audio.metrics.error_rates:Wer",
        higher_is_better=False,
        unit="%",
        summary="word error rate of jiwer: wrong, missing and extra words per reference word",
        paper="Morris et al. 2004, From WER and RIL to MER and WIL",
    )
    yield Metric(
        name="cer",
        target="multiattn_audio.metrics.error_rates:Cer",
        higher_is_better=False,
        unit="%",
        summary="character error rate of jiwer",
        paper="Morris et al. 2004, From WER and RIL to MER and WIL",
    )
    for name, attribute, higher_is_better, summary in (
        (
            "mer",
            "Mer",
            False,
            "match error rate of jiwer: the share of matched words that is wrong",
        ),
        ("wil", "Wil", False, "word information lost, by jiwer"),
        ("wip", "Wip", True, "word information preserved, by jiwer"),
    ):
        yield Metric(
            name=name,
            target=f"multiattn_audio.metrics.word_information:{attribute}",
            higher_is_better=higher_is_better,
            unit="%",
            summary=summary,
            paper="Morris et al. 2004, From WER and RIL to MER and WIL",
        )


def _normalisers() -> Iterator[Record]:
    for name, attribute, summary in (
        ("none", "VerbatimNormaliser", "the text unchanged"),
        (
            "plain",
            "PlainNormaliser",
            "lower-case letters and digits without punctuation, in any script",
        ),
        (
            "english",
            "EnglishNormaliser",
            "plain, without noise marks and hesitations, with contractions expanded",
        ),
    ):
        yield Normaliser(
            name=name, target=f"multiattn_audio.text_normalisers:{attribute}", summary=summary
        )
    for name, attribute, summary in (
        ("whisper-english", "WhisperEnglish", "Whisper's for English, with numbers as digits"),
        ("whisper-basic", "WhisperBasic", "Whisper's for any language"),
    ):
        yield Normaliser(
            name=name,
            target=f"multiattn_audio.whisper_normalisers:{attribute}",
            summary=summary,
            paper="Radford et al. 2023, Robust speech recognition via large-scale weak supervision",
        )
