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
        summary="scores by a small network of query and key",
        paper="Bahdanau et al. 2015, appendix A.1.2",
    )
    yield Attention(
        name="multiplicative",
        target="multiattn.engine.attention:Multiplicative",
        summary="scores by a learned product of query and key",
        paper="Luong et al. 2015, equation 8 (general)",
    )
    yield Attention(
        name="dot",
        target="multiattn.engine.attention:Dot",
        summary="scores by the plain product; query and memory of one width",
        paper="Luong et al. 2015, equation 8 (dot)",
    )
    yield Attention(
        name="scaled-dot",
        target="multiattn.engine.attention:ScaledDot",
        summary="scores by the product of projections, over the root of their width",
        paper="Vaswani et al. 2017, equation 1",
    )
    yield Attention(
        name="location",
        target="multiattn.engine.attention_wrappers:Location",
        summary="a content score that also sees where the last look went",
        paper="Chorowski et al. 2015, equations 8-9; section 2.3 (window)",
    )
    yield Attention(
        name="multi-head",
        target="multiattn.engine.attention_wrappers:MultiHead",
        summary="several attentions side by side, each with values of its own",
        paper="Vaswani et al. 2017, section 3.2.2",
    )
    yield Attention(
        name="coverage",
        target="multiattn.engine.attention_wrappers:Coverage",
        summary="a content score that also sees all that was looked at so far",
        paper="See et al. 2017, equations 10-11",
    )
    yield Attention(
        name="gated",
        target="multiattn.engine.attention_wrappers:Gated",
        summary="any of them, times how much the state wants to see at all",
        paper="Xu et al. 2015, section 4.2.1 (β)",
    )


def fusions() -> Iterator[Record]:
    """Yield the fusions: ways to combine the contexts of several memories into one."""
    yield Fusion(
        name="concat",
        target="multiattn.engine.fusion:Concat",
        summary="contexts side by side, a learned vector where a source is absent",
    )
    yield Fusion(
        name="hierarchical",
        target="multiattn.engine.fusion:Hierarchical",
        summary="a second attention chooses among the sources",
        paper="Libovický & Helcl 2017, equations 7-10",
    )
    yield Fusion(
        name="gate",
        target="multiattn.engine.fusion:Gate",
        summary="every unit of the context chooses its source",
        paper="Arevalo et al. 2017, equations 3-5",
    )


def decoders() -> Iterator[Record]:
    """Yield the decoder and the parts it is assembled from."""
    yield Decoder(
        name="lstm",
        target="multiattn.engine.decoder:LSTMDecoder",
        summary="an LSTM that looks at the memories before every word",
        paper="Bahdanau et al. 2015; Luong et al. 2015",
    )
    yield Recurrence(
        name="bahdanau",
        target="multiattn.engine.recurrence:Bahdanau",
        summary="look with the last state, then read word and context",
        paper="Bahdanau et al. 2015, appendix A.2",
    )
    yield Recurrence(
        name="luong",
        target="multiattn.engine.recurrence:Luong",
        summary="read the word, then look; all time steps at once",
        paper="Luong et al. 2015, equation 5",
    )
    yield Recurrence(
        name="input-feeding",
        target="multiattn.engine.recurrence:InputFeeding",
        summary="as luong, and what was seen joins the next word",
        paper="Luong et al. 2015, section 3.3",
    )
    yield Recurrence(
        name="conditional",
        target="multiattn.engine.recurrence_variants:Conditional",
        summary="look between two cells",
        paper="Sennrich et al. 2017, section 2",
    )
    yield Recurrence(
        name="adaptive",
        target="multiattn.engine.recurrence_variants:Adaptive",
        summary="as luong, and what the cell knows may stand for what is seen: a visual sentinel",
        paper="Lu et al. 2017, equations 9-13",
    )
    yield Output(
        name="linear",
        target="multiattn.engine.output_layer:Linear",
        summary="scores straight from the features",
        paper="Luong et al. 2015, equation 6",
    )
    yield Output(
        name="deep",
        target="multiattn.engine.output_layer:Deep",
        summary="a tanh layer over features and last word, then scores",
        paper="Pascanu et al. 2014",
    )
    yield Output(
        name="copy",
        target="multiattn.engine.output_layer:Copy",
        summary="a mixture of writing a word and copying one that is looked at",
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
        summary="cross-entropy of two passes with dropout, and how far they disagree",
        paper="Liang et al. 2021, section 2.1",
    )
    yield Objective(
        name="ctc",
        target="multiattn.training.ctc_objective:CTC",
        summary="a second head that aligns slots and words from left to right",
        paper="Graves et al. 2006; Watanabe et al. 2017",
    )
    yield Objective(
        name="coverage",
        target="multiattn.training.objectives:Coverage",
        summary="a price for looking again at what was looked at",
        paper="See et al. 2017, equation 12",
    )
    yield Objective(
        name="doubly-stochastic",
        target="multiattn.training.objectives:DoublyStochastic",
        summary="a price for every slot that was not looked at once",
        paper="Xu et al. 2015, equation 14",
    )
    yield Objective(
        name="self-critical",
        target="multiattn.training.self_critical:SelfCritical",
        summary="a metric of what is drawn, against that of the likeliest words",
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
        summary="a price for slots that no word looked at",
        paper="Wu et al. 2016, equation 14",
    )
    yield Scorer(
        name="ctc",
        target="multiattn.search.ctc:CTCPrefix",
        summary="what the head of the objective ctc says of the words so far",
        paper="Watanabe et al. 2017, algorithm 2",
    )


def renderers() -> Iterator[Record]:
    """Yield the renderers of attention weights."""
    yield Renderer(
        name="heat-map",
        target="multiattn.prediction.rendering:HeatMap",
        layout="tokens",
        summary="words of the output over words of the text, darker where more attention went",
    )
