"""Texts: ids, labels and memories against the library called directly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers

from multiattn import UserError
from multiattn.prediction.attention_records import label_spans
from multiattn_huggingface.text_encoder import TextEncoder
from multiattn_huggingface.text_reader import TextReader

TEXTS = ("bert", "roberta", "xlm-roberta", "mpnet", "electra", "distilbert", "t5", "mt5")
SENTENCES = ["a dog runs .", "The cat", "a dog runs fast the cat runs"]


def reader_of(folder, **settings):
    reader = TextReader(model=str(folder), **settings)
    reader.fit([], None)
    return reader


def encoder_of(reader, **settings):
    encoder = TextEncoder(reader.spec, **settings)
    assert encoder.start_from(Path()).startswith(reader.spec.model)
    return encoder.eval()


def batch(reader, texts=SENTENCES):
    return reader.collate([reader.read(text) for text in texts])


def library(folder, family):
    if family == "t5":
        return transformers.T5EncoderModel.from_pretrained(folder).eval()
    if family == "mt5":
        return transformers.MT5EncoderModel.from_pretrained(folder).eval()
    return transformers.AutoModel.from_pretrained(folder).eval()


@torch.no_grad()
@pytest.mark.parametrize("family", TEXTS)
def test_slots_are_the_librarys_hidden_states(saved, family):
    folder = saved(family)
    reader, official = reader_of(folder), library(folder, family)
    given = transformers.AutoTokenizer.from_pretrained(folder)(
        SENTENCES, padding=True, return_tensors="pt"
    )
    given.pop("token_type_ids", None)
    wanted = official(**given, output_hidden_states=True)
    for layer in (-1, 0, 2):
        memory = encoder_of(reader, layer=layer, train_from=0)(*batch(reader))
        assert memory.layout.kind == "tokens"
        assert torch.equal(memory.mask, given["attention_mask"].bool())
        hidden = wanted.hidden_states[layer] * memory.mask.unsqueeze(2)
        torch.testing.assert_close(memory.values, hidden, atol=1e-5, rtol=0)
    mean = torch.stack([row[mask].mean(0) for row, mask in zip(hidden, memory.mask, strict=True)])
    torch.testing.assert_close(memory.summary, mean, atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("family", TEXTS)
def test_a_batch_of_texts_equals_each_text_alone(saved, family):
    reader = reader_of(saved(family))
    encoder = encoder_of(reader, layer="all")
    together = encoder(*batch(reader))
    for row, text in enumerate(SENTENCES):
        alone = encoder(*batch(reader, [text]))
        values = together.values[row][together.mask[row]]
        torch.testing.assert_close(values, alone.values[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(together.summary[row], alone.summary[0], atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("family", TEXTS)
def test_the_features_of_a_text_are_the_same_in_any_batch(saved, family):
    reader = reader_of(saved(family))
    encoder = encoder_of(reader, layer="all")
    together, lengths = encoder.sequence_features(*batch(reader))
    assert together.dtype == torch.float16
    for row, text in enumerate(SENTENCES):
        alone, (count,) = encoder.sequence_features(*batch(reader, [text]))
        assert torch.equal(together[row, :count], alone[0])
    memory = encoder.forward_sequence(together, lengths)
    assert torch.equal(memory.values, encoder(*batch(reader)).values)
    exact = encoder_of(reader, layer="all", train_from=0)(*batch(reader))
    torch.testing.assert_close(memory.values, exact.values, atol=2e-3, rtol=1e-3)


@torch.no_grad()
def test_a_weighted_sum_begins_as_the_mean_of_all_layers(saved):
    reader = reader_of(saved("bert"))
    ids, lengths = batch(reader, SENTENCES[:1])
    layers = [encoder_of(reader, layer=layer)(ids, lengths).values for layer in range(4)]
    mixed = encoder_of(reader, layer="all")(ids, lengths).values
    torch.testing.assert_close(mixed, torch.stack(layers).mean(0))


@pytest.mark.parametrize(
    ("train_from", "trained"),
    [(None, set()), (3, {"encoder.layer.2"}), (0, {"embeddings", "encoder.layer.0"})],
)
def test_only_the_layers_from_train_from_on_get_a_gradient(saved, train_from, trained):
    reader = reader_of(saved("bert"))
    encoder = encoder_of(reader, train_from=train_from, projection_dim=4).train()
    encoder(*batch(reader)).values.square().sum().backward()
    learning = {name for name, leaf in encoder.network.named_parameters() if leaf.grad is not None}
    assert {
        part for part in trained if not any(name.startswith(part) for name in learning)
    } == set()
    if train_from is None:
        assert not learning
    elif train_from:
        assert all(name.startswith("encoder.layer.2") for name in learning)
    assert encoder.projection.weight.grad is not None
    assert encoder.network.encoder.layer[0].training == (train_from == 0)
    assert all(leaf.grad is not None for leaf in encoder.parameters() if leaf.requires_grad)


def test_a_frozen_model_is_the_same_after_a_step_of_training(saved):
    reader = reader_of(saved("bert"))
    encoder = encoder_of(reader, projection_dim=4).train()
    before = {name: leaf.clone() for name, leaf in encoder.network.state_dict().items()}
    first, second = encoder(*batch(reader)), encoder(*batch(reader))
    assert torch.equal(first.values, second.values)  # no dropout
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=0.1)
    first.values.sum().backward()
    optimizer.step()
    for name, leaf in encoder.network.state_dict().items():
        assert torch.equal(leaf, before[name])


def test_layers_above_the_one_in_use_are_not_trained(saved):
    encoder = encoder_of(reader_of(saved("bert")), layer=1, train_from=0)
    learning = {name for name, leaf in encoder.network.named_parameters() if leaf.requires_grad}
    assert any(name.startswith("embeddings") for name in learning)
    assert not any(name.startswith(("encoder.layer.1", "encoder.layer.2")) for name in learning)


def test_gradient_checkpointing_changes_no_gradient(saved):
    spec, given = reader_of(saved("bert")).spec, batch(reader_of(saved("bert")))
    settled = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    spec = replace(spec, config=json.dumps({**json.loads(spec.config), **settled}))
    gradients = []
    for checkpointing in (False, True):
        encoder = TextEncoder(spec, train_from=0, gradient_checkpointing=checkpointing).train()
        encoder.start_from(Path())
        assert encoder.network.encoder.layer[0].gradient_checkpointing is checkpointing
        encoder(*given).values.square().sum().backward()
        gradients.append({name: leaf.grad for name, leaf in encoder.named_parameters()})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name])


def test_labels_are_the_pieces_and_join_to_the_words_of_the_text(saved):
    reader = reader_of(saved("bert"))
    labels = reader.labels("A dog runs  fast.")
    assert labels == ["<cls>", "▁A", "▁dog", "▁run", "s", "▁fast", ".", "<sep>"]
    assert len(labels) == reader.measure("A dog runs  fast.")
    words = [word for word, _, _ in label_spans(labels)]
    assert words == ["<cls>", "A", "dog", "runs", "fast.", "<sep>"]


def test_a_reader_reads_the_same_from_what_it_saved(saved, tmp_path):
    reader = reader_of(saved("bert"))
    reader.save(tmp_path)
    again = TextReader(model="gone")
    again.load(tmp_path, None)
    assert again.read(SENTENCES[0]).tolist() == reader.read(SENTENCES[0]).tolist()
    assert again.spec.config == reader.spec.config


def test_a_model_lies_below_the_data_root(saved):
    folder = saved("bert")
    reader = TextReader(model=folder.name)
    reader.start_from(folder.parent)
    reader.fit([], None)
    assert TextEncoder(reader.spec).start_from(folder.parent) == f"bert from {folder}"


def test_a_text_beyond_the_models_positions_is_refused_or_cut(saved):
    folder, text = saved("bert"), "a dog " * 12
    with pytest.raises(UserError, match=r"at most 24 pieces.*got one of 26.*max_tokens"):
        reader_of(folder).measure(text)
    cut = reader_of(folder, max_tokens=24).read(text)
    assert len(cut) == 24
    assert cut[-1] == 3  # the special token at the end stays
    with pytest.raises(UserError, match=r"max_tokens of at most 24.*got 25"):
        reader_of(folder, max_tokens=25)
    with pytest.raises(UserError, match="at most 23 pieces"):  # positions begin after padding's
        reader_of(saved("roberta")).measure(text)


def test_layers_that_a_model_does_not_have_are_refused(saved):
    spec = reader_of(saved("bert")).spec
    with pytest.raises(UserError, match=r"from 0 to 3.*got 4"):
        TextEncoder(spec, layer=4)
    with pytest.raises(UserError, match="from 0 to 1, the last in use, got 2"):
        TextEncoder(spec, layer=1, train_from=2)


def test_a_tokenizer_without_padding_is_refused(saved, save_tokenizer, tmp_path):
    (tmp_path / "config.json").write_bytes((saved("bert") / "config.json").read_bytes())
    save_tokenizer(tmp_path)
    with pytest.raises(UserError, match=r"expected a tokenizer with a padding token.*got none"):
        reader_of(tmp_path)


@torch.no_grad()
def test_minilm_gives_the_librarys_states(real_corpus):
    folder = real_corpus("weights/all-MiniLM-L6-v2")
    reader = reader_of(folder)
    encoder = encoder_of(reader, train_from=0)
    texts = ["The girl who bought the red apple opens the window.", "Yes."]
    given = transformers.AutoTokenizer.from_pretrained(folder)(
        texts, padding=True, return_tensors="pt"
    )
    wanted = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()(**given)
    memory = encoder(*batch(reader, texts))
    mask = given["attention_mask"].unsqueeze(2)
    torch.testing.assert_close(memory.values, wanted.last_hidden_state * mask, atol=1e-5, rtol=0)
    assert "".join(reader.labels(texts[0])[1:-1]).replace("▁", " ").strip() == texts[0]
