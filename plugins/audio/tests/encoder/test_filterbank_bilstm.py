"""The encoder against packed LSTMs of torch, and its independence of padding."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from multiattn import Memory, UserError
from multiattn.layers import length_mask
from multiattn.registry.host import load_host
from multiattn.registry.schema import Named
from multiattn_audio.encoder.augmentation import SpecAugment
from multiattn_audio.encoder.feature_normalisation import UtteranceNormalisation
from multiattn_audio.encoder.filterbank import hop_seconds, log_mel_filterbank
from multiattn_audio.encoder.filterbank_bilstm import FilterbankBiLSTM
from multiattn_audio.encoder.time_reduction import concatenate_pairs
from multiattn_audio.reader import AudioSpec

RATE = 16_000
EXACT = {"rtol": 0.0, "atol": 1e-9}
LENGTHS = [4_000, 1_000, 2_345, 3_999, 90]  # samples; the last is shorter than a window
REDUCTIONS = ["planes", "frames", "pyramid"]
NO_AUGMENTATION = SpecAugment(frequency_masks=0, time_masks=0)


def small_encoder(reduction: str = "planes", **settings) -> FilterbankBiLSTM:
    options = {"bands": 8, "hidden_dim": 4, "reduction": reduction} | settings
    return FilterbankBiLSTM(AudioSpec(RATE), **options).eval()


def encode_packed(
    encoder: FilterbankBiLSTM, values: Tensor, lengths: Tensor
) -> tuple[Tensor, Tensor]:
    """Run the encoder's layers as bidirectional ``nn.LSTM`` over packed sequences."""
    values, lengths = encoder.reduction(values, lengths)
    final = values
    directions = zip(encoder.forwards, encoder.backwards, strict=True)
    for layer, (forward_lstm, backward_lstm) in enumerate(directions):
        if layer and layer <= encoder.pyramid_steps:
            values, lengths = concatenate_pairs(values, lengths)
        lstm = nn.LSTM(forward_lstm.input_size, 4, bidirectional=True, batch_first=True)
        reverse = {f"{name}_reverse": weight for name, weight in backward_lstm.state_dict().items()}
        lstm.load_state_dict(dict(forward_lstm.state_dict()) | reverse)
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
def test_encoding_equals_bidirectional_lstms_over_packed_sequences(
    reduction, projection_dim, noise_batch
):
    encoder = small_encoder(reduction, projection_dim=projection_dim)
    waveforms, lengths = noise_batch(*LENGTHS)
    features, frames = log_mel_filterbank(waveforms, lengths, RATE, 8)
    values, summary = encode_packed(encoder, UtteranceNormalisation(8)(features, frames), frames)
    memory = encoder(waveforms, lengths)
    torch.testing.assert_close(memory.values, values, **EXACT)
    torch.testing.assert_close(memory.summary, summary, **EXACT)
    assert memory.mask.sum(1).tolist() == [-(-count // 4) for count in frames.tolist()]


def assert_row_equals(memory: Memory, batch: Memory, row: int) -> None:
    slots = int(memory.mask[0].sum())
    assert slots == batch.mask[row].sum()
    torch.testing.assert_close(memory.values[0, :slots], batch.values[row, :slots], **EXACT)
    torch.testing.assert_close(memory.summary[0], batch.summary[row], **EXACT)


GROUPED_LENGTHS = [
    90 + 640 * (index % 8) for index in range(32)
]  # long and uneven enough to be split


@pytest.mark.parametrize("lengths", [LENGTHS, GROUPED_LENGTHS], ids=["varied", "grouped"])
@pytest.mark.parametrize("normalisation", ["utterance", "global"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_batch_equals_its_recordings_one_by_one(reduction, normalisation, lengths, noise_batch):
    encoder = small_encoder(reduction, normalisation=normalisation, augmentation=NO_AUGMENTATION)
    waveforms, counts = noise_batch(*lengths)
    encoder.train()(waveforms, counts)  # collects the statistics of global normalisation
    encoder.eval()
    memory = encoder(waveforms, counts)
    for row, length in enumerate(lengths):
        assert_row_equals(encoder(waveforms[[row], :length], counts[[row]]), memory, row)
    assert not memory.values[~memory.mask].any()


@pytest.mark.parametrize("extra", [1, 159, 160, 1_000])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_the_length_and_content_of_padding_change_nothing(reduction, extra, noise_batch):
    encoder = small_encoder(reduction)
    waveforms, lengths = noise_batch(*LENGTHS)
    memory = encoder(waveforms, lengths)
    repadded = functional.pad(waveforms, (0, extra))
    repadded = torch.where(length_mask(lengths, repadded.shape[1]), repadded, torch.tensor(0.3))
    padded = encoder(repadded, lengths)
    slots = memory.values.shape[1]
    torch.testing.assert_close(padded.values[:, :slots], memory.values, **EXACT)
    torch.testing.assert_close(padded.summary, memory.summary, **EXACT)
    assert not padded.mask[:, slots:].any()
    assert not padded.values[:, slots:].any()


@pytest.mark.parametrize("slot_frames", [1, 2, 4, 8])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_the_layout_gives_the_seconds_per_slot(reduction, slot_frames, noise_batch):
    encoder = small_encoder(reduction, slot_frames=slot_frames, layers=4)
    waveforms, lengths = noise_batch(16_000, 90)
    memory = encoder(waveforms, lengths)
    assert memory.layout.kind == "time"
    assert memory.layout.seconds_per_slot == pytest.approx(slot_frames / 100)
    assert memory.mask.sum(1).tolist() == [-(-98 // slot_frames), 1]
    assert hop_seconds(22_050) == 220 / 22_050


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_declared_widths_are_right_and_every_weight_gets_a_gradient(reduction):
    for projection_dim in (0, 6):
        encoder = small_encoder(reduction, projection_dim=projection_dim).train()
        memory = encoder(*encoder.example_inputs())
        assert memory.values.shape[::2] == (2, encoder.out_dim)
        assert memory.summary.shape == (2, encoder.summary_dim)
        (memory.values.sum() + memory.summary.sum()).backward()
        without_gradient = {
            name for name, weight in encoder.named_parameters() if weight.grad is None
        }
        assert without_gradient == set()


def test_dropout_acts_in_training_only_and_spares_final_states(noise_batch):
    encoder = small_encoder(dropout=0.5, augmentation=NO_AUGMENTATION)
    waveforms, lengths = noise_batch(*LENGTHS)
    assert torch.equal(encoder(waveforms, lengths).values, encoder(waveforms, lengths).values)
    trained = encoder.train()(waveforms, lengths)
    assert 0.3 < (trained.values[trained.mask] == 0).double().mean() < 0.7
    assert (trained.summary[0] != 0).all()


@pytest.mark.parametrize("slot_frames", [1, 2, 4, 8])
def test_slots_bounds_the_slots_of_a_recording_from_its_length(slot_frames):
    encoder = FilterbankBiLSTM(AudioSpec(), hidden_dim=4, layers=1, slot_frames=slot_frames)
    for samples in (1, 400, 560, 1_599, 1_600, 1_601, 12_345):
        hundredths = -(-samples // 160)
        memory = encoder(torch.randn(1, samples), torch.tensor([samples]))
        assert memory.mask.sum() <= encoder.slots(hundredths)
        assert samples % 160 or memory.mask.sum() == encoder.slots(hundredths)


def test_bands_that_contain_no_frequency_are_refused():
    FilterbankBiLSTM(AudioSpec(), bands=120, hidden_dim=4, layers=1)
    with pytest.raises(UserError, match="bin each at 16000 Hz, got 300, of which 41 contain"):
        FilterbankBiLSTM(AudioSpec(), bands=300, hidden_dim=4, layers=1)


def test_silence_gives_finite_slots():
    memory = small_encoder()(torch.zeros(1, 8_000), torch.tensor([8_000]))
    assert memory.values.isfinite().all()


def test_every_setting_can_be_given_in_a_recipe():
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
    invalid = Named.model_validate(
        {"name": "filterbank-bilstm", "augmentation": {"time_masks": -1}, "bands": 2}
    )
    mistakes = host.mistakes("encoder", invalid, "encoder")
    assert len(mistakes) == 2


def test_a_pyramid_with_too_few_layers_is_refused():
    with pytest.raises(UserError, match=r"expected more than 2 layers .*, got 2; add layers"):
        small_encoder("pyramid", layers=2)


def test_spec_augment_acts_in_training_only_and_depends_on_torchs_seed(noise_batch):
    encoder = small_encoder()
    waveforms, lengths = noise_batch(8_000, 8_000)
    unmasked = encoder(waveforms, lengths).values
    assert torch.equal(encoder(waveforms, lengths).values, unmasked)
    encoder.train()
    torch.manual_seed(1)
    masked = encoder(waveforms, lengths).values
    assert not torch.equal(masked, unmasked)
    torch.manual_seed(1)
    assert torch.equal(encoder(waveforms, lengths).values, masked)
    unaugmented = small_encoder(augmentation=NO_AUGMENTATION).train()
    unaugmented.load_state_dict(encoder.state_dict())
    assert torch.equal(unaugmented(waveforms, lengths).values, unmasked)
