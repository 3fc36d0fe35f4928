"""The components of the plugin and the checks of their settings; see ``test_every_plugin.py``."""

from __future__ import annotations

from multiattn.recipe.settings import TokenizerSettings
from multiattn.registry.host import load_host
from multiattn.registry.schema import Named
from multiattn_text import plugin
from multiattn_text.encoder import Lstm
from multiattn_text.reader import Text, TextSpec

RECORDS = list(plugin.multiattn_components())


def test_it_registers_all_its_components():
    names = {(record.kind, record.name) for record in RECORDS}
    assert names == {
        *[("encoder", "lstm"), ("reader", "text"), ("segmenter", "sentences")],
        *[
            ("corpus", name)
            for name in ("parallel", "table", "multi30k", "multi30k-masked", "aeslc")
        ],
        *[("metric", name) for name in ("bleu", "chrf", "ter", "masked-recall", "keyword-recall")],
        *[("metric", f"rouge-{kind}") for kind in ("1", "2", "l", "lsum")],
    }


def test_reader_and_encoder_are_built_from_recipe_settings():
    host = load_host()
    joint = host.build("reader", Named(name="text", tokenizer="target"))
    own = host.build("reader", Named.model_validate({"name": "text", "tokenizer": {"size": 50}}))
    assert isinstance(joint, Text)
    assert joint.joint
    assert isinstance(own, Text)
    own.fit(["some text"], None)
    assert own._settings == TokenizerSettings(size=50)
    encoder = host.build("encoder", Named(name="lstm", hidden_dim=3, layers=2), TextSpec(9))
    assert isinstance(encoder, Lstm)
    assert encoder.out_dim == 6


def test_wrong_settings_are_reported_before_anything_is_built():
    host = load_host()
    mistakes = [
        *host.mistakes("reader", Named(name="text", tokenizer="tagret"), "sources.en.reader"),
        *host.mistakes("encoder", Named(name="lstm", hiden_dim=3), "sources.en.encoder"),
        *host.mistakes("corpus", Named(name="multi30k", variant="bpe"), "corpus"),
        *host.mistakes("corpus", Named(name="table"), "corpus"),
    ]
    keys = ["tokenizer", "hiden_dim", "variant", "fields"]
    for key in keys:
        assert any(key in str(mistake) for mistake in mistakes)
