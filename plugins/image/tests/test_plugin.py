"""The table of contents: every record leads somewhere, and reading it costs nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from multiattn.plugins import load_host
from multiattn.records import Record
from multiattn.settings import Named
from multiattn_image import plugin
from multiattn_image.encoder import CNNGrid
from multiattn_image.reader import Image, ImageSpec

README = Path(__file__).parents[1] / "README.md"
RECORDS = list(plugin.multiattn_components())


def test_reading_the_table_of_contents_imports_nothing_heavy():
    script = (
        "import sys; from multiattn_image import plugin; list(plugin.multiattn_components());"
        "assert not {'torch', 'torchvision', 'PIL', 'pycocoevalcap'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_corpora_import_neither_torch_nor_pillow():
    script = (
        "import sys; import multiattn_image.corpora;"
        "assert not {'torch', 'torchvision', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: f"{record.kind}-{record.name}")
def test_every_record_leads_to_a_class_that_the_host_can_find(record: Record):
    target = load_host().target(record.kind, record.name)
    module, _, name = record.target.partition(":")
    assert (target.__module__, target.__name__) == (module, name)


def test_the_issues_components_are_all_there():
    names = {(record.kind, record.name) for record in RECORDS}
    assert names >= {
        *[("encoder", "cnn-grid"), ("reader", "image"), ("renderer", "grid")],
        *[("corpus", name) for name in ("flickr8k", "coco-captions", "captions")],
        *[("metric", name) for name in ("cider", "meteor", "coco-rouge-l")],
        *[("metric", f"coco-bleu-{order}") for order in (1, 2, 3, 4)],
    }


def test_a_recipes_settings_build_reader_and_encoder():
    host = load_host()
    settings = {"name": "image", "size": 64, "augmentation": {"scale": [0.8, 1], "flip": 0}}
    reader = host.build("reader", Named.model_validate(settings))
    assert isinstance(reader, Image)
    assert reader.random
    assert reader.spec == ImageSpec(3, 64)
    encoder = host.build("encoder", Named(name="cnn-grid"), reader.spec)
    assert isinstance(encoder, CNNGrid)


def test_a_wrong_setting_is_a_mistake_before_anything_is_built():
    host = load_host()
    wrong = [
        ("reader", {"name": "image", "sizes": 224}),
        ("reader", {"name": "image", "size": 0}),
        ("reader", {"name": "image", "augmentation": {"scale": [0.5, 2]}}),
        ("reader", {"name": "image", "augmentation": {"rotation": 10}}),
        ("corpus", {"name": "flickr8k", "columns": {}}),
        ("corpus", {"name": "captions", "images": "there"}),
    ]
    for kind, named in wrong:
        (mistake,) = host.mistakes(kind, Named.model_validate(named), "place")
        assert "place" in mistake


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
            for kind, named in (yaml.safe_load(line) or {}).items() if "{name" in line else ():
                settings = {key: value for key, value in named.items() if key != "folder"}
                mistakes += host.mistakes(kind, Named.model_validate(settings), "README.md")
    assert mistakes == []
    assert text.count("corpus: {name:") == 6
