"""The components of the Hugging Face plugin. A target is imported only when a recipe uses it."""

from __future__ import annotations

from collections.abc import Iterator

from multiattn import Corpus, Encoder, Reader, Recipe, Record, hookimpl

AUDIO = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".mp4", ".webm", ".aac")
IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif")


@hookimpl
def multiattn_components() -> Iterator[Record]:
    """Yield an encoder and its reader for each kind of input, the corpus, and recipes."""
    yield Encoder(
        name="hf-text",
        target="multiattn_huggingface.text_encoder:TextEncoder",
        consumes="hf-text",
        summary="a pretrained text model: BERT, RoBERTa, DistilBERT, MPNet, the encoder of T5",
        paper="Devlin et al. 2019, BERT: pre-training of deep bidirectional transformers",
    )
    yield Reader(
        name="hf-text",
        target="multiattn_huggingface.text_reader:TextReader",
        produces="hf-text",
        suffixes=(".txt",),
        summary="a text as the ids of a pretrained model's own tokenizer",
    )
    yield Encoder(
        name="hf-joint-text",
        target="multiattn_huggingface.joint.encoder:JointTextEncoder",
        consumes="hf-joint-text",
        summary="a pretrained text model over the pieces of the target, which can be copied",
        paper="Peters et al. 2018, Deep contextualized word representations",
    )
    yield Reader(
        name="hf-joint-text",
        target="multiattn_huggingface.joint.reader:JointTextReader",
        produces="hf-joint-text",
        suffixes=(".txt",),
        summary="a text as ids of the target's tokenizer, aligned with those of a pretrained model",
    )
    yield Encoder(
        name="hf-speech",
        target="multiattn_huggingface.speech_encoder:SpeechEncoder",
        consumes="hf-audio",
        summary="a pretrained speech model: the encoder of Whisper, wav2vec 2.0, HuBERT",
        paper="Radford et al. 2023, Robust speech recognition via large-scale weak supervision",
    )
    yield Reader(
        name="hf-speech",
        target="multiattn_huggingface.media_readers:SpeechReader",
        produces="hf-audio",
        suffixes=AUDIO,
        summary="a recording at the sampling rate of a pretrained model",
    )
    yield Encoder(
        name="hf-vision",
        target="multiattn_huggingface.vision_encoder:VisionEncoder",
        consumes="hf-image",
        summary="a pretrained vision model: ViT, DeiT, CLIP, DINOv2, ResNet, ConvNeXt",
        paper="Dosovitskiy et al. 2021, An image is worth 16x16 words",
    )
    yield Reader(
        name="hf-vision",
        target="multiattn_huggingface.media_readers:VisionReader",
        produces="hf-image",
        suffixes=IMAGES,
        summary="an image at the size of a pretrained model",
    )
    yield Corpus(
        name="hf-dataset",
        target="multiattn_huggingface.corpus.hf_dataset:HuggingFaceDataset",
        summary="a dataset of the Hugging Face hub, of `save_to_disk` or of parquet files",
        paper="Lhoest et al. 2021, Datasets: a community library for natural language processing",
    )
    yield Recipe(
        name="asr",
        target="multiattn_huggingface:recipes/asr",
        summary="AN4 with the encoder of Whisper, frozen or tuned",
    )
    yield Recipe(
        name="summarization",
        target="multiattn_huggingface:recipes/summarization",
        summary="AESLC with MiniLM",
    )
