"""The core as a plugin: multiattn registers its own components the way every plugin does."""

from __future__ import annotations

from collections.abc import Iterator

from multiattn.registry.hooks import hookimpl
from multiattn.registry.records import (
    Attention,
    Decoder,
    Fusion,
    Objective,
    Output,
    Record,
    Recurrence,
    Renderer,
    Scorer,
)


@hookimpl
def multiattn_components() -> Iterator[Record]:
    """Yield the core's components, in the order in which a model uses them."""
    yield from attentions()
    yield from fusions()
    yield from decoders()
    yield from objectives()
    yield from scorers()
    yield from renderers()


def attentions() -> Iterator[Record]:
    """Yield the attentions: ways for a query to attend to one memory."""
    yield Attention(
        name="additive",
        target="multiattn.engine.attention:Additive",
        summary="scores query and key with a small feed-forward network",
        paper="Bahdanau et al. 2015, appendix A.1.2",
    )
    yield Attention(
        name="multiplicative",
        target="multiattn.engine.attention:Multiplicative",
        summary="scores query and key with a learned bilinear product",
        paper="Luong et al. 2015, equation 8 (general)",
    )
    yield Attention(
        name="dot",
        target="multiattn.engine.attention:Dot",
        summary="scores query and key with their dot product; both have the same width",
        paper="Luong et al. 2015, equation 8 (dot)",
    )
    yield Attention(
        name="scaled-dot",
        target="multiattn.engine.attention:ScaledDot",
        summary="dot product of projected query and key, over the square root of their width",
        paper="Vaswani et al. 2017, equation 1",
    )
    yield Attention(
        name="location",
        target="multiattn.engine.attention_wrappers:Location",
        summary="content scores that also use the previous attention weights",
        paper="Chorowski et al. 2015, equations 8-9; section 2.3 (window)",
    )
    yield Attention(
        name="multi-head",
        target="multiattn.engine.attention_wrappers:MultiHead",
        summary="several attentions in parallel, each with its own value projection",
        paper="Vaswani et al. 2017, section 3.2.2",
    )
    yield Attention(
        name="coverage",
        target="multiattn.engine.attention_wrappers:Coverage",
        summary="content scores that also use the sum of all earlier attention weights",
        paper="See et al. 2017, equations 10-11",
    )
    yield Attention(
        name="gated",
        target="multiattn.engine.attention_wrappers:Gated",
        summary="any attention, with its context scaled by a learned gate",
        paper="Xu et al. 2015, section 4.2.1 (β)",
    )


def fusions() -> Iterator[Record]:
    """Yield the fusions: ways to combine the contexts of several memories into one."""
    yield Fusion(
        name="concat",
        target="multiattn.engine.fusion:Concat",
        summary="concatenated contexts, with a learned vector for an absent source",
    )
    yield Fusion(
        name="hierarchical",
        target="multiattn.engine.fusion:Hierarchical",
        summary="a second attention over the contexts of the sources",
        paper="Libovický & Helcl 2017, equations 7-10",
    )
    yield Fusion(
        name="gate",
        target="multiattn.engine.fusion:Gate",
        summary="a learned gate weights the sources for every unit of the context",
        paper="Arevalo et al. 2017, equations 3-5",
    )


def decoders() -> Iterator[Record]:
    """Yield the decoder and the parts it is assembled from."""
    yield Decoder(
        name="lstm",
        target="multiattn.engine.decoder:LSTMDecoder",
        summary="an LSTM that attends to the memories at every step",
        paper="Bahdanau et al. 2015; Luong et al. 2015",
    )
    yield Recurrence(
        name="bahdanau",
        target="multiattn.engine.recurrence:Bahdanau",
        summary="attend with the previous state, then run the cell on word and context",
        paper="Bahdanau et al. 2015, appendix A.2",
    )
    yield Recurrence(
        name="luong",
        target="multiattn.engine.recurrence:Luong",
        summary="run the cell on the word, then attend; all time steps at once",
        paper="Luong et al. 2015, equation 5",
    )
    yield Recurrence(
        name="input-feeding",
        target="multiattn.engine.recurrence:InputFeeding",
        summary="as luong, with the attentional vector fed to the next step",
        paper="Luong et al. 2015, section 3.3",
    )
    yield Recurrence(
        name="conditional",
        target="multiattn.engine.recurrence_variants:Conditional",
        summary="attend between two cells",
        paper="Sennrich et al. 2017, section 2",
    )
    yield Recurrence(
        name="adaptive",
        target="multiattn.engine.recurrence_variants:Adaptive",
        summary="as luong, with a visual sentinel for what the cell already knows",
        paper="Lu et al. 2017, equations 9-13",
    )
    yield Output(
        name="linear",
        target="multiattn.engine.output_layer:Linear",
        summary="a linear layer over the features",
        paper="Luong et al. 2015, equation 6",
    )
    yield Output(
        name="deep",
        target="multiattn.engine.output_layer:Deep",
        summary="a tanh layer over features and previous word, then a linear layer",
        paper="Pascanu et al. 2014",
    )
    yield Output(
        name="copy",
        target="multiattn.engine.output_layer:Copy",
        summary="a mixture of generating a word and copying an attended one",
        paper="See et al. 2017, equations 8-9",
    )


def objectives() -> Iterator[Record]:
    """Yield the training objectives."""
    yield Objective(
        name="cross-entropy",
        target="multiattn.training.objectives:CrossEntropy",
        summary="negative log-likelihood of each word, with label smoothing",
        paper="Szegedy et al. 2016, section 7",
    )
    yield Objective(
        name="r-drop",
        target="multiattn.training.objectives:RDrop",
        summary="cross-entropy of two passes with dropout, plus the divergence between them",
        paper="Liang et al. 2021, section 2.1",
    )
    yield Objective(
        name="ctc",
        target="multiattn.training.ctc_objective:CTC",
        summary="CTC loss of a second head, which aligns slots and words monotonically",
        paper="Graves et al. 2006; Watanabe et al. 2017",
    )
    yield Objective(
        name="coverage",
        target="multiattn.training.objectives:Coverage",
        summary="a penalty for attending repeatedly to the same slots",
        paper="See et al. 2017, equation 12",
    )
    yield Objective(
        name="doubly-stochastic",
        target="multiattn.training.objectives:DoublyStochastic",
        summary="a penalty for slots whose total attention is not 1",
        paper="Xu et al. 2015, equation 14",
    )
    yield Objective(
        name="self-critical",
        target="multiattn.training.self_critical:SelfCritical",
        summary="a metric as reward for sampled outputs, relative to the greedy output",
        paper="Rennie et al. 2017, sections 3-4",
    )


def scorers() -> Iterator[Record]:
    """Yield the scorers that can take part in a beam search."""
    yield Scorer(
        name="length",
        target="multiattn.search.scorers:LengthReward",
        summary="a reward for every word",
        paper="He et al. 2016, section 3.3",
    )
    yield Scorer(
        name="coverage",
        target="multiattn.search.scorers:CoveragePenalty",
        summary="a penalty for slots that received little attention",
        paper="Wu et al. 2016, equation 14",
    )
    yield Scorer(
        name="ctc",
        target="multiattn.search.ctc:CTCPrefix",
        summary="prefix scores of the head that the objective ctc trains",
        paper="Watanabe et al. 2017, algorithm 2",
    )


def renderers() -> Iterator[Record]:
    """Yield the renderers of attention weights."""
    yield Renderer(
        name="heat-map",
        target="multiattn.prediction.rendering:HeatMap",
        layout="tokens",
        summary="output words by input words; darker means more attention",
    )
