"""The documentation site: it builds without a warning, and the code of its pages runs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from click.testing import CliRunner

import multiattn
from multiattn import corpora, layers, protocols
from multiattn.cli import app
from multiattn.recipe.loading import load_recipe
from multiattn.registry.host import Host, load_host
from multiattn.registry.records import KINDS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BLOCK = re.compile(r'^```(\w+)(?: title="(.*?)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
VERSION = re.compile(r"\d+(?:\.\d+)+")

PAGES = sorted(DOCS.rglob("*.md"))
WITH_CODE = [
    pytest.param(page, id=page.relative_to(DOCS).as_posix())
    for page in PAGES
    if re.search("^```(python|console|yaml title)", page.read_text("utf-8"), re.MULTILINE)
]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    pytest.importorskip("mkdocs", reason="the site is built with it")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "MULTIATTN_PLUGINS": "multiattn"}
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def documented(site) -> set[str]:
    """The names that the site has an entry for."""
    compressed = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    lines = zlib.decompress(compressed).decode("utf-8").splitlines()
    return {line.split(" ", 1)[0] for line in lines}


def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(site):
    loaded = re.compile(r'<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)="(https?:|//)')
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(PAGES)
    assert [page.name for page in pages if loaded.search(page.read_text("utf-8"))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_the_links_of_a_page_lead_to_files_without_the_site(page):
    text = re.sub("^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\((?!\w+:)([^)#\s]+)[)#]", text)
    assert [link for link in links if not (page.parent / link).is_file()] == []
    assert "`][" not in text


def test_links_to_sources_lead_to_the_reference_on_the_site(site):
    guide = (site / "authors" / "index.html").read_text("utf-8")
    for page in ("api/multiattn.html#multiattn.Example", "api/layers.html"):
        assert f'href="../{page}"' in guide
    assert 'href="kinds/encoder.html"' in guide
    assert ".py" not in set(re.findall(r'href="[^"]*(\.\w+)"', guide))


def test_the_reference_has_every_public_name(documented):
    modules = {multiattn: "multiattn"} | {
        module: module.__name__ for module in (protocols, corpora, layers)
    }
    public = {f"{path}.{name}" for module, path in modules.items() for name in module.__all__}
    assert public - documented == {"multiattn.__version__"}
    assert "multiattn.testing.cases" in documented


def test_every_kind_of_component_has_a_page_with_record_protocol_and_example(site, tmp_path):
    for kind, record in KINDS.items():
        page = (site / "authors" / "kinds" / f"{kind}.html").read_text("utf-8")
        assert f'id="multiattn.{record.__name__}"' in page
        required = protocols.required_protocol(kind)
        assert required is None or f'id="multiattn.protocols.{required.__name__}"' in page
        made = CliRunner().invoke(
            app, ["plugins", "new", f"a-{kind}", "--kind", kind, "--in", str(tmp_path)]
        )
        assert made.exit_code != 0 or "A complete example" in page


def test_every_metric_has_a_page_that_the_overview_links():
    pytest.importorskip("multiattn_text")
    overview = (DOCS / "evaluation" / "index.md").read_text("utf-8")
    linked = set(re.findall(r"\[`(.*?)`\]\(([\w-]+)\.md\)", overview))
    listed = {name for names, _ in linked for name in names.split("` `")}
    registered = {component.record.name for component in load_host().records("metric")}
    assert registered | {"perplexity"} == listed
    for _, page in linked:
        text = (DOCS / "evaluation" / f"{page}.md").read_text("utf-8")
        assert "**Scale**" in text
        assert "## Traps" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_a_message_that_a_page_explains_is_one_that_the_program_has(page):
    sources = [*ROOT.glob("multiattn/**/*.py"), *ROOT.glob("plugins/*/multiattn_*/**/*.py")]
    joined = re.compile(r'["\']\s*\n\s*[rf]*["\']')
    texts = [joined.sub("", source.read_text("utf-8")) for source in sources]
    _, *tables = page.read_text("utf-8").split("\n| message or symptom |")
    for row in "".join(table.partition("\n\n")[0] for table in tables).splitlines():
        for message in re.findall(r"`([^`]+)`", row.split("|")[1] if row.startswith("| ") else ""):
            assert any(message in text for text in texts), message


@pytest.mark.parametrize("page", WITH_CODE)
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    """Blocks with a title are files, of Python the others are run, of a session each command."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": page.stem}
    text = page.read_text("utf-8")
    for block in BLOCK.finditer(text):
        language, title, code = block.groups()
        if title:
            (tmp_path / title).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / title).write_text(code, "utf-8")
            if language == "yaml":
                assert load_recipe(tmp_path / title, host=full_host()).summary
        elif language == "python":
            above = text.count("\n", 0, block.start()) + 1
            exec(compile("\n" * above + code, str(page), "exec"), names)
        elif language == "console":
            full_host()
            check_session(code)


def full_host() -> Host:
    """The host with the plugins of which the pages show recipes and scores."""
    for plugin in ("multiattn_text", "multiattn_audio", "multiattn_image"):
        pytest.importorskip(plugin, reason="the pages name its components")
    return load_host()


def check_session(text: str) -> None:
    """Run `$ multiattn …` and compare what it prints with the lines below."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        program, *words = shlex.split(command)
        assert program == "multiattn"
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        assert printed(result.output) == printed(expected)


def printed(text: str) -> list[str]:
    """Lines that are not blank, signatures without the versions of libraries."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return [VERSION.sub("", line) if "|" in line else line for line in lines]
