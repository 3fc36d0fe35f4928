"""Recipes: found by name or path, checked as a whole, every mistake reported at its place."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from multiattn.errors import UserError
from multiattn.recipe import yamlfile
from multiattn.recipe.loading import (
    differing_keys,
    dump_recipe,
    find_recipe,
    load_recipe,
    read_summary,
    recipe_files,
    shipped,
)
from multiattn.registry.host import load_host

GOOD = """\
summary: letters to letters
corpus: {name: lines, folder: letters, suffix: .tsv}
sources:
  english:
    field: en
    reader: {name: letters, tokenizer: {kind: char, size: 30}}
    encoder: {name: bag, dim: 16}
target: {field: no}
decoder:
  name: lstm
  attention:
    name: multi-head
    of: {name: additive, dim: 8}
objectives:
  - cross-entropy
  - {name: coverage, weight: 0.5}
training:
  learning_rate: 1e-3
  precision: no
  max_source: {english: 40}
search:
  scorers: [{name: length, weight: 2}]
evaluation:
  metrics: [exact]
"""


@pytest.fixture
def host(install):
    install("parts", core=True)
    host = load_host()
    assert not host.broken
    return host


@pytest.fixture
def write(tmp_path):
    def write_text(text: str, name: str = "recipe.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    return write_text


def mistakes_of(path, host, *overrides):
    with pytest.raises(UserError) as caught:
        load_recipe(path, overrides, host)
    text = str(caught.value)
    lines = text.split("\n  ")
    return lines[1:] if len(lines) > 1 else lines


def test_a_good_recipe_loads(host, write):
    settings = load_recipe(write(GOOD), host=host)
    assert settings.decoder.settings["attention"]["of"] == {"name": "additive", "dim": 8}
    assert settings.objectives[1].weight == 0.5


def test_plain_words_mean_what_they_say(host, write):
    settings = load_recipe(write(GOOD), host=host)
    assert settings.target.field == "no"
    assert settings.training.precision == "no"
    assert settings.training.learning_rate == 0.001


def test_three_mistakes_are_reported_as_three(host, write):
    wrong = {"coverage": "covrage", "learning_rate: 1e-3": "learning_rate: fast", "exact": "exat"}
    text = GOOD
    for right, written in wrong.items():
        text = text.replace(right, written)
    path = write(text)
    assert mistakes_of(path, host) == [
        f"{path}:18: training.learning_rate: expected a valid number, unable to parse string as a "
        "number, got 'fast'",
        f"{path}:16: objectives.1: expected the name of a known objective, got 'covrage'; did you "
        "mean coverage?",
        f"{path}:24: evaluation.metrics.0: expected the name of a known metric, got 'exat'; did "
        "you mean exact?",
    ]


def test_settings_of_components_are_checked_once_all_other_keys_are_right(host, write):
    text = GOOD.replace("dim: 16", "dmi: 16").replace("name: additive", "name: aditive")
    (line,) = mistakes_of(write(text), host, "trainin.steps=3")
    assert line.startswith("--set trainin: ")
    path = write(text)
    assert mistakes_of(path, host) == [
        f"{path}:7: sources.english.encoder.dmi: expected a setting of encoder 'bag', got 'dmi'; "
        "did you mean dim?",
        f"{path}:13: decoder.attention.of: expected the name of a known attention, got 'aditive'; "
        "did you mean additive?",
    ]


@pytest.mark.parametrize(
    ("place", "written", "mistaken", "expected"),
    [
        ("training.stepz", "training:\n", "training:\n  stepz: 5\n", "did you mean steps?"),
        ("trainin", "training:", "trainin:", "did you mean training?"),
        ("sources.english.feld", "field: en", "feld: en", "did you mean field?"),
        (
            "sources.english.reader.tokenizer.sise",
            "size: 30",
            "sise: 30",
            "did you mean size?",
        ),
        (
            "sources.english.reader.tokenizer",
            "{kind: char, size: 30}",
            "shared",
            "or 'target', got 'shared'",
        ),
        ("sources.english.reader.tokenizer.kind", "char", "chars", "expected 'char', 'word'"),
        ("corpus", "name: lines", "name: linez", "did you mean lines?"),
        ("corpus.sufix", "suffix:", "sufix:", "did you mean suffix?"),
        ("corpus.name", "name: lines, ", "", "expected a value, got none"),
        ("evaluation.metrics.0", "[exact]", "[exakt]", "did you mean exact?"),
        ("search.scorers.0", "name: length", "name: lenght", "did you mean length?"),
        ("objectives.1", "name: coverage", "name: converage", "did you mean coverage?"),
        ("objectives.0", "cross-entropy", "7", "got 7"),
        ("sources.english.encoder", "name: bag, dim: 16", "name: eye", "consumes image"),
        ("training.max_source.english", "english: 40", "english: 0", "greater than 0, got 0"),
        ("target.field", "target: {field: no}", "target: {field: no, field: no}", "once"),
    ],
)
def test_a_mistake_names_its_place_and_what_was_expected(
    host, write, place, written, mistaken, expected
):
    assert written in GOOD
    lines = mistakes_of(write(GOOD.replace(written, mistaken)), host)
    assert any(f" {place}: expected" in line and expected in line for line in lines), lines


def test_a_missing_part_is_reported_as_missing(host, write):
    (line,) = mistakes_of(write(GOOD.replace("target: {field: no}\n", "")), host)
    assert line.endswith(":1: target: expected a value, got none; give one")


def test_overrides_change_mappings_lists_and_named_components(host, write):
    overrides = [
        "training.steps=5",
        "training.adam_betas=[0.8, 0.9]",
        "objectives.0.label_smoothing=0.1",
        "objectives.2=doubly-stochastic",
        "decoder.attention=dot",
        "sources.english.encoder.dim=3",
        "seed=2",
        "evaluation.metrics.0.lowercase=true",
    ]
    settings = load_recipe(write(GOOD), overrides, host)
    assert settings.training.steps == 5
    assert settings.training.adam_betas == (0.8, 0.9)
    assert settings.objectives[0].settings == {"label_smoothing": 0.1}
    assert settings.objectives[2].name == "doubly-stochastic"
    assert settings.decoder.settings == {"attention": "dot"}
    assert settings.sources["english"].encoder.settings == {"dim": 3}
    assert settings.seed == 2
    assert settings.evaluation.metrics[0].settings == {"lowercase": True}


def test_overrides_are_checked_like_the_file_and_said_to_be_overrides(host, write):
    lines = mistakes_of(
        write(GOOD),
        host,
        "training.stepz=5",
        "search.scorers.0.name=lenth",
        "seed",
        "seed.deep=1",
        "objectives.9.weight=1",
        "search.beam=[",
    )
    assert [line.split(": ")[0] for line in lines] == [
        "--set seed",
        "--set objectives.9.weight=1",
        "--set search.beam=[",
        "--set seed",
        "--set training.stepz",
        "--set search.scorers.0",
    ]


@pytest.mark.parametrize(
    "override",
    ["trainig=null", "training.stps=null", "sources.english.encoder.nosuch=null", "metrics=null"],
)
def test_null_does_not_hide_a_key_that_there_is_not(host, write, override):
    text = GOOD
    if "english" in override:  # whatever the source is called there
        source = next(iter(yaml.safe_load(GOOD)["sources"]))
        override = override.replace("english", source)
    with pytest.raises(UserError, match=r"expected a (known key|setting of encoder)"):
        load_recipe(write(text), [override], host)


def test_null_takes_back_what_the_file_says_unless_it_is_a_value_of_the_key(host, write):
    taken_back = ["corpus.suffix", "objectives.1.weight", "training.learning_rate", "seed"]
    text = GOOD.replace("  learning_rate", "  clip_norm: 3\n  learning_rate")
    overrides = [f"{key}=null" for key in [*taken_back, "training.clip_norm"]]
    settings = load_recipe(write(f"seed: 5\n{text}"), overrides, host)
    assert settings.corpus.settings == {}
    assert settings.objectives[1].weight == 1.0
    assert settings.training.learning_rate == 1e-3
    assert settings.seed == 1
    assert settings.training.clip_norm is None  # null: not clipped
    settings = load_recipe(
        write(GOOD), ["training.precision=null", "training.precision=bf16"], host
    )
    assert settings.training.precision == "bf16"


def test_null_is_refused_where_there_is_no_default_and_in_a_file(host, write):
    (line,) = mistakes_of(write(GOOD), host, "target.field=null")
    assert line == "--set target.field: expected a value, got none; give one"
    (line,) = mistakes_of(write(GOOD), host, "objectives.1=null")
    assert line.startswith("--set objectives.1: expected a valid dictionary, got null; give one")
    path = write(GOOD.replace("suffix: .tsv", "suffix: null"))
    (line,) = mistakes_of(path, host)
    assert line == (
        f"{path}:2: corpus.suffix: expected a valid string, got null; give one, or leave the key "
        "out if it has a default"
    )


def test_a_misspelt_source_is_one_mistake(host, write):
    (line,) = mistakes_of(write(GOOD), host, "sources.englsh.encoder.dim=3")
    assert line == (
        "--set sources.englsh: expected a source of the recipe, got 'englsh'; did you mean english?"
    )
    both = mistakes_of(write(GOOD), host, "sources.xyz.cache=true", "sources.xyz.encoder.dim=3")
    assert [line.partition("got ")[2] for line in both] == ["'xyz'; choose from english"]


def test_overrides_may_add_a_source(host, write):
    keys = ("field=de", "reader=letters", "encoder=bag")
    added = [f"sources.german.{key}" for key in keys]
    assert [*load_recipe(write(GOOD), added, host).sources] == ["english", "german"]
    (line,) = mistakes_of(write(GOOD), host, *added, "sources.german.encoder.dmi=3")
    assert "sources.german.encoder.dmi: expected a setting of encoder" in line


def test_many_mistakes_are_counted_and_the_first_are_told(host, write):
    text = GOOD + "".join(f"key{number}: 1\n" for number in range(30))
    with pytest.raises(UserError) as caught:
        load_recipe(write(text), host=host)
    first, *lines = str(caught.value).split("\n  ")
    assert first == "expected a recipe without mistakes, got 30:"
    assert len(lines) == 21
    assert lines[-1] == "… and 10 more"


def test_an_override_does_not_leak_through_a_yaml_alias(host, write):
    text = GOOD.replace("encoder: {name: bag, dim: 16}", "encoder: &bag {name: bag, dim: 16}")
    text = text.replace("target:", "  german: {field: de, reader: letters, encoder: *bag}\ntarget:")
    settings = load_recipe(write(text), ["sources.german.encoder.dim=3"], host)
    assert settings.sources["english"].encoder.settings == {"dim": 16}
    assert settings.sources["german"].encoder.settings == {"dim": 3}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"corpus: [", r"recipe.yaml:1: expected valid YAML"),
        (b"summary: \xff", r"expected UTF-8, got byte 0xff"),
        (b"- a list", r"expected .*, got \['a list'\]"),
        (b"", r"corpus: expected a value"),
        (b"corpus: !!python/object/apply:os.getcwd []", r"expected valid YAML"),
        (b"? [a, b]\n: 1", r"expected valid YAML"),
        (b"seed: !!int abc", r"expected valid YAML, got a value that does not fit"),
        (b"seed: !!bool abc", r"expected valid YAML, got a value that does not fit"),
        (
            b"seed: !!timestamp 2001-99-99",
            r"expected valid YAML, got a value that does not fit",
        ),
        (b"seed: " + b"[" * 3000, r"expected valid YAML, .*nested too deeply"),
    ],
)
def test_a_file_that_is_no_recipe_is_one_sentence(host, tmp_path, content, expected):
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=expected):
        load_recipe(path, host=host)


def test_a_path_that_is_not_there_is_one_sentence(host, tmp_path):
    with pytest.raises(UserError, match=r"expected a recipe at .*none\.yaml, got No such file"):
        load_recipe(tmp_path / "none.yaml", host=host)


@pytest.fixture
def shelf(write, monkeypatch):
    monkeypatch.setattr(
        "multiattn.recipe.loading.shipped", lambda folder: write("").parent / "shelf"
    )
    write(GOOD, "shelf/letters/default.yaml")
    write(GOOD.replace("letters to letters", "more of them"), "shelf/letters/large.yaml")


def test_recipes_have_names(host, shelf):
    names = [file.name for file in recipe_files(host)]
    assert names == ["letters", "letters/large"]
    assert read_summary(find_recipe("letters", host)) == "letters to letters"
    assert load_recipe("letters/large", host=host).summary == "more of them"
    assert find_recipe("multiattn/letters", host).name == "default.yaml"


def test_an_unknown_recipe_answers_with_close_names(host, shelf):
    with pytest.raises(UserError, match="got 'leters'; did you mean letters"):
        load_recipe("leters", host=host)


def test_a_folder_with_a_default_is_a_recipe(host, shelf, tmp_path):
    assert load_recipe(tmp_path / "shelf" / "letters", host=host).seed == 1


def test_a_plugin_brings_recipes_in_its_own_package(install, write, monkeypatch, shelf):
    install("parts", core=True)
    package = write("", "brings_recipes/__init__.py").parent
    write(GOOD, "brings_recipes/kept/default.yaml")
    write(GOOD, "brings_recipes/kept/large.yaml")
    monkeypatch.syspath_prepend(package.parent)
    plugin = write(
        "from multiattn import hookimpl\n"
        "from multiattn import Recipe\n"
        "@hookimpl\n"
        "def multiattn_components():\n"
        "    for name in ('letters', 'own'):\n"
        "        yield Recipe(name=name, target='brings_recipes:kept', summary='its own')\n",
        "recipe_plugin.py",
    )
    host = load_host([plugin])
    assert load_recipe("own/large", host=host).seed == 1
    with pytest.raises(UserError, match="multiattn/letters and recipe-plugin/letters"):
        load_recipe("letters", host=host)
    assert find_recipe("recipe-plugin/letters", host).parent.name == "kept"


def test_shipped_folders_are_found():
    assert shipped("recipes").is_dir()
    assert shipped("data").is_dir()
    with pytest.raises(UserError, match="expected the shipped folder 'nothing'"):
        shipped("nothing")


def test_every_shipped_recipe_loads():
    for plugin in ("multiattn_text", "multiattn_audio", "multiattn_image"):
        pytest.importorskip(plugin, reason="the shipped recipes name its components")
    host = load_host()
    for file in recipe_files(host):
        assert load_recipe(file.name, host=host).summary, file


def test_dumped_settings_load_as_they_were(host, write):
    settings = load_recipe(write(GOOD), ["target.field='1e3'", "corpus.suffix='12:30'"], host)
    assert settings.target.field == "1e3"
    again = load_recipe(write(dump_recipe(settings), "again.yaml"), host=host)
    assert again == settings
    assert differing_keys(again, settings) == []
    assert yaml.safe_load(dump_recipe(settings))["training"]["steps"] == 10_000


def test_differences_name_dotted_keys(host, write):
    path = write(GOOD)
    first = load_recipe(path, host=host)
    overrides = ["training.steps=5", "decoder.attention.of.dim=9", "objectives.2=ctc"]
    second = load_recipe(path, overrides, host)
    assert differing_keys(first, second) == [
        "decoder.attention.of.dim",
        "training.steps",
        "objectives.2.name",
        "objectives.2.weight",
    ]


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(plain)
@example("\x85")
@example("1e3")
@example("no")
def test_what_is_dumped_is_parsed_as_it_was(value):
    assert yamlfile.parse(yamlfile.dump(value), "test").value == value


@given(plain, st.lists(st.sampled_from(["a", "0", "name"]), min_size=1, max_size=3))
def test_a_replaced_value_is_found_at_its_place_and_nowhere_else(tree, steps):
    try:
        changed = yamlfile.with_value({"root": tree}, ["root", *steps], "new")
    except UserError:
        return
    before = dict(yamlfile.leaves({"root": tree}))
    after = dict(yamlfile.leaves(changed))
    place = ".".join(["root", *steps])
    assert after[place] == "new"
    for other in before.keys() & after.keys() - {place}:
        assert before[other] == after[other]


def test_values_are_cut_and_terminal_escapes_are_harmless_in_messages(host, write):
    long = "x" * 100_000
    overrides = [f"training.steps={long}", f"{long}=1", "search.beam=[" * 500, f"seed.{long}=3"]
    overrides += ["a." * 20_000 + "b=1"]
    overrides += [f"evaluation.select.{long}=[3]", f"decoder={long}", f"objectives.{long}=3"]
    for override in overrides:
        for line in mistakes_of(write(GOOD), host, override):
            assert len(line) < 700, line
    (line,) = mistakes_of(write(GOOD), host, r'training.steps="\e[31m\e]0;title\a\u202e"')
    assert r"got '\x1b[31m\x1b]0;title\x07\u202e'" in line
