"""The table of contents: every record leads somewhere, and reading it costs nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from multiattn.plugins import load_host
from multiattn.records import Record
from multiattn.settings import Named, TokenizerSettings
from multiattn_text import plugin
from multiattn_text.encoder import Lstm
from multiattn_text.reader import Text, TextSpec

README = Path(__file__).parents[1] / "README.md"
RECORDS = list(plugin.multiattn_components())


def test_reading_the_table_of_contents_imports_no_torch():
    script = (
        "import sys; from multiattn_text import plugin; list(plugin.multiattn_components());"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: f"{record.kind}-{record.name}")
def test_every_record_leads_to_a_class_that_the_host_can_find(record: Record):
    target = load_host().target(record.kind, record.name)
    module, _, name = record.target.partition(":")
    assert (target.__module__, target.__name__) == (module, name)


def test_the_issues_components_are_all_there():
    names = {(record.kind, record.name) for record in RECORDS}
    assert names == {
        *[("encoder", "lstm"), ("reader", "text")],
        *[
            ("corpus", name)
            for name in ("parallel", "table", "multi30k", "multi30k-masked", "aeslc")
        ],
        *[
            ("metric", name)
            for name in ("bleu", "chrf", "ter", "masked-recall", "rouge-1", "rouge-2", "rouge-l")
        ],
    }


def test_a_recipes_settings_build_reader_and_encoder():
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


def test_a_wrong_setting_is_a_mistake_before_anything_is_built():
    host = load_host()
    mistakes = [
        *host.mistakes("reader", Named(name="text", tokenizer="tagret"), "sources.en.reader"),
        *host.mistakes("encoder", Named(name="lstm", hiden_dim=3), "sources.en.encoder"),
        *host.mistakes("corpus", Named(name="multi30k", variant="bpe"), "corpus"),
        *host.mistakes("corpus", Named(name="table"), "corpus"),
    ]
    places = ["tokenizer", "hiden_dim", "variant", "fields"]
    for place in places:
        assert any(place in mistake for mistake in mistakes)


def test_the_readme_lists_every_component():
    lines = README.read_text(encoding="utf-8").splitlines()
    rows = [line.split("|") for line in lines if line.startswith("| ") and "`" in line]
    listed = {(row[1].strip(), name) for row in rows for name in row[2].split("`")[1::2]}
    assert listed == {(record.kind, record.name) for record in RECORDS}


def test_the_readmes_settings_are_settings():
    host, mistakes = load_host(), []
    text = README.read_text(encoding="utf-8")
    for block in (part.partition("```")[0] for part in text.split("```yaml")[1:]):
        for line in block.splitlines():
            for kind, named in (yaml.safe_load(line) or {}).items() if "{" in line else ():
                settings = {key: value for key, value in named.items() if key != "folder"}
                mistakes += host.mistakes(kind, Named.model_validate(settings), "README.md")
    assert mistakes == []
    assert text.count("corpus: {name:") == 5
