"""The tables of contents: every record leads somewhere, and every README is true of its plugin."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from multiattn import Recipe, Record
from multiattn.registry.host import load_host
from multiattn.registry.schema import Named

FOLDERS = Path(__file__).parents[1] / "plugins"
PLUGINS = sorted(
    path.parent.name
    for path in FOLDERS.glob("*/pyproject.toml")
    if importlib.util.find_spec(f"multiattn_{path.parent.name}") is not None
)
HEAVY = (
    "{'torch', 'torchaudio', 'torchvision', 'librosa', 'soundfile', 'PIL', 'pycocoevalcap', "
    "'transformers', 'huggingface_hub'}"
)
CORPORA_IN_README = {"text": 5, "audio": 6, "image": 8, "huggingface": 0, "sensors": 1}


def records(plugin: str) -> list[Record]:
    module = importlib.import_module(f"multiattn_{plugin}.plugin")
    return list(module.multiattn_components())


RECORDS = [
    pytest.param(record, id=f"{plugin}-{record.kind}-{record.name}")
    for plugin in PLUGINS
    for record in records(plugin)
    if not isinstance(record, Recipe)  # its target is a folder, which `multiattn check` looks into
]


def readme(plugin: str) -> str:
    return (FOLDERS / plugin / "README.md").read_text(encoding="utf-8")


def components_in(block: str) -> Iterator[tuple[str, Named]]:
    """What the lines of a block of YAML name, without the corpora's folders."""
    for line in block.splitlines():
        for kind, named in (yaml.safe_load(line) or {}).items() if "{name" in line else ():
            settings = {key: value for key, value in named.items() if key != "folder"}
            yield kind, Named.model_validate(settings)


@pytest.mark.parametrize("plugin", PLUGINS)
def test_reading_the_table_of_contents_imports_nothing_heavy(plugin):
    script = (
        f"import sys; from multiattn_{plugin} import plugin; list(plugin.multiattn_components());"
        f"assert not {HEAVY} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("record", RECORDS)
def test_every_record_leads_to_a_class_that_the_host_can_find(record):
    target = load_host().target(record.kind, record.name)
    module, _, name = record.target.partition(":")
    assert (target.__module__, target.__name__) == (module, name)


@pytest.mark.parametrize("plugin", PLUGINS)
def test_the_readme_lists_every_component(plugin):
    rows = [line.split("|") for line in readme(plugin).splitlines() if line.startswith("| ")]
    listed = {(row[1].strip(), name) for row in rows for name in row[2].split("`")[1::2]}
    assert listed == {(record.kind, record.name) for record in records(plugin)}


@pytest.mark.parametrize("plugin", PLUGINS)
def test_the_readmes_settings_are_settings(plugin):
    host, text = load_host(), readme(plugin)
    blocks = [part.partition("```")[0] for part in text.split("```yaml")[1:]]
    named = [found for block in blocks for found in components_in(block)]
    assert [mistake for kind, each in named for mistake in host.mistakes(kind, each, kind)] == []
    assert text.count("corpus: {name:") == CORPORA_IN_README[plugin]
