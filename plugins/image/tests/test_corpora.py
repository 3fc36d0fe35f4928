"""Captioning corpora: the layouts they are found in, and what is wrong by file and line."""

from __future__ import annotations

import gzip
import json

import pytest

from multiattn.errors import UserError
from multiattn.overlap import shared_with_training
from multiattn.plugins import load_host
from multiattn.settings import RecipeSettings
from multiattn_image.corpora.flickr8k import Captions, CocoCaptions, Flickr8k

DOGS = ("A dog runs .", "A brown dog .")


@pytest.fixture
def pictured(tmp_path, scene):
    """Put pictures into a folder, of which corpora only ask whether they are there."""

    def put(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            scene(8, 8).save(path)

    return put


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def listed(corpus, split, **options):
    """Id, file's name and captions of each example."""
    return [
        (example.id, example.fields["image"].rsplit("/", 1)[1], example.fields["captions"])
        for example in corpus.examples(split, **options)
    ]


def skipped(corpus, split):
    """What remains where bad rows are skipped, and the sentences; stopping says the first."""
    sentences = []
    rows = listed(corpus, split, on_bad_row=sentences.append)
    if sentences:
        with pytest.raises(UserError) as error:
            corpus.examples(split)
        assert str(error.value) == sentences[0]
    return [name for name, _, _ in rows], sentences


# --- captions: tables ---------------------------------------------------------------------------


def test_a_table_lists_pictures_and_captions(tmp_path, pictured):
    pictured("images/a.jpg", "b.jpg")
    rows = [
        {"id": "first", "image": "images/a.jpg", "captions": DOGS, "objects": [1]},
        {"image": "b.jpg", "captions": "A cat ."},
        {"image": str(tmp_path / "b.jpg"), "caption": "A sleeping cat ."},
    ]
    write(tmp_path / "train.jsonl", lines(*rows))
    assert listed(Captions(tmp_path), "train") == [
        ("first", "a.jpg", DOGS),
        ("b.jpg", "b.jpg", ("A cat .", "A sleeping cat .")),
    ]
    first, second = Captions(tmp_path).examples("train")
    assert first.fields["image"] == str(tmp_path / "images/a.jpg")
    assert second.meta == {"file": "train.jsonl", "line": "2"}


@pytest.mark.parametrize(("kind", "cell"), [("csv", '"A dog, wet ."'), ("tsv", "A dog, wet .")])
def test_a_row_per_caption_is_an_example_per_picture(kind, cell, tmp_path, pictured):
    pictured("a.jpg", "b.jpg")
    mark = {"csv": ",", "tsv": "\t"}[kind]
    rows = [("image", "caption"), ("a.jpg", "A dog ."), ("b.jpg", "A cat ."), ("a.jpg", cell)]
    text = "".join(mark.join(row) + "\n" for row in rows)
    (tmp_path / f"train.{kind}.gz").write_bytes(gzip.compress(text.encode()))
    assert Captions(tmp_path).splits() == ("train",)
    assert listed(Captions(tmp_path), "train") == [
        ("a.jpg", "a.jpg", ("A dog .", "A dog, wet .")),
        ("b.jpg", "b.jpg", ("A cat .",)),
    ]


def test_a_table_may_call_its_columns_otherwise(tmp_path, pictured):
    pictured("a.jpg")
    row = {"file": "a.jpg", "comment": "A dog .", "number": 7, "captions": "no"}
    write(tmp_path / "t.jsonl", lines(row))
    columns = {"image": "file", "captions": "comment", "id": "number"}
    assert listed(Captions(tmp_path, columns=columns), "t") == [("7", "a.jpg", ("A dog .",))]
    with pytest.raises(UserError, match="got 'picture'"):
        Captions(tmp_path, columns={"picture": "file"})


def test_a_picture_to_be_captioned_has_no_captions(tmp_path, pictured):
    pictured("a.jpg")
    write(tmp_path / "test.jsonl", lines({"image": "a.jpg", "captions": None}))
    assert listed(Captions(tmp_path), "test") == [("a.jpg", "a.jpg", None)]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"image": "no.jpg", "captions": ["x"]}, "expected the picture"),
        ({"image": "a.jpg", "captions": ["x", " "]}, "expected text in the column 'captions'"),
        ({"image": "a.jpg", "caption": ""}, "expected text in the column 'caption'"),
        ({"image": "a.jpg"}, "expected the column 'captions'"),
        ({"image": "", "captions": ["x"]}, "expected text in the column 'image'"),
        ({"image": "x" * 5000, "captions": ["x"]}, "no such file"),
        ({"image": "a\0.jpg", "captions": ["x"]}, "no such file"),
        ({"image": ".", "captions": ["x"]}, "no such file"),
        ({"image": "a.jpg", "captions": [3]}, "got 3"),
        (["a.jpg"], "expected a JSON object"),
    ],
    ids=str,
)
def test_a_bad_row_is_named_by_file_and_line_and_obeys_the_policy(row, said, tmp_path, pictured):
    pictured("a.jpg", "b.jpg")
    good = {"image": "b.jpg", "captions": ["A cat ."]}
    write(tmp_path / "train.jsonl", lines(good, row))
    left, (sentence,) = skipped(Captions(tmp_path), "train")
    assert left == ["b.jpg"]
    assert said in sentence
    assert f"{tmp_path / 'train.jsonl'}, line 2" in sentence


@pytest.mark.parametrize("spelling", ["images/a.jpg", "./images//a.jpg", "x/../images/a.jpg"])
def test_a_picture_in_two_splits_is_found_however_it_is_spelled(spelling, tmp_path, pictured):
    pictured("images/a.jpg", "images/b.jpg")
    rows = [{"image": f"images/{name}.jpg", "captions": DOGS} for name in "ab"]
    write(tmp_path / "train.jsonl", lines(*rows))
    write(tmp_path / "dev.jsonl", lines({"image": spelling, "captions": ["Another ."]}))
    recipe = {
        "corpus": {"name": "captions"},
        "sources": {"photo": {"field": "image", "reader": "image", "encoder": "cnn-grid"}},
        "target": {"field": "captions"},
        "decoder": "lstm",
    }
    settings = RecipeSettings.model_validate(recipe)
    sentences = list(shared_with_training(settings, load_host(), Captions(tmp_path), "dev"))
    assert sentences == ["1 of 1 files of the source 'photo' of dev are in train too"]


def test_a_folder_reached_by_a_link_is_the_same_folder(tmp_path, pictured):
    pictured("corpus/a.jpg")
    write(tmp_path / "corpus/t.jsonl", lines({"image": "a.jpg", "captions": DOGS}))
    (tmp_path / "link").symlink_to(tmp_path / "corpus")
    folders = [tmp_path / "link", tmp_path / "corpus"]
    one, other = (Captions(folder).examples("t")[0].fields for folder in folders)
    assert one == other


# --- flickr8k -----------------------------------------------------------------------------------


def released(folder, *, tokens=None, train="a.jpg\nb.jpg\n"):
    write(folder / "Flickr_8k.trainImages.txt", train)
    write(folder / "Flickr_8k.devImages.txt", "c.jpg\n")
    captions = [
        f"{name}.jpg#{n}\t{name.upper()} dog number {n} .\n" for name in "abc" for n in "01"
    ]
    # so the released file has it: a picture that is nowhere
    captions.append("2258277193_586949ec62.jpg.1#0\tpeople waiting for the subway\n")
    write(folder / "Flickr8k.token.txt", tokens or "".join(captions))


@pytest.mark.parametrize("texts", ["", "Flickr8k_text"])
@pytest.mark.parametrize("images", ["Flicker8k_Dataset", "Images", ""])
def test_flickr8k_as_released(texts, images, tmp_path, pictured):
    pictured(*(f"{images}/{name}.jpg" if images else f"{name}.jpg" for name in "abc"))
    released(tmp_path / texts)
    corpus = Flickr8k(tmp_path)
    assert corpus.splits() == ("dev", "train")
    assert listed(corpus, "dev") == [("c", "c.jpg", ("C dog number 0 .", "C dog number 1 ."))]
    assert [row[0] for row in listed(corpus, "train")] == ["a", "b"]


def test_flickr8k_pictures_may_lie_elsewhere(tmp_path, pictured):
    pictured("elsewhere/a.jpg", "elsewhere/b.jpg")
    released(tmp_path / "corpus")
    corpus = Flickr8k(tmp_path / "corpus", images="../elsewhere")
    assert [row[0] for row in listed(corpus, "train")] == ["a", "b"]


@pytest.mark.parametrize(
    ("broken", "left", "said", "place"),
    [
        ({"train": "a.jpg\nno.jpg\n"}, ["a"], "expected captions of no.jpg", "Images.txt, line 2"),
        ({"train": "a.jpg\n\nb.jpg\n"}, ["a", "b"], "the name of a picture", "Images.txt, line 2"),
        ({"tokens": "a.jpg#0\tx\nb.jpg#0\t \n"}, ["a"], "expected a caption", "token.txt, line 2"),
        ({"tokens": "a.jpg#0\tx\nb.jpg#0\ty\nz"}, ["a", "b"], "PICTURE#NUMBER", "txt, line 3"),
        ({"tokens": "a.jpg#0\tx\nb.jpg#0 y"}, ["a"], "a tab and a caption", "token.txt, line 2"),
        (
            {"tokens": "a.jpg#0\tx\nd.jpg#0\ty\n", "train": "a.jpg\nd.jpg\n"},
            ["a"],
            "d.jpg, which",
            "line 2",
        ),
    ],
    ids=str,
)
def test_a_bad_line_of_the_release_obeys_the_policy(broken, left, said, place, tmp_path, pictured):
    pictured("images/a.jpg", "images/b.jpg")
    released(tmp_path, **broken)
    names, sentences = skipped(Flickr8k(tmp_path), "train")
    assert names == left
    assert said in sentences[0]
    assert place in sentences[0]


def test_a_bad_line_of_another_split_is_none_of_this_ones(tmp_path, pictured):
    pictured("images/a.jpg", "images/b.jpg", "images/c.jpg")
    released(tmp_path, tokens="a.jpg#0\t\nb.jpg#0\tx\nc.jpg#0\ty\n")
    assert listed(Flickr8k(tmp_path), "dev") == [("c", "c.jpg", ("y",))]


def karpathy_image(name, split, *captions, **more):
    sentences = [{"raw": caption, "tokens": caption.split(), "sentid": 3} for caption in captions]
    return {"filename": name, "split": split, "sentences": sentences, "imgid": 0, **more}


def test_flickr8k_as_karpathy_split_it(tmp_path, pictured):
    pictured("images/a.jpg", "images/b.jpg")
    images = [karpathy_image("a.jpg", "train", *DOGS), karpathy_image("b.jpg", "val", "A cat .")]
    write(tmp_path / "dataset_flickr8k.json", {"images": images, "dataset": "flickr8k"})
    corpus = Flickr8k(tmp_path)
    assert corpus.splits() == ("dev", "test", "train")
    assert listed(corpus, "train") == [("a", "a.jpg", DOGS)]
    assert listed(corpus, "dev") == listed(corpus, "val") == [("b", "b.jpg", ("A cat .",))]
    with pytest.raises(UserError, match="the splits train, val"):
        corpus.examples("test")


def test_flickr8k_in_tables_takes_no_other_folder_of_pictures(tmp_path):
    write(tmp_path / "train.jsonl", lines({"image": "a.jpg", "captions": DOGS}))
    with pytest.raises(UserError, match="remove the setting"):
        Flickr8k(tmp_path, images="pictures")


def test_the_real_flickr8k_is_read_whole(real_corpus):
    corpus = Flickr8k(real_corpus("flickr8k"))
    assert {"dev", "train"} <= set(corpus.splits())
    dev = corpus.examples("dev")
    assert len(dev) == 1000
    assert {len(example.fields["captions"]) for example in dev} == {5}
    assert len(corpus.examples("train")) == 6091


# --- coco ---------------------------------------------------------------------------------------


def coco(folder, *, annotations=None, images=None):
    said = annotations or [
        {"id": 1, "image_id": 42, "caption": "A dog runs .\n"},
        {"id": 2, "image_id": 7, "caption": "A cat ."},
        {"id": 3, "image_id": 42, "caption": "A brown dog ."},
    ]
    seen = images or [{"id": n, "file_name": f"COCO_val2014_{n:012}.jpg"} for n in (7, 42)]
    content = {"info": {}, "images": seen, "annotations": said, "licenses": []}
    write(folder / "annotations/captions_val2014.json", content)


NAMES = ("COCO_val2014_000000000007.jpg", "COCO_val2014_000000000042.jpg")


@pytest.mark.parametrize("place", ["val2014/", "images/val2014/", "images/", ""])
def test_coco_as_released_wherever_its_pictures_are(place, tmp_path, pictured):
    pictured(*(f"{place}{name}" for name in NAMES))
    coco(tmp_path)
    corpus = CocoCaptions(tmp_path)
    assert corpus.splits() == ("val2014",)
    assert listed(corpus, "val2014") == [("7", NAMES[0], ("A cat .",)), ("42", NAMES[1], DOGS)]


def test_cocos_test_pictures_have_no_captions(tmp_path, pictured):
    pictured("test2014/a.jpg")
    content = {"images": [{"id": 1, "file_name": "a.jpg"}]}
    write(tmp_path / "annotations/image_info_test2014.json", content)
    assert CocoCaptions(tmp_path).splits() == ("test2014",)
    assert listed(CocoCaptions(tmp_path), "test2014") == [("1", "a.jpg", None)]


def test_coco_as_karpathy_split_it_joined_to_one(tmp_path, pictured):
    pictured("train2014/a.jpg", "val2014/b.jpg", "val2014/c.jpg")
    images = [
        karpathy_image("a.jpg", "train", *DOGS, cocoid=11, filepath="train2014"),
        karpathy_image("b.jpg", "restval", "A cat .", cocoid=12, filepath="val2014"),
        karpathy_image("c.jpg", "test", "A bird .", cocoid=13, filepath="val2014"),
    ]
    write(tmp_path / "dataset_coco.json", {"images": images, "dataset": "coco"})
    coco(tmp_path)
    corpus = CocoCaptions(tmp_path)
    assert corpus.splits() == ("val2014", "restval", "test", "train", "val")
    assert listed(corpus, "test") == [("13", "c.jpg", ("A bird .",))]
    assert listed(corpus, "train+restval") == [
        ("11", "a.jpg", DOGS),
        ("12", "b.jpg", ("A cat .",)),
    ]


@pytest.mark.parametrize(
    ("broken", "left", "said"),
    [
        ({"annotations": [{"image_id": 7, "caption": ""}]}, ["7", "42"], ", annotations[0]"),
        ({"annotations": [{"caption": "A dog ."}]}, ["7", "42"], "'image_id'"),
        ({"images": [{"id": 1, "file_name": "no.jpg"}]}, [], "no.jpg, which"),
        ({"images": [{"id": 7, "file_name": NAMES[0]}, {"id": 8}]}, ["7"], ", images[1]"),
    ],
    ids=str,
)
def test_a_bad_entry_of_cocos_files_obeys_the_policy(broken, left, said, tmp_path, pictured):
    pictured(*(f"val2014/{name}" for name in NAMES))
    coco(tmp_path, **broken)
    names, (sentence,) = skipped(CocoCaptions(tmp_path), "val2014")
    assert names == left
    assert said in sentence
    assert str(tmp_path / "annotations/captions_val2014.json") in sentence


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ({"filename": "no.jpg", "split": "train", "sentences": []}, "expected the picture"),
        (karpathy_image("a.jpg", "train", "x", " "), "expected text in the column 'raw'"),
        ({"filename": "a.jpg", "split": "train"}, "expected a list of sentences"),
        ({"split": "train", "sentences": []}, "expected the column 'filename'"),
    ],
    ids=str,
)
def test_a_bad_entry_of_karpathys_file_obeys_the_policy(image, said, tmp_path, pictured):
    pictured("a.jpg", "b.jpg")
    images = [karpathy_image("b.jpg", "train", "A cat ."), image]
    write(tmp_path / "dataset_coco.json", {"images": images})
    left, (sentence,) = skipped(CocoCaptions(tmp_path), "train")
    assert left == ["b"]
    assert said in sentence
    assert "dataset_coco.json, images[1]" in sentence


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "expected JSON"),
        ("[]", "expected a JSON object"),
        ('{"pictures": []}', 'expected a list "images" of objects'),
        ('{"images": [1]}', 'expected a list "images" of objects'),
        ("", "got an empty file"),
    ],
)
def test_a_file_of_another_form_is_named(content, said, tmp_path):
    write(tmp_path / "annotations/captions_val2014.json", content)
    with pytest.raises(UserError, match=r"captions_val2014\.json") as error:
        CocoCaptions(tmp_path).examples("val2014")
    assert said in str(error.value)


def test_a_split_that_is_not_there_is_named_with_its_files(tmp_path):
    for corpus in (Captions(tmp_path), Flickr8k(tmp_path), CocoCaptions(tmp_path)):
        assert corpus.splits() == ()
        with pytest.raises(UserError, match="nosplit"):
            corpus.examples("nosplit")
