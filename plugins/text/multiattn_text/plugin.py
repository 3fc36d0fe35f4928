"""The components of the text plugin.

Targets are strings, so that a module is imported only when a recipe uses its component.
"""

from __future__ import annotations

from collections.abc import Iterator

from multiattn import Corpus, Encoder, Metric, Reader, Record, Segmenter, hookimpl


@hookimpl
def multiattn_components() -> Iterator[Record]:
    """Yield the encoder, the reader, the segmenter, the corpora and the metrics."""
    yield Encoder(
        name="lstm",
        target="multiattn_text.encoder:Lstm",
        consumes="text",
        summary="bidirectional LSTM, one slot per token",
        paper="Bahdanau et al. 2015, Neural machine translation by jointly learning to align "
        "and translate",
    )
    yield Reader(
        name="text",
        target="multiattn_text.reader:Text",
        produces="text",
        suffixes=(".txt",),
        summary="a sentence or document as token ids",
    )
    yield Segmenter(
        name="sentences",
        target="multiattn_text.sentences:SentenceSegmenter",
        consumes="text",
        summary="cuts a text between its sentences",
    )
    yield from _corpora()
    yield from _metrics()


def _corpora() -> Iterator[Record]:
    yield Corpus(
        name="parallel",
        target="multiattn_text.corpora:Parallel",
        summary="text files aligned by line: SPLIT.en, SPLIT.de, plain or .gz",
    )
    yield Corpus(
        name="table",
        target="multiattn_text.corpora:Table",
        summary="named columns: SPLIT.jsonl, SPLIT.tsv or SPLIT.csv, plain or .gz",
    )
    yield Corpus(
        name="multi30k",
        target="multiattn_text.corpora:Multi30k",
        fields={"en": "text", "de": "text", "image": "image"},
        summary="English and German captions of photographs",
        paper="Elliott et al. 2016, Multi30K: multilingual English-German image descriptions",
    )
    yield Corpus(
        name="multi30k-masked",
        target="multiattn_text.masked_multi30k:MaskedMulti30k",
        fields={"en": "text", "masked": "text", "de": "text", "image": "image"},
        summary="Multi30k with nouns and colours masked; photographs kept, removed or shuffled",
        paper="Caglayan et al. 2019, Probing the need for visual context in multimodal machine "
        "translation",
    )
    yield Corpus(
        name="aeslc",
        target="multiattn_text.corpora:Aeslc",
        fields={"source": "text", "subject": "text", "annotations": "text"},
        summary="e-mails and their subject lines",
        paper="Zhang and Tetreault 2019, This email could save your life",
    )


def _metrics() -> Iterator[Record]:
    yield Metric(
        name="bleu",
        target="multiattn_text.metrics:Bleu",
        higher_is_better=True,
        unit="0-100",
        summary="corpus BLEU, by sacrebleu",
        paper="Papineni et al. 2002; Post 2018",
    )
    yield Metric(
        name="chrf",
        target="multiattn_text.metrics:Chrf",
        higher_is_better=True,
        unit="0-100",
        summary="character n-gram F-score, by sacrebleu",
        paper="Popović 2015",
    )
    yield Metric(
        name="ter",
        target="multiattn_text.metrics:Ter",
        higher_is_better=False,
        unit="0-100",
        summary="translation edit rate, by sacrebleu",
        paper="Snover et al. 2006",
    )
    yield Metric(
        name="masked-recall",
        target="multiattn_text.masked_recall:MaskedRecall",
        higher_is_better=True,
        unit="0-1",
        summary="recall of the translations of the words that multi30k-masked masks",
        paper="Caglayan et al. 2019, Probing the need for visual context in multimodal machine "
        "translation",
    )
    yield Metric(
        name="keyword-recall",
        target="multiattn_text.keyword_recall:KeywordRecall",
        higher_is_better=True,
        unit="0-1",
        summary="recall and precision of names or terms from a list",
    )
    for name, class_name, unit_of_overlap in (
        ("rouge-1", "Rouge1", "words"),
        ("rouge-2", "Rouge2", "word pairs"),
        ("rouge-l", "RougeL", "the longest common subsequence"),
        ("rouge-lsum", "RougeLsum", "the longest common subsequences of sentences"),
    ):
        yield Metric(
            name=name,
            target=f"multiattn_text.rouge:{class_name}",
            higher_is_better=True,
            unit="0-1",
            summary=f"F-score of {unit_of_overlap}, by rouge-score",
            paper="Lin 2004",
        )
