"""The components of the image plugin. A target is imported only when a recipe uses it."""

from __future__ import annotations

from collections.abc import Iterator

from multiattn import Corpus, Encoder, Metric, Reader, Record, Renderer, hookimpl
from multiattn_image.formats import SUFFIXES


@hookimpl
def multiattn_components() -> Iterator[Record]:
    """Yield the records of the encoder, the reader, the corpora, the metrics and the renderer."""
    yield Encoder(
        name="cnn-grid",
        target="multiattn_image.encoder:CNNGrid",
        consumes="image",
        summary="a backbone of torchvision or timm up to a feature grid, one slot per grid cell",
        paper="Xu et al. 2015, Show, attend and tell",
    )
    yield Reader(
        name="image",
        target="multiattn_image.reader:ImageReader",
        produces="image",
        suffixes=SUFFIXES,
        summary="an image as a square of RGB pixels",
    )
    yield from _corpus_records()
    yield from _metric_records()
    yield Renderer(
        name="grid",
        target="multiattn_image.rendering:ImageOverlay",
        layout="grid",
        summary="one copy of the image per word, bright where the model attended",
    )


def _corpus_records() -> Iterator[Record]:
    fields = {"image": "image", "captions": "text"}
    yield Corpus(
        name="flickr8k",
        target="multiattn_image.corpora.flickr8k:Flickr8k",
        fields=fields,
        summary="photographs of people and animals, five captions each, in any of three layouts",
        paper="Hodosh et al. 2013, Framing image description as a ranking task",
    )
    yield Corpus(
        name="flickr30k",
        target="multiattn_image.corpora.flickr30k:Flickr30k",
        fields=fields,
        summary="photographs of people, five captions each, in any of three layouts",
        paper="Young et al. 2014, From image descriptions to visual denotations",
    )
    yield Corpus(
        name="coco-captions",
        target="multiattn_image.corpora.coco:CocoCaptions",
        fields=fields,
        summary="photographs of everyday scenes, five captions each: COCO's JSON or Karpathy's",
        paper="Chen et al. 2015, Microsoft COCO captions: data collection and evaluation server",
    )
    yield Corpus(
        name="captions",
        target="multiattn_image.corpora.caption_tables:CaptionTables",
        fields=fields,
        summary="images listed with their captions: SPLIT.jsonl, SPLIT.csv or SPLIT.tsv",
    )


def _metric_records() -> Iterator[Record]:
    yield Metric(
        name="cider",
        target="multiattn_image.captioning_metrics.metrics:Cider",
        higher_is_better=True,
        unit="0-10",
        summary="CIDEr-D of pycocoevalcap",
        paper="Vedantam et al. 2015, CIDEr: consensus-based image description evaluation",
    )
    for order in range(1, 5):
        yield Metric(
            name=f"coco-bleu-{order}",
            target=f"multiattn_image.captioning_metrics.metrics:CocoBleu{order}",
            higher_is_better=True,
            unit="0-1",
            summary=f"corpus BLEU-{order} of pycocoevalcap",
            paper="Papineni et al. 2002; Chen et al. 2015",
        )
    yield Metric(
        name="meteor",
        target="multiattn_image.captioning_metrics.metrics:Meteor",
        higher_is_better=True,
        unit="0-1",
        summary="METEOR 1.5 of pycocoevalcap",
        paper="Denkowski and Lavie 2014, Meteor universal",
    )
    yield Metric(
        name="coco-rouge-l",
        target="multiattn_image.captioning_metrics.metrics:CocoRougeL",
        higher_is_better=True,
        unit="0-1",
        summary="ROUGE-L of pycocoevalcap: F-score of the longest common subsequence",
        paper="Lin 2004; Chen et al. 2015",
    )
