"""The encoder against the library's filterbanks and packed LSTMs, and what padding may do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torchaudio.compliance import kaldi

from multiattn.errors import UserError
from multiattn.memory import Memory, length_mask
from multiattn.plugins import load_host
from multiattn.settings import Named
from multiattn_audio.encoder.augmentation import SpecAugment, spec_augment
from multiattn_audio.encoder.feature_normalisation import Global, PerUtterance
from multiattn_audio.encoder.filterbank import hop_seconds, log_mel
from multiattn_audio.encoder.filterbank_bilstm import FilterbankBiLSTM
from multiattn_audio.encoder.time_reduction import FrameConvolutions, PlaneConvolutions, paired
from multiattn_audio.reader import AudioSpec

AN4 = Path("/work/shared/data/an4")
RATE = 16_000
EXACT = {"rtol": 0.0, "atol": 1e-9}
LENGTHS = [4_000, 1_000, 2_345, 3_999, 90]  # samples; the last is shorter than a window
REDUCTIONS = ["planes", "frames", "pyramid"]
OFF = SpecAugment(frequency_masks=0, time_masks=0)


@pytest.fixture(autouse=True)
def _double():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(7)
    yield
    torch.set_default_dtype(before)


def batch_of(*lengths: int, samples: int = 0) -> tuple[Tensor, Tensor]:
    """Noise of these lengths, padded with zeros."""
    counts = torch.tensor(lengths)
    mask = length_mask(counts, samples or max(lengths))
    return (0.1 * torch.randn(mask.shape)).masked_fill(~mask, 0.0), counts


def small(reduction: str = "planes", **settings) -> FilterbankBiLSTM:
    given = {"bands": 8, "hidden_dim": 4, "reduction": reduction} | settings
    return FilterbankBiLSTM(AudioSpec(RATE), **given).eval()


def library(waveform: Tensor, rate: int = RATE, bands: int = 80) -> Tensor:
    return kaldi.fbank(
        32_768 * waveform.unsqueeze(0), num_mel_bins=bands, sample_frequency=rate, dither=0.0
    )


# --- filterbanks


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050])
def test_filterbanks_of_a_batch_are_the_librarys_of_each_row_alone(rate):
    waveforms, lengths = batch_of(4_000, 1_000, 2_345, 3_999)
    features, frames = log_mel(waveforms, lengths, rate, 23)
    for row, length in enumerate(lengths.tolist()):
        expected = library(waveforms[row, :length], rate, 23)
        assert frames[row] == len(expected)
        torch.testing.assert_close(features[row, : frames[row]], expected, **EXACT)


@pytest.mark.skipif(not AN4.exists(), reason="AN4 is not on this machine")
def test_filterbanks_of_ten_an4_recordings_are_the_librarys_to_a_ten_thousandth():
    soundfile = pytest.importorskip("soundfile")
    lines = (AN4 / "dev.jsonl").read_text().splitlines()[::10][:10]
    waveforms = [
        torch.from_numpy(soundfile.read(AN4 / json.loads(line)["audio"], dtype="float32")[0])
        for line in lines
    ]
    assert len(waveforms) == 10
    lengths = torch.tensor([len(waveform) for waveform in waveforms])
    batch = nn.utils.rnn.pad_sequence(waveforms, batch_first=True)
    features, frames = log_mel(batch, lengths, RATE, 80)
    for row, waveform in enumerate(waveforms):
        expected = library(waveform)
        assert frames[row] == len(expected)
        difference = (features[row, : frames[row]] - expected).abs().max()
        assert difference <= 1e-4


def test_a_recording_shorter_than_a_window_is_one_frame_that_ends_in_silence():
    waveforms, lengths = batch_of(90, 1, samples=4_000)
    features, frames = log_mel(waveforms, lengths, RATE, 8)
    assert frames.tolist() == [1, 1]
    expected = library(functional.pad(waveforms[0, :90], (0, 310)), bands=8)
    torch.testing.assert_close(features[0, :1], expected, **EXACT)
    alone, _ = log_mel(waveforms[:1, :90], lengths[:1], RATE, 8)
    torch.testing.assert_close(alone[0], expected, **EXACT)


# --- normalisation


def test_an_utterance_is_normalised_by_its_own_mean_and_variance():
    features, lengths = torch.randn(3, 9, 5) * 4 + 7, torch.tensor([9, 4, 1])
    normalised = PerUtterance(5)(features, lengths)
    for row, length in enumerate(lengths.tolist()):
        own = features[row, :length]
        expected = (own - own.mean(0)) / (own.var(0, correction=0) + 1e-5).sqrt()
        torch.testing.assert_close(normalised[row, :length], expected, **EXACT)
        assert not normalised[row, length:].any()


def test_global_statistics_are_those_of_all_real_frames_seen_in_training():
    module, seen = Global(5), []
    for size in (1, 4, 3):
        features = torch.randn(size, 9, 5) * torch.arange(1, 6) + 30
        lengths = torch.randint(1, 10, (size,))
        normalised = module.train()(features, lengths)
        seen += [row[:length] for row, length in zip(features, lengths.tolist(), strict=True)]
    frames = torch.cat(seen)
    assert module.frames == len(frames)
    torch.testing.assert_close(module.mean, frames.mean(0), **EXACT)
    torch.testing.assert_close(module.variance, frames.var(0, correction=0), **EXACT)
    expected = (seen[-1] - frames.mean(0)) / (frames.var(0, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(normalised[-1, : len(seen[-1])], expected, **EXACT)
    assert not normalised[-1, len(seen[-1]) :].any()


def test_global_statistics_stay_as_they_are_outside_training_and_go_on_from_a_checkpoint():
    first, second = Global(5), Global(5)
    batches = [torch.randn(2, 9, 5) + 3 for _ in range(3)]
    lengths = torch.tensor([9, 6])
    for features in batches:
        first(features, lengths)
    before = {name: buffer.clone() for name, buffer in first.state_dict().items()}
    first.eval()(batches[0], lengths)
    assert all(torch.equal(before[name], buffer) for name, buffer in first.state_dict().items())

    for features in batches[:2]:
        second(features, lengths)
    third = Global(5)
    third.load_state_dict(second.state_dict())
    third(batches[2], lengths)
    assert all(torch.equal(before[name], buffer) for name, buffer in third.state_dict().items())


def test_global_statistics_are_of_all_processes(monkeypatch):
    here, there = torch.randn(2, 9, 5) + 3, torch.randn(3, 9, 5) - 1
    lengths, others = torch.tensor([9, 4]), torch.tensor([2, 9, 5])
    module = Global(5)  # its first batch, so that sums are of features less nothing

    def add_the_other_process(sums: Tensor) -> None:
        frames = there[length_mask(others, 9)]
        count = torch.full((5,), float(len(frames)))
        sums.add_(torch.stack([count, frames.sum(0), frames.square().sum(0)]))

    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "all_reduce", add_the_other_process)
    module(here, lengths)
    frames = torch.cat([here[length_mask(lengths, 9)], there[length_mask(others, 9)]])
    assert module.frames == len(frames)
    torch.testing.assert_close(module.mean, frames.mean(0), **EXACT)
    torch.testing.assert_close(module.variance, frames.var(0, correction=0), **EXACT)


# --- SpecAugment


def hidden_by(settings: SpecAugment, lengths: Tensor, frames: int = 60, bands: int = 40) -> Tensor:
    """Which cells (B, F, bands) are hidden."""
    return spec_augment(torch.ones(len(lengths), frames, bands), lengths, settings) == 0


def runs(hidden: Tensor) -> int:
    """How many separate stretches a (X,) mask has."""
    return int((hidden & ~functional.pad(hidden, (1, 0))[:-1]).sum())


def test_time_masks_are_stretches_within_a_share_of_each_utterance():
    lengths = torch.tensor([60, 20, 1] * 200)
    settings = SpecAugment(frequency_masks=0, time_masks=1, time_share=0.25)
    hidden = hidden_by(settings, lengths)
    assert torch.equal(hidden.any(2), hidden.all(2))
    times = hidden.all(2)  # (B, F)
    widths = times.sum(1)
    assert all(runs(row) <= 1 for row in times)
    assert (widths <= 0.25 * lengths).all()
    assert set(widths[lengths == 60].tolist()) == set(range(16))
    assert set(widths[lengths == 20].tolist()) == set(range(6))
    assert not (times & ~length_mask(lengths, 60)).any()
    assert times[lengths == 20].any(0)[:20].all()


def test_frequency_masks_are_bands_hidden_all_the_time():
    settings = SpecAugment(frequency_masks=1, frequency_bands=10, time_masks=0)
    hidden = hidden_by(settings, torch.full((200,), 60))
    assert torch.equal(hidden.any(1), hidden.all(1))
    widths = hidden.all(1).sum(1)
    assert set(widths.tolist()) == set(range(10))
    assert all(runs(row) <= 1 for row in hidden.all(1))


def test_utterances_are_masked_only_in_training_and_as_torchs_seed_says():
    encoder = small()
    waveforms, lengths = batch_of(8_000, 8_000)
    plain = encoder(waveforms, lengths).values
    assert torch.equal(encoder(waveforms, lengths).values, plain)
    encoder.train()
    torch.manual_seed(1)
    masked = encoder(waveforms, lengths).values
    assert not torch.equal(masked, plain)
    torch.manual_seed(1)
    assert torch.equal(encoder(waveforms, lengths).values, masked)
    off = small(augmentation=OFF).train()
    off.load_state_dict(encoder.state_dict())
    assert torch.equal(off(waveforms, lengths).values, plain)


# --- time reduction


def test_convolutions_are_the_librarys_over_each_row_alone():
    for module in (PlaneConvolutions(8, 2), FrameConvolutions(8, 2, 6)):
        values, lengths = torch.randn(4, 11, 8), torch.tensor([11, 8, 5, 1])
        values = values.masked_fill(~length_mask(lengths, 11).unsqueeze(2), 0.0)
        reduced, counts = module(values, lengths)
        assert counts.tolist() == [3, 2, 2, 1]
        assert reduced.shape == (4, 3, module.out_dim)
        for row, length in enumerate(lengths.tolist()):
            own = values[row : row + 1, :length]
            own = own.unsqueeze(1) if module.convolutions[0].weight.dim() == 4 else own.mT
            for convolution in module.convolutions:
                own = convolution(own).relu()
            own = own.transpose(1, 2).flatten(2) if own.dim() == 4 else own.mT
            torch.testing.assert_close(reduced[row, : counts[row]], module.norm(own)[0], **EXACT)
            assert not reduced[row, counts[row] :].any()


def test_a_pyramid_puts_neighbours_side_by_side():
    values = torch.arange(1.0, 11).view(1, 5, 2)
    joined, lengths = paired(values, torch.tensor([5]))
    assert joined.tolist() == [[[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 0, 0]]]
    assert lengths.tolist() == [3]


def test_a_pyramid_with_too_few_layers_is_refused_in_a_sentence():
    with pytest.raises(UserError, match="needs one more, got layers 2; add layers"):
        small("pyramid", layers=2)


# --- the whole


def packed(encoder: FilterbankBiLSTM, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """The encoder's layers as the library's bidirectional LSTMs over packed sequences."""
    values, lengths = encoder.reduction(values, lengths)
    final = values
    for layer, (ahead, back) in enumerate(zip(encoder.forwards, encoder.backwards, strict=True)):
        if layer and layer <= encoder.pairings:
            values, lengths = paired(values, lengths)
        lstm = nn.LSTM(ahead.input_size, 4, bidirectional=True, batch_first=True)
        reverse = {f"{name}_reverse": weight for name, weight in back.state_dict().items()}
        lstm.load_state_dict(dict(ahead.state_dict()) | reverse)
        outputs, (final, _) = lstm(
            pack_padded_sequence(values, lengths, batch_first=True, enforce_sorted=False)
        )
        values, _ = pad_packed_sequence(outputs, batch_first=True)
        if encoder.projections:
            mask = length_mask(lengths, values.shape[1]).unsqueeze(2)
            values = torch.tanh(encoder.projections[layer](values)) * mask
    return values, torch.cat([final[0], final[1]], 1)


@pytest.mark.parametrize("projection_dim", [0, 6])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_it_is_the_librarys_bidirectional_lstms_over_packed_sequences(reduction, projection_dim):
    encoder = small(reduction, projection_dim=projection_dim)
    waveforms, lengths = batch_of(*LENGTHS)
    features, frames = log_mel(waveforms, lengths, RATE, 8)
    values, summary = packed(encoder, PerUtterance(8)(features, frames), frames)
    memory = encoder(waveforms, lengths)
    torch.testing.assert_close(memory.values, values, **EXACT)
    torch.testing.assert_close(memory.summary, summary, **EXACT)
    assert memory.mask.sum(1).tolist() == [-(-count // 4) for count in frames.tolist()]


def expect_same(memory: Memory, whole: Memory, row: int) -> None:
    slots = int(memory.mask[0].sum())
    assert slots == whole.mask[row].sum()
    torch.testing.assert_close(memory.values[0, :slots], whole.values[row, :slots], **EXACT)
    torch.testing.assert_close(memory.summary[0], whole.summary[row], **EXACT)


MANY = [90 + 640 * (index % 8) for index in range(32)]  # enough, and unequal enough, for groups


@pytest.mark.parametrize("lengths", [LENGTHS, MANY], ids=["varied", "grouped"])
@pytest.mark.parametrize("normalisation", ["utterance", "global"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_batch_equals_its_recordings_one_by_one(reduction, normalisation, lengths):
    encoder = small(reduction, normalisation=normalisation, augmentation=OFF)
    waveforms, counts = batch_of(*lengths)
    encoder.train()(waveforms, counts)  # so that there are statistics
    encoder.eval()
    memory = encoder(waveforms, counts)
    for row, length in enumerate(lengths):
        expect_same(encoder(waveforms[[row], :length], counts[[row]]), memory, row)
    assert not memory.values[~memory.mask].any()


@pytest.mark.parametrize("more", [1, 159, 160, 1_000])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_padding_changes_nothing_whatever_stands_in_it(reduction, more):
    encoder = small(reduction)
    waveforms, lengths = batch_of(*LENGTHS)
    memory = encoder(waveforms, lengths)
    rubbish = functional.pad(waveforms, (0, more))
    rubbish = torch.where(length_mask(lengths, rubbish.shape[1]), rubbish, torch.tensor(0.3))
    padded = encoder(rubbish, lengths)
    slots = memory.values.shape[1]
    torch.testing.assert_close(padded.values[:, :slots], memory.values, **EXACT)
    torch.testing.assert_close(padded.summary, memory.summary, **EXACT)
    assert not padded.mask[:, slots:].any()
    assert not padded.values[:, slots:].any()


@pytest.mark.parametrize("slot_frames", [1, 2, 4, 8])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_slot_says_how_many_seconds_it_is(reduction, slot_frames):
    encoder = small(reduction, slot_frames=slot_frames, layers=4)
    waveforms, lengths = batch_of(16_000, 90)
    memory = encoder(waveforms, lengths)
    assert memory.layout.kind == "time"
    assert memory.layout.seconds_per_slot == pytest.approx(slot_frames / 100)
    assert memory.mask.sum(1).tolist() == [-(-98 // slot_frames), 1]
    assert hop_seconds(22_050) == 220 / 22_050


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_its_widths_are_what_it_gives_and_every_weight_learns(reduction):
    for projection_dim in (0, 6):
        encoder = small(reduction, projection_dim=projection_dim).train()
        memory = encoder(*encoder.example_inputs())
        assert memory.values.shape[::2] == (2, encoder.out_dim)
        assert memory.summary.shape == (2, encoder.summary_dim)
        (memory.values.sum() + memory.summary.sum()).backward()
        without = {name for name, weight in encoder.named_parameters() if weight.grad is None}
        assert without == set()


def test_dropout_is_on_in_training_only_and_leaves_final_states_whole():
    encoder = small(dropout=0.5, augmentation=OFF)
    waveforms, lengths = batch_of(*LENGTHS)
    assert torch.equal(encoder(waveforms, lengths).values, encoder(waveforms, lengths).values)
    trained = encoder.train()(waveforms, lengths)
    assert 0.3 < (trained.values[trained.mask] == 0).double().mean() < 0.7
    assert (trained.summary[0] != 0).all()


@pytest.mark.parametrize("slot_frames", [1, 2, 4, 8])
def test_the_slots_of_a_length_are_known_before_it_is_heard(slot_frames):
    encoder = FilterbankBiLSTM(AudioSpec(), hidden_dim=4, layers=1, slot_frames=slot_frames)
    for samples in (1, 400, 560, 1_599, 1_600, 1_601, 12_345):
        hundredths = -(-samples // 160)
        memory = encoder(torch.randn(1, samples), torch.tensor([samples]))
        assert memory.mask.sum() <= encoder.slots(hundredths)
        assert samples % 160 or memory.mask.sum() == encoder.slots(hundredths)


def test_bands_that_hold_no_frequency_are_refused_in_a_sentence():
    FilterbankBiLSTM(AudioSpec(), bands=120, hidden_dim=4, layers=1)
    with pytest.raises(UserError, match="frequency each at 16000 Hz, got 300, of which 41 hold"):
        FilterbankBiLSTM(AudioSpec(), bands=300, hidden_dim=4, layers=1)


def test_silence_gives_finite_slots():
    memory = small()(torch.zeros(1, 8_000), torch.tensor([8_000]))
    assert memory.values.isfinite().all()


def test_a_recipe_may_say_all_of_it():
    host = load_host()
    named = Named.model_validate(
        {
            "name": "filterbank-bilstm",
            "bands": 40,
            "normalisation": "global",
            "augmentation": {"frequency_masks": 1, "frequency_bands": 8, "time_share": 0.2},
            "reduction": "pyramid",
            "hidden_dim": 8,
            "projection_dim": 4,
        }
    )
    assert host.mistakes("encoder", named, "encoder") == []
    encoder = host.build("encoder", named, AudioSpec(8_000))
    assert encoder.augmentation.time_share == 0.2
    wrong = Named.model_validate(
        {"name": "filterbank-bilstm", "augmentation": {"time_masks": -1}, "bands": 2}
    )
    mistakes = host.mistakes("encoder", wrong, "encoder")
    assert len(mistakes) == 2
