"""Texts over the pieces of the target's tokenizer: alignment, copying, features."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from multiattn import EOS, Tokenizer, TokenizerSettings, UserError
from multiattn_huggingface.joint.encoder import BASE, JointTextEncoder
from multiattn_huggingface.joint.reader import JointTextReader
from multiattn_huggingface.sequence_encoder import BiLSTM
from multiattn_huggingface.text_encoder import TextEncoder
from multiattn_huggingface.text_reader import TextReader

SENTENCES = ["A dog runs.", "the  cat", "a dog runs fast the cat runs Ω"]


@pytest.fixture(scope="module")
def target() -> Tokenizer:
    return Tokenizer.train(["a dog runs fast .", "the cat runs."] * 3, TokenizerSettings(size=26))


@pytest.fixture
def reader(saved, target) -> JointTextReader:
    made = JointTextReader(model=str(saved("bert")))
    made.fit([], target)
    return made


def encoder_of(reader, **settings):
    encoder = JointTextEncoder(reader.spec, embedding_dim=5, **settings)
    encoder.start_from(Path())
    return encoder.eval()


def batch(reader, texts=SENTENCES):
    return reader.collate([reader.read(text) for text in texts])


def characters(tokenizer, ids, line):
    """The positions of each piece's characters in the text, found one piece after the other."""
    place, found = 0, []
    for piece in tokenizer.pieces(ids):
        letters = 1 if piece == "<unk>" else len(piece.replace("▁", ""))
        while letters and line[place] == " ":
            place += 1
        found.append(set(range(place, place + letters)))
        place += letters
    return found


@pytest.mark.parametrize("kind", ["bpe", "char"])
def test_a_slot_has_the_models_pieces_that_share_characters_with_it(saved, target, kind):
    if kind == "char":
        target = Tokenizer.train(["a dog runs fast the cat"], TokenizerSettings(kind="char"))
    reader = JointTextReader(model=str(saved("bert")))
    reader.fit([], target)
    for text in SENTENCES:
        line = target.normalised(text)
        encoded = reader._pieces(line, return_offsets_mapping=True)
        rows = reader.read(text)
        ids = [*target.encode(text), EOS]
        assert rows[: len(ids), 1].tolist() == ids
        assert rows[: len(encoded["input_ids"]), 0].tolist() == encoded["input_ids"]
        for row, own in zip(rows.tolist(), characters(target, ids[:-1], line), strict=False):
            wanted = [
                place
                for place, (first, end) in enumerate(encoded["offset_mapping"])
                if own & set(range(first, end))
            ]
            if own:  # the space between words, a piece of the kind char, has none
                assert list(range(row[2], row[3])) == wanted
        assert rows[len(ids) - 1, 2] == rows[len(ids) - 1, 3]  # EOS


@torch.no_grad()
def test_a_slot_is_the_mean_of_the_models_output_beside_the_embedding(saved, reader):
    own = TextReader(model=str(saved("bert")))
    own.fit([], None)
    plain = TextEncoder(own.spec, train_from=0)
    plain.start_from(Path())
    encoder = encoder_of(reader, train_from=0)
    memory = encoder(*batch(reader))
    for row, text in enumerate(SENTENCES):
        line = reader._target.normalised(text)
        states = plain.eval()(*own.collate([own.read(line)])).values[0]
        for slot, (_, symbol, first, end) in enumerate(reader.read(text).tolist()):
            if symbol >= 0:
                wanted = states[first:end].mean(0) if end > first else torch.zeros(16)
                values = memory.values[row, slot]
                torch.testing.assert_close(values[:16], wanted, atol=1e-5, rtol=0)
                assert torch.equal(values[16:], encoder.embedding.weight[symbol])


@torch.no_grad()
def test_what_can_be_copied_are_the_targets_pieces(reader):
    memory = encoder_of(reader)(*batch(reader))
    for row, text in enumerate(SENTENCES):
        ids = reader._target.encode(text)
        known = [symbol if symbol > 3 else -1 for symbol in ids]
        assert memory.symbols[row, : len(known)].tolist() == known
        assert set(memory.symbols[row, len(known) :].tolist()) <= {-1}
        assert memory.mask[row].sum() == len(reader.labels(text)) == reader.measure(text)


@torch.no_grad()
def test_features_are_the_same_in_any_batch_and_hold_every_id(reader):
    encoder = encoder_of(reader, layer="all", bilstm=BiLSTM(hidden_dim=3))
    together, slots = encoder.sequence_features(*batch(reader))
    for row, text in enumerate(SENTENCES):
        alone, (count,) = encoder.sequence_features(*batch(reader, [text]))
        assert torch.equal(together[row, :count], alone[0])
    assert torch.equal(
        encoder.forward_sequence(together, slots).values, encoder(*batch(reader)).values
    )
    ids = torch.tensor([0, 5, BASE - 1, BASE, 3 * BASE + 17, 500_000])
    digits = torch.stack([ids // BASE, ids % BASE]).half().long()
    assert torch.equal(digits[0] * BASE + digits[1], ids)


def test_a_target_of_bytes_or_words_is_refused(saved):
    for kind in ("byte", "word"):
        target = Tokenizer.train(["a dog"], TokenizerSettings(kind=kind, size=300))
        with pytest.raises(UserError, match=rf"bpe, unigram, char .* got {kind}; change target"):
            JointTextReader(model=str(saved("bert"))).fit([], target)
