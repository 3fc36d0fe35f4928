"""Speech: memories against the library called directly, and batches against recordings alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from multiattn import UserError, load_host
from multiattn.protocols import SequenceFeatureEncoder
from multiattn.registry.schema import Named
from multiattn_huggingface.media_readers import SpeechReader
from multiattn_huggingface.speech_encoder import SpeechBiLSTM, SpeechEncoder

pytest.importorskip("multiattn_audio")
soundfile = pytest.importorskip("soundfile")

SPEECH = ("whisper", "wav2vec2", "wav2vec2-stable", "hubert")
LENGTHS = (12_000, 5_123, 9_001)
RATE = 16_000


def waves(lengths=LENGTHS):
    generator = np.random.default_rng(0)
    loud = (0.1, 0.3, 0.02)
    return [
        (size * generator.standard_normal(length) + 0.01).astype(np.float32)
        for length, size in zip(lengths, loud, strict=False)
    ]


def reader_of(folder, **settings):
    reader = SpeechReader(model=str(folder), **settings)
    reader.fit([], None)
    return reader


def encoder_of(folder, **settings):
    encoder = SpeechEncoder(reader_of(folder).spec, **settings)
    encoder.start_from(Path())
    return encoder.eval()


def batch(sounds):
    lengths = torch.tensor([len(sound) for sound in sounds])
    items = [torch.from_numpy(sound) for sound in sounds]
    return torch.nn.utils.rnn.pad_sequence(items, batch_first=True), lengths


def official(folder, family, sounds):
    """The library's hidden states of each recording, cut to its own slots.

    Whisper's features are padded to its full length; models with a group norm take one recording
    at a time, the others a batch with an attention mask.
    """
    processor = json.loads((folder / "preprocessor_config.json").read_text())
    if family == "whisper":
        extractor = transformers.WhisperFeatureExtractor(**processor)
        given = extractor(sounds, sampling_rate=RATE, return_tensors="pt")
        model = transformers.WhisperModel.from_pretrained(folder).encoder.eval()
        states = model(given.input_features, output_hidden_states=True).hidden_states
        counts = [-(-len(sound) // 320) for sound in sounds]
        return [[state[row, :count] for state in states] for row, count in enumerate(counts)]
    model = transformers.AutoModel.from_pretrained(folder).eval()
    masked = family == "wav2vec2-stable"
    extractor = transformers.Wav2Vec2FeatureExtractor(**processor, return_attention_mask=masked)
    groups = [sounds] if masked else [[sound] for sound in sounds]
    found = []
    for group in groups:
        given = extractor(group, sampling_rate=RATE, padding=True, return_tensors="pt")
        output = model(**given, output_hidden_states=True)
        states = [*output.hidden_states[:-1], output.last_hidden_state]
        for row, sound in enumerate(group):
            count = int(model._get_feat_extract_output_lengths(torch.tensor(len(sound))))
            found.append([state[row, :count] for state in states])
    return found


@torch.no_grad()
@pytest.mark.parametrize("family", SPEECH)
def test_slots_are_the_librarys_hidden_states(saved, family):
    folder, sounds = saved(family), waves()
    wanted = official(folder, family, sounds)
    for layer in (-1, 0, 2):
        memory = encoder_of(folder, layer=layer, train_from=0)(*batch(sounds))
        assert memory.layout.kind == "time"
        for row, states in enumerate(wanted):
            values = memory.values[row][memory.mask[row]]
            torch.testing.assert_close(values, states[layer], atol=1e-5, rtol=0)
            assert not memory.values[row][~memory.mask[row]].any()
            torch.testing.assert_close(memory.summary[row], values.mean(0), atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("family", SPEECH)
def test_a_batch_of_recordings_equals_each_alone(saved, family):
    encoder, sounds = encoder_of(saved(family), layer="all"), waves()
    together = encoder(*batch(sounds))
    for row, sound in enumerate(sounds):
        alone = encoder(*batch([sound]))
        values = together.values[row][together.mask[row]]
        torch.testing.assert_close(values, alone.values[0], atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("family", SPEECH)
def test_the_features_of_a_recording_are_the_same_in_any_batch(saved, family):
    encoder, sounds = encoder_of(saved(family), layer="all"), waves()
    assert isinstance(encoder, SequenceFeatureEncoder)
    assert encoder.frozen
    together, slots = encoder.sequence_features(*batch(sounds))
    assert together.dtype == torch.float16
    for row, sound in enumerate(sounds):
        alone, (count,) = encoder.sequence_features(*batch([sound]))
        assert torch.equal(together[row, :count], alone[0])
        assert not together[row, count:].any()
    memory = encoder.forward_sequence(together, slots)
    assert torch.equal(memory.values, encoder(*batch(sounds)).values)
    assert not encoder_of(saved(family), train_from=0).frozen


def test_lstm_layers_above_the_model_learn_from_features_and_join_neighbouring_slots(saved):
    above = SpeechBiLSTM(hidden_dim=6, layers=2, joined=2, masks=2, mask_share=0.5)
    encoder = encoder_of(saved("whisper"), layer="all", bilstm=above)
    plain, sounds = encoder_of(saved("whisper")), waves()
    together = encoder(*batch(sounds))
    assert together.values.size(2) == encoder.out_dim == encoder.summary_dim == 12
    assert together.layout.seconds_per_slot == 2 * plain(*batch(sounds)).layout.seconds_per_slot
    slots = plain(*batch(sounds)).mask.sum(1).tolist()
    assert together.mask.sum(1).tolist() == [-(-count // 2) for count in slots]
    assert encoder.slots(29) == -(-plain.slots(29) // 2)
    for row, sound in enumerate(sounds):
        alone = encoder(*batch([sound]))
        values = together.values[row][together.mask[row]]
        torch.testing.assert_close(values, alone.values[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(together.summary[row], alone.summary[0], atol=1e-5, rtol=0)
    features = encoder.sequence_features(*batch(sounds))
    first, second = (encoder.train().forward_sequence(*features) for _ in range(2))
    assert not torch.equal(first.values, second.values)  # other spans are masked
    first.values.square().sum().backward()
    learning = {name for name, leaf in encoder.named_parameters() if leaf.requires_grad}
    assert {name for name, leaf in encoder.named_parameters() if leaf.grad is not None} == learning
    assert {name.split(".")[0] for name in learning} == {"bilstm", "layer_weights"}


@torch.no_grad()
@pytest.mark.parametrize(("family", "seconds_per_slot"), [("whisper", 0.02), ("hubert", 0.00125)])
def test_slots_cover_the_recording_and_no_more(saved, family, seconds_per_slot):
    encoder, sounds = encoder_of(saved(family)), waves((16_000, 4_800))
    memory = encoder(*batch(sounds))
    assert memory.layout.seconds_per_slot == seconds_per_slot
    slots = memory.mask.sum(1).tolist()
    assert slots == [encoder.slots(100), encoder.slots(30)]
    for sound, count in zip(sounds, slots, strict=True):
        assert count * seconds_per_slot == pytest.approx(len(sound) / RATE, abs=0.002)


@torch.no_grad()
@pytest.mark.parametrize("family", SPEECH)
def test_a_recording_shorter_than_a_slot_has_one(saved, family):
    memory = encoder_of(saved(family))(*batch(waves((7,))))
    assert memory.mask.tolist() == [[True]]
    assert memory.values.isfinite().all()


@pytest.mark.parametrize("family", SPEECH)
def test_every_part_that_is_trained_gets_a_gradient(saved, family):
    encoder = encoder_of(saved(family), train_from=0, layer="all").train()
    encoder(*batch(waves())).values.square().sum().backward()
    learning = {name for name, leaf in encoder.named_parameters() if leaf.requires_grad}
    assert {name for name, leaf in encoder.named_parameters() if leaf.grad is not None} == learning
    assert any("conv" in name for name in learning)
    frozen = encoder_of(saved(family))
    assert not any(leaf.requires_grad for leaf in frozen.parameters())


def test_the_norm_after_the_layers_is_trained_with_the_last_layer(saved):
    for family, norm in (("whisper", "layer_norm."), ("wav2vec2-stable", "encoder.layer_norm.")):
        network = encoder_of(saved(family), train_from=3).network
        learning = {name for name, leaf in network.named_parameters() if leaf.requires_grad}
        assert any(name.startswith(norm) for name in learning)
        assert not any("conv" in name for name in learning)


def write(path, seconds, rate=RATE):
    moments = np.arange(int(seconds * rate)) / rate
    tone = 0.2 * np.sin(2 * np.pi * 220 * moments) * np.sin(9 * moments)
    soundfile.write(path, tone, rate)
    return str(path)


@torch.no_grad()
def test_a_file_is_read_at_the_models_rate_and_encoded(saved, tmp_path):
    folder = saved("whisper")
    reader, path = reader_of(folder), write(tmp_path / "a.wav", 0.5, 48_000)
    assert reader.measure(path) == 50
    inputs, lengths = reader.collate([reader.read(path)])
    assert lengths.tolist() == [8_000]
    assert not reader.random
    assert bytes in reader.accepts
    assert encoder_of(folder)(inputs, lengths).mask.sum() == 25
    (tmp_path / "kept").mkdir()
    reader.save(tmp_path / "kept")
    again = SpeechReader(model="gone")
    again.load(tmp_path / "kept", None)
    assert again.read(path).tolist() == reader.read(path).tolist()
    assert again.spec.config == reader.spec.config


def test_a_recording_that_is_too_long_for_whisper_is_refused(saved, tmp_path):
    folder = saved("whisper")  # of 50 slots: one second
    assert reader_of(folder).measure(write(tmp_path / "a.wav", 1.0)) == 100
    with pytest.raises(UserError, match=r"at most 1 s.*got one of 1.2 s; cut it at its pauses"):
        reader_of(folder).measure(write(tmp_path / "b.wav", 1.2))
    with pytest.raises(UserError, match="at most 1 s"):
        encoder_of(folder)(*batch(waves((16_001,))))


def test_another_reader_reads_at_the_models_rate_or_is_refused(saved):
    def built(**settings):
        named = {"name": "hf-speech", "model": str(saved("whisper")), "of": settings}
        reader = load_host().build("reader", Named.model_validate(named))
        reader.fit([], None)
        return reader

    faster = built(name="audio", speed_perturbation=[0.9, 1.1])
    assert faster.random
    assert faster.spec.sample_rate_hz == RATE
    with pytest.raises(UserError, match=r"waveforms at 16000 Hz.*got 8000 Hz; set of.sample_rate"):
        _ = built(name="audio", sample_rate_hz=8_000).spec
    with pytest.raises(UserError, match="got none"):
        _ = built(name="image").spec


@torch.no_grad()
def test_whisper_tiny_gives_the_librarys_states(real_corpus):
    folder = real_corpus("weights/whisper-tiny.en-encoder")
    sounds = waves((40_000, 16_000))
    memory = encoder_of(folder, train_from=0)(*batch(sounds))
    assert memory.mask.sum(1).tolist() == [125, 50]
    extractor = transformers.WhisperFeatureExtractor.from_pretrained(folder)
    given = extractor(sounds, sampling_rate=RATE, return_tensors="pt").input_features
    model = transformers.WhisperModel.from_pretrained(folder, dtype=torch.float32).encoder.eval()
    wanted = model(given).last_hidden_state
    for row, count in enumerate((125, 50)):
        values = memory.values[row, :count]
        torch.testing.assert_close(values, wanted[row, :count], atol=1e-5, rtol=0)
