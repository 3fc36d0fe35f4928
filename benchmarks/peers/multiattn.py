"""The adapter of multiattn for the benchmark harness; it uses no private names.

Workloads: translation (W1 training, W2 decoding), speech recognition (W3 training), captioning from
given feature grids (W4 training and decoding).

    make(workload, variant) -> harness.Case

Variants of W1: ``additive`` (input feeding) and ``multiplicative`` (no input feeding). W2 appends
``-greedy``, ``-beam`` or ``-beam1``. W3: ``additive`` and ``location``, both with input feeding.
W4: ``additive`` for training; ``-b1`` or ``-b32`` is the number of images decoded at once.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import harness
import torch
import workload as workloads
from torch import Tensor, nn
from torch.nn import functional

from multiattn.engine import fast
from multiattn.engine.attention import Additive, Multiplicative
from multiattn.engine.attention_wrappers import Location
from multiattn.engine.batch import Targets
from multiattn.engine.decoder import LSTMDecoder
from multiattn.engine.fast import for_decoding
from multiattn.engine.layouts import Grid, Time, Tokens
from multiattn.engine.memory import Memory, MemorySpec, length_mask
from multiattn.engine.recurrence import InputFeeding, Luong
from multiattn.recipe.settings import SearchSettings as Search
from multiattn.recipe.settings import TrainingSettings as Training
from multiattn.search import beam
from multiattn.search.hypotheses import Hypothesis
from multiattn.search.task import SearchTask
from multiattn.training.optimizer import build_optimizer
from multiattn_audio.encoder.filterbank_bilstm import FilterbankBiLSTM
from multiattn_audio.reader import AudioSpec
from multiattn_text.encoder import Lstm
from multiattn_text.reader import TextSpec

SIZES = workloads.MT
FORMS = {
    "additive": (InputFeeding, partial(Additive, dim=SIZES["att"]), "input feeding"),
    "multiplicative": (Luong, Multiplicative, "no input feeding"),
}
SPEECH = workloads.ASR
ADDITIVE = partial(Additive, dim=SPEECH["att"])
SPEECH_ATTENTIONS = {
    "additive": ADDITIVE,
    "location": partial(Location, of=ADDITIVE, filters=10, width=201),
}
GRIDS = workloads.CAP
MODES = {"greedy": (1, 64), "beam": (5, 32), "beam1": (5, 1)}  # beam size, batch size


def beam_search(
    decoder: Any, memories: dict[str, Memory], batch_size: int, settings: Search
) -> list[list[Hypothesis]]:
    """The n best hypotheses of every input."""
    return beam.beam_search(SearchTask(decoder, memories, batch_size, settings))


class Encoding:
    """An encoder's memory of a batch, by the path that ``Model`` takes on this device."""

    def __init__(self, name: str) -> None:
        self.captured = fast.Captured(name)

    def __call__(self, encode: Any, encoder: Any, values: Tensor, lengths: Tensor) -> Memory:
        memory: Memory
        if not self.captured.applies(values.device):
            memory = encode(values, lengths)
        else:
            memory = fast.encode_batch(
                encode, self.captured, encoder, values, lengths, part="all", any_length=True
            )
        return memory


def targets_of(batch: dict[str, Any]) -> Targets:
    """The targets as a collator would hand them over, kept with the batch: packed for a GPU."""
    if "targets" not in batch:
        targets = Targets(batch["tgt_out"], (batch["tgt_out"] != workloads.PAD).sum(1))
        batch["targets"] = targets.packed() if targets.tokens.is_cuda else targets
    targets: Targets = batch["targets"]
    return targets


class Translator(nn.Module):
    """Text encoder and decoder, in the sizes that all toolkits use."""

    def __init__(self, form: str) -> None:
        super().__init__()
        recurrence, attention, _ = FORMS[form]
        spec = TextSpec(SIZES["vocab"])
        self.encoder = Lstm(spec, embedding_dim=SIZES["emb"], hidden_dim=SIZES["enc"])
        self.decoder = LSTMDecoder(
            SIZES["vocab"],
            {"text": MemorySpec(self.encoder.out_dim, self.encoder.summary_dim)},
            embedding_dim=SIZES["emb"],
            hidden_dim=SIZES["hid"],
            recurrence=recurrence,
            attention=attention,
        )
        self.encoding = Encoding("the encoder")

    def encode(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
        """Values and summary, at which the harness splits the computation graph."""
        memory = self.encoding(self.encoder, self.encoder, batch["src"], batch["src_len"])
        return memory.values, memory.summary

    def loss(self, batch: dict[str, Any], values: Tensor, summary: Tensor | None) -> Tensor:
        """Mean cross-entropy of the target tokens without padding."""
        mask = length_mask(batch["src_len"], values.size(1))
        targets = targets_of(batch)
        output = self.decoder(targets, {"text": Memory(values, mask, Tokens(), summary)})
        gold = targets.tokens[output.rows, output.steps]  # (M,)
        return functional.cross_entropy(output.scores, gold)


class Transcriber(nn.Module):
    """Speech encoder on given features, and decoder, in the sizes that all toolkits use."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.encoder = FilterbankBiLSTM(
            AudioSpec(),
            bands=SPEECH["feats"],
            reduction="frames",
            hidden_dim=SPEECH["enc"],
            layers=SPEECH["layers"],
        )
        self.decoder = LSTMDecoder(
            SPEECH["vocab"],
            {"speech": MemorySpec(self.encoder.out_dim)},
            embedding_dim=SPEECH["hid"],
            hidden_dim=SPEECH["hid"],
            attention=SPEECH_ATTENTIONS[form],
            initial_state="zero",
        )
        self.encoding = Encoding("the encoder")

    def encode(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Values and mask; at the values the harness splits the computation graph."""
        features, lengths = batch["feats"], batch["feat_len"]
        memory = self.encoding(self.encoder.encode, self.encoder, features, lengths)
        return memory.values, memory.mask

    def loss(self, batch: dict[str, Any], values: Tensor, mask: Tensor) -> Tensor:
        """Mean cross-entropy of the target tokens."""
        targets = targets_of(batch)
        memory = Memory(values, mask, Time(4 * SPEECH["frame_s"]))
        output = self.decoder(targets, {"speech": memory})
        gold = targets.tokens[output.rows, output.steps]  # (M,)
        return functional.cross_entropy(output.scores, gold)


class Captioner(nn.Module):
    """Decoder on given feature grids, in the sizes that all toolkits use."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = LSTMDecoder(
            GRIDS["vocab"],
            {"image": MemorySpec(GRIDS["feat"], GRIDS["feat"])},
            embedding_dim=GRIDS["emb"],
            hidden_dim=GRIDS["hid"],
            attention=partial(Additive, dim=GRIDS["att"]),
        )

    def loss(self, batch: dict[str, Any]) -> Tensor:
        """Mean cross-entropy of the target tokens; all captions have the same length."""
        targets = targets_of(batch)
        output = self.decoder(targets, {"image": grid_memory(batch["grid"])})
        gold = targets.tokens[output.rows, output.steps]  # (M,)
        return functional.cross_entropy(output.scores, gold)


def grid_memory(grid: Tensor) -> Memory:
    """A memory of grid cells (B, S, D) without padding; the summary is their mean."""
    side = math.isqrt(GRIDS["cells"])
    mask = torch.ones(grid.shape[:2], dtype=torch.bool)
    return Memory(grid, mask, Grid(side, side), grid.mean(1))


def make(workload: str, variant: str) -> harness.Case:
    """A training step (w1, w3, w4), decoding a batch (w2), or captioning all images (w4decode)."""
    if workload == "w4":
        model = Captioner()
        optimizer = build_optimizer(model, Training(learning_rate=1e-4))
        step = harness.split_train(
            lambda batch: (), model.loss, harness.params_of(model), optimizer
        )
        return harness.cycle(step, workloads.cap_batches(), ["images"], (model,), "input feeding")
    if workload == "w4decode":
        return captioning(Captioner(), int(variant.partition("-b")[2]))
    if workload == "w3":
        batches, counts = workloads.asr_batches(), ["utts", "audio_s"]
        return training(Transcriber(variant), batches, counts, "2 strided convs + LSTMs")
    form, _, mode = variant.partition("-")
    model = Translator(form)
    if workload == "w1":
        counts = ["tokens", "sentences"]
        return training(model, workloads.mt_batches(4), counts, FORMS[form][2])
    if workload == "w2":
        return decoding(model, *MODES[mode])
    raise ValueError(f"expected w1, w2, w3, w4 or w4decode, got {workload}")


def training(model: Any, batches: list[Any], counts: list[str], note: str) -> harness.Case:
    """The training step of the harness, with the optimiser of this project."""
    optimizer = build_optimizer(model, Training(learning_rate=1e-4))
    step = harness.split_train(model.encode, model.loss, harness.params_of(model), optimizer)
    return harness.cycle(step, batches, counts, (model,), note)


def decoding(model: Translator, beam: int, batch_size: int) -> harness.Case:
    """Decode 20 words per sentence, then EOS: one more step than toolkits that stop at 20."""
    length = SIZES["max_len"]
    settings = Search(beam=beam, min_length=length, max_length=length)
    model.eval()
    decoder = for_decoding(model.decoder)

    @torch.inference_mode()
    def run(batch: dict[str, Tensor]) -> None:
        memory = model.encoder(batch["src"], batch["src_len"])
        hypotheses = beam_search(decoder, {"text": memory}, batch_size, settings)
        assert all(len(best[0].tokens) == length for best in hypotheses)

    batches = workloads.mt_batches(4, batch_size, seed=11)
    return harness.cycle(run, batches, ["sentences"], (model,), "20 words and the end")


def captioning(model: Captioner, batch_size: int) -> harness.Case:
    """Decode 12 words per image and then EOS."""
    length = GRIDS["tgt"]
    settings = Search(beam=GRIDS["beam"], min_length=length, max_length=length)
    decoder = for_decoding(model.eval().decoder)
    images = workloads.cap_images()

    @torch.inference_mode()
    def run(_: int) -> None:
        for grid in images.split(batch_size):
            hypotheses = beam_search(decoder, {"image": grid_memory(grid)}, len(grid), settings)
            assert all(len(best[0].tokens) == length for best in hypotheses)

    return harness.Case(run, (model,), lambda _: {"images": len(images)}, "12 words and the end")
