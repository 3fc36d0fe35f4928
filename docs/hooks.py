"""What mkdocs adds to the pages in this folder: pages that are made from the code.

- a page per kind of component: its record, its protocols, and what `multiattn plugins new` writes;
- the API reference, a page per public module;
- a page per picture of attention, drawn by `pictures.py`;
- the READMEs and other pages of the repository, below `repository/`. A link that leaves this folder
  leads to them, and works in the repository as well.

A page can be read without the site, because it links to sources: to a public module or to the file
that defines a name, for the API reference; to a skeleton's `plugin.py`, for the page of its kind.
"""

from __future__ import annotations

import importlib
import posixpath
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from click.testing import CliRunner
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

import multiattn
from multiattn.cli import app
from multiattn.protocols import optional_protocols, required_protocol
from multiattn.registry.records import KINDS

ROOT = Path(__file__).parents[1]
sys.path.append(str(Path(__file__).parent))
from pictures import pictures  # noqa: E402 (mkdocs does not look beside its hooks)

MIRRORED = (
    *("*.md", "benchmarks/README.md", "data/README.md"),
    *("plugins/README.md", "plugins/*/README.md"),
    *("recipes/*/README.md", "plugins/*/*/recipes/README.md"),
)
SYMBOL = re.compile(r"\[`(\w+)`\]\(([^)\s]+)\.py\)")
LINK = re.compile(r"(?<=\]\()(?!\w+:)([^)#\s]+)(?=[)#])")
API = {
    "multiattn": [name for name in multiattn.__all__ if name != "__version__"],
    "multiattn.protocols": ["Layout", "required_protocol", "optional_protocols"],
    **dict.fromkeys(("multiattn.corpora", "multiattn.layers")),
    "multiattn.testing": ["Case", "cases", "reason_of"],
}

PAGE_OF_SOURCE = {
    "multiattn/__init__.py": "api/multiattn.md",
    "multiattn/testing/__init__.py": "api/testing.md",
    **{f"multiattn/{name}.py": f"api/{name}.md" for name in ("protocols", "corpora", "layers")},
    **{f"multiattn/cli/skeletons/{kind}/plugin.py": f"authors/kinds/{kind}.md" for kind in KINDS},
}


def on_config(config: MkDocsConfig) -> None:
    """Put the pages of the kinds into the navigation."""
    pages = [f"authors/kinds/{kind}.md" for kind in KINDS]
    for section in config.nav or ():
        for title, children in section.items():
            if isinstance(children, list) and "authors/kinds" in children:
                place = children.index("authors/kinds")
                section[title] = [
                    *children[:place],
                    {"Kinds of components": pages},
                    *children[place + 1 :],
                ]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made here and those of the repository."""
    made = {f"authors/kinds/{kind}.md": kind_page(kind) for kind in KINDS}
    made |= {f"api/{module.rpartition('.')[2]}.md": api_page(module) for module in API}
    for uri, lines in made.items():
        files.append(File.generated(config, uri, content="\n".join(lines)))
    for name, page, svg in pictures():
        files.append(File.generated(config, f"pictures/{name}.md", content=page))
        files.append(File.generated(config, f"pictures/{name}.svg", content=svg))
    for path in sorted(path for pattern in MIRRORED for path in ROOT.glob(pattern)):
        if not path.is_relative_to(config.docs_dir):
            files.append(_mirror(config, path.relative_to(ROOT).as_posix()))
    return files


def _mirror(config: MkDocsConfig, path: str) -> File:
    """A file of the repository in the site."""
    return File.generated(
        config,
        f"repository/{path}",
        abs_src_path=str(ROOT / path),
        inclusion=InclusionLevel.NOT_IN_NAV,
    )


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links to sources and to the rest of the repository lead to pages of the site."""
    here = page.file.src_uri
    mirrored = here.startswith("repository/")
    folder = posixpath.dirname(here.removeprefix("repository/") if mirrored else f"docs/{here}")

    def referring(link: re.Match[str]) -> str:
        module = posixpath.normpath(posixpath.join(folder, link[2])).replace("/", ".")
        defined = link[1] in multiattn.__all__ and getattr(multiattn, link[1]).__module__ == module
        return f"[`{link[1]}`][multiattn.{link[1]}]" if defined else link[0]

    def rewritten(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link[1]))
        uri = target.removeprefix("docs/") if target.startswith("docs/") else f"repository/{target}"
        uri = PAGE_OF_SOURCE.get(target, uri)
        if files.get_file_from_path(uri) is None:
            if not (ROOT / target).is_file():
                return link[1]  # mkdocs says what is wrong with it
            files.append(_mirror(config, target))
        return posixpath.relpath(uri, posixpath.dirname(here) or ".")

    return LINK.sub(rewritten, SYMBOL.sub(referring, markdown))


def kind_page(kind: str) -> Iterator[str]:
    """Record, protocols and a complete example of one kind."""
    record, required = KINDS[kind], required_protocol(kind)
    yield f"# {kind.capitalize()}\n"
    yield f"::: multiattn.{record.__name__}\n"
    if record.supplied:
        supplied = ", ".join(f"`{name}`" for name in record.supplied)
        yield f"The engine supplies the positional parameters of the target: {supplied}.\n"
    if required is not None:
        yield "## The protocol\n"
        yield from map(_protocol, [required])
    optional = optional_protocols(kind)
    if optional:
        yield "## Optional protocols\n"
        yield "What each is for: [the table of protocols](../../../plugins/README.md).\n"
        yield from map(_protocol, optional)
    files = new_plugin(kind)
    if files:
        yield "## A complete example\n"
        yield f"`multiattn plugins new example --kind {kind}` writes it, ready to be installed.\n"
        for path, text in files.items():
            language = path.suffix.removeprefix(".").replace("py", "python")
            yield f'````{language} title="{path.as_posix()}"\n{text.rstrip()}\n````\n'


def new_plugin(kind: str) -> dict[Path, str]:
    """The package of a new plugin; empty for a kind that `plugins new` does not make."""
    with tempfile.TemporaryDirectory() as folder:
        CliRunner().invoke(app, ["plugins", "new", "example", "--kind", kind, "--in", folder])
        package = Path(folder, "example", "example")
        paths = sorted(path for path in package.rglob("*") if path.suffix in (".py", ".yaml"))
        texts = {path.relative_to(folder): path.read_text("utf-8") for path in paths}
    return {path: text for path, text in texts.items() if path.name != "__init__.py"}


def _protocol(protocol: type) -> str:
    options = "{heading_level: 3, show_if_no_docstring: true}"
    return f"::: multiattn.protocols.{protocol.__name__}\n    options: {options}\n"


def api_page(module: str) -> Iterator[str]:
    """The public names of a module, without records and protocols, which have pages of kinds."""
    names = API[module] or importlib.import_module(module).__all__
    yield f"::: {module}\n    options: {{heading_level: 1, members: false}}\n"
    if module in ("multiattn", "multiattn.protocols"):
        links = (f"[{kind}](../authors/kinds/{kind}.md)" for kind in KINDS)
        yield f"Records and protocols have pages by kind: {', '.join(links)}.\n"
    for name in names:
        if name.lower() not in KINDS:
            yield f"::: {module}.{name}\n"
