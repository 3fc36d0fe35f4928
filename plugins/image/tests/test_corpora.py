"""Captioning corpora: their layouts, and errors that name file and line."""

from __future__ import annotations

import gzip
import json

import pytest

from multiattn import UserError
from multiattn.data.splits import Splits
from multiattn.recipe.settings import RecipeSettings
from multiattn.runs.overlap import shared_with_training
from multiattn_image.corpora.caption_tables import CaptionTables
from multiattn_image.corpora.coco import CocoCaptions
from multiattn_image.corpora.flickr8k import Flickr8k
from multiattn_image.corpora.flickr30k import Flickr30k

DOGS = ("A dog runs .", "A brown dog .")


@pytest.fixture
def write_images(tmp_path, scene):
    """Write small images into a folder; corpora only check that the files exist."""

    def write_all(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            scene(8, 8).save(path)

    return write_all


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")


def json_lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def summarise(corpus, split, **options):
    """Id, file name and captions of each example."""
    return [
        (example.id, example.fields["image"].rsplit("/", 1)[1], example.fields["captions"])
        for example in corpus.examples(split, **options)
    ]


def read_skipping(corpus, split):
    """Ids left when bad rows are skipped, and the messages; stopping raises the first of them."""
    messages = []
    rows = summarise(corpus, split, on_bad_row=messages.append)
    if messages:
        with pytest.raises(UserError) as error:
            corpus.examples(split)
        assert str(error.value) == messages[0]
    return [example_id for example_id, _, _ in rows], messages


# --- captions: tables ---------------------------------------------------------------------------


def test_a_table_lists_images_and_captions(tmp_path, write_images):
    write_images("images/a.jpg", "b.jpg")
    rows = [
        {"id": "first", "image": "images/a.jpg", "captions": DOGS, "objects": [1]},
        {"image": "b.jpg", "captions": "A cat ."},
        {"image": str(tmp_path / "b.jpg"), "caption": "A sleeping cat ."},
    ]
    write(tmp_path / "train.jsonl", json_lines(*rows))
    assert summarise(CaptionTables(tmp_path), "train") == [
        ("first", "a.jpg", DOGS),
        ("b.jpg", "b.jpg", ("A cat .", "A sleeping cat .")),
    ]
    first, second = CaptionTables(tmp_path).examples("train")
    assert first.fields["image"] == str(tmp_path / "images/a.jpg")
    assert second.meta == {"file": "train.jsonl", "line": "2"}


def test_further_columns_of_a_table_are_notes(tmp_path, write_images):
    write_images("a.jpg")
    write(tmp_path / "mine.csv", "file,comment,source,year\na.jpg,A dog .,web,2024\n")
    columns = {"image": "file", "captions": "comment"}
    (example,) = CaptionTables(tmp_path, columns=columns).examples("mine")
    assert example.meta == {"source": "web", "year": "2024", "file": "mine.csv", "line": "2"}


@pytest.mark.parametrize(("suffix", "cell"), [("csv", '"A dog, wet ."'), ("tsv", "A dog, wet .")])
def test_rows_of_one_image_are_merged_to_one_example(suffix, cell, tmp_path, write_images):
    write_images("a.jpg", "b.jpg")
    separator = {"csv": ",", "tsv": "\t"}[suffix]
    rows = [("image", "caption"), ("a.jpg", "A dog ."), ("b.jpg", "A cat ."), ("a.jpg", cell)]
    text = "".join(separator.join(row) + "\n" for row in rows)
    (tmp_path / f"train.{suffix}.gz").write_bytes(gzip.compress(text.encode()))
    assert CaptionTables(tmp_path).splits() == ("train",)
    assert summarise(CaptionTables(tmp_path), "train") == [
        ("a.jpg", "a.jpg", ("A dog .", "A dog, wet .")),
        ("b.jpg", "b.jpg", ("A cat .",)),
    ]


def test_columns_can_be_renamed(tmp_path, write_images):
    write_images("a.jpg")
    row = {"file": "a.jpg", "comment": "A dog .", "number": 7, "captions": "no"}
    write(tmp_path / "t.jsonl", json_lines(row))
    columns = {"image": "file", "captions": "comment", "id": "number"}
    assert summarise(CaptionTables(tmp_path, columns=columns), "t") == [
        ("7", "a.jpg", ("A dog .",))
    ]
    with pytest.raises(UserError, match="got 'picture'"):
        CaptionTables(tmp_path, columns={"picture": "file"})


def test_an_image_may_have_no_captions(tmp_path, write_images):
    write_images("a.jpg")
    write(tmp_path / "test.jsonl", json_lines({"image": "a.jpg", "captions": None}))
    assert summarise(CaptionTables(tmp_path), "test") == [("a.jpg", "a.jpg", None)]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"image": "no.jpg", "captions": ["x"]}, "expected the image"),
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
def test_a_bad_row_is_named_by_file_and_line_and_can_be_skipped(
    row, expected, tmp_path, write_images
):
    write_images("a.jpg", "b.jpg")
    good = {"image": "b.jpg", "captions": ["A cat ."]}
    write(tmp_path / "train.jsonl", json_lines(good, row))
    ids, (message,) = read_skipping(CaptionTables(tmp_path), "train")
    assert ids == ["b.jpg"]
    assert expected in message
    assert f"{tmp_path / 'train.jsonl'}, line 2" in message


@pytest.mark.parametrize("spelling", ["images/a.jpg", "./images//a.jpg", "x/../images/a.jpg"])
def test_an_image_in_two_splits_is_detected_however_its_path_is_written(
    spelling, tmp_path, write_images
):
    write_images("images/a.jpg", "images/b.jpg")
    rows = [{"image": f"images/{name}.jpg", "captions": DOGS} for name in "ab"]
    write(tmp_path / "train.jsonl", json_lines(*rows))
    write(tmp_path / "dev.jsonl", json_lines({"image": spelling, "captions": ["Another ."]}))
    recipe = {
        "corpus": {"name": "captions"},
        "sources": {"photo": {"field": "image", "reader": "image", "encoder": "cnn-grid"}},
        "target": {"field": "captions"},
        "decoder": "lstm",
    }
    settings = RecipeSettings.model_validate(recipe)
    warnings = list(
        shared_with_training(Splits(CaptionTables(tmp_path), settings), "dev", ["photo"])
    )
    assert warnings == ["1 of 1 files of the source 'photo' of dev are also in train"]


def test_a_folder_reached_by_a_link_gives_the_same_paths(tmp_path, write_images):
    write_images("corpus/a.jpg")
    write(tmp_path / "corpus/t.jsonl", json_lines({"image": "a.jpg", "captions": DOGS}))
    (tmp_path / "link").symlink_to(tmp_path / "corpus")
    folders = [tmp_path / "link", tmp_path / "corpus"]
    linked, direct = (CaptionTables(folder).examples("t")[0].fields for folder in folders)
    assert linked == direct


# --- flickr8k -----------------------------------------------------------------------------------


def write_release(folder, *, tokens=None, train="a.jpg\nb.jpg\n"):
    write(folder / "Flickr_8k.trainImages.txt", train)
    write(folder / "Flickr_8k.devImages.txt", "c.jpg\n")
    captions = [
        f"{name}.jpg#{n}\t{name.upper()} dog number {n} .\n" for name in "abc" for n in "01"
    ]
    # the released file has such a line, of an image that does not exist
    captions.append("2258277193_586949ec62.jpg.1#0\tpeople waiting for the subway\n")
    write(folder / "Flickr8k.token.txt", tokens or "".join(captions))


@pytest.mark.parametrize("texts", ["", "Flickr8k_text"])
@pytest.mark.parametrize("images", ["Flicker8k_Dataset", "Images", ""])
def test_flickr8k_as_released(texts, images, tmp_path, write_images):
    write_images(*(f"{images}/{name}.jpg" if images else f"{name}.jpg" for name in "abc"))
    write_release(tmp_path / texts)
    corpus = Flickr8k(tmp_path)
    assert corpus.splits() == ("dev", "train")
    assert summarise(corpus, "dev") == [("c", "c.jpg", ("C dog number 0 .", "C dog number 1 ."))]
    assert [row[0] for row in summarise(corpus, "train")] == ["a", "b"]


def test_flickr8k_images_may_be_in_another_folder(tmp_path, write_images):
    write_images("elsewhere/a.jpg", "elsewhere/b.jpg")
    write_release(tmp_path / "corpus")
    corpus = Flickr8k(tmp_path / "corpus", images="../elsewhere")
    assert [row[0] for row in summarise(corpus, "train")] == ["a", "b"]


@pytest.mark.parametrize(
    ("broken", "expected_ids", "expected", "location"),
    [
        ({"train": "a.jpg\nno.jpg\n"}, ["a"], "expected captions of no.jpg", "Images.txt, line 2"),
        ({"train": "a.jpg\n\nb.jpg\n"}, ["a", "b"], "the name of an image", "Images.txt, line 2"),
        ({"tokens": "a.jpg#0\tx\nb.jpg#0\t \n"}, ["a"], "expected a caption", "token.txt, line 2"),
        ({"tokens": "a.jpg#0\tx\nb.jpg#0\ty\nz"}, ["a", "b"], "IMAGE#NUMBER", "txt, line 3"),
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
def test_a_bad_line_of_the_release_is_named_and_can_be_skipped(
    broken, expected_ids, expected, location, tmp_path, write_images
):
    write_images("images/a.jpg", "images/b.jpg")
    write_release(tmp_path, **broken)
    ids, messages = read_skipping(Flickr8k(tmp_path), "train")
    assert ids == expected_ids
    assert expected in messages[0]
    assert location in messages[0]


def test_a_bad_line_of_another_split_is_ignored(tmp_path, write_images):
    write_images("images/a.jpg", "images/b.jpg", "images/c.jpg")
    write_release(tmp_path, tokens="a.jpg#0\t\nb.jpg#0\tx\nc.jpg#0\ty\n")
    assert summarise(Flickr8k(tmp_path), "dev") == [("c", "c.jpg", ("y",))]


def karpathy_image(name, split, *captions, **fields):
    sentences = [{"raw": caption, "tokens": caption.split(), "sentid": 3} for caption in captions]
    return {"filename": name, "split": split, "sentences": sentences, "imgid": 0, **fields}


def test_flickr8k_in_karpathys_layout(tmp_path, write_images):
    write_images("images/a.jpg", "images/b.jpg")
    images = [karpathy_image("a.jpg", "train", *DOGS), karpathy_image("b.jpg", "val", "A cat .")]
    write(tmp_path / "dataset_flickr8k.json", {"images": images, "dataset": "flickr8k"})
    corpus = Flickr8k(tmp_path)
    assert corpus.splits() == ("dev", "test", "train")
    assert summarise(corpus, "train") == [("a", "a.jpg", DOGS)]
    assert summarise(corpus, "dev") == summarise(corpus, "val") == [("b", "b.jpg", ("A cat .",))]
    with pytest.raises(UserError, match="the splits train, val"):
        corpus.examples("test")


def test_flickr8k_in_tables_takes_no_images_setting(tmp_path):
    write(tmp_path / "train.jsonl", json_lines({"image": "a.jpg", "captions": DOGS}))
    with pytest.raises(UserError, match="remove the setting"):
        Flickr8k(tmp_path, images="pictures")


def test_the_real_flickr8k_is_read_completely(real_corpus):
    corpus = Flickr8k(real_corpus("flickr8k"))
    assert {"dev", "train"} <= set(corpus.splits())
    dev = corpus.examples("dev")
    assert len(dev) == 1000
    assert {len(example.fields["captions"]) for example in dev} == {5}
    assert len(corpus.examples("train")) == 6091


# --- coco ---------------------------------------------------------------------------------------


def test_kaggles_captions_are_one_split_off_which_others_are_cut(tmp_path, write_images):
    names = [f"Images/{number}.jpg" for number in range(20)]
    write_images(*names)
    rows = "".join(f'{number}.jpg,"A dog , {take} ."\n' for number in range(20) for take in "ab")
    write(tmp_path / "captions.txt", f"image,caption\n{rows}")
    corpus = Flickr8k(tmp_path)
    assert corpus.splits() == ("train",)
    assert summarise(corpus, "train")[:2] == [
        ("0", "0.jpg", ("A dog , a .", "A dog , b .")),
        ("1", "1.jpg", ("A dog , a .", "A dog , b .")),
    ]
    settings = RecipeSettings.model_validate(
        {
            "corpus": {"name": "flickr8k"},
            "splits": {"validation": "5%", "test": "10%"},
            "target": {"field": "captions"},
            "decoder": {"name": "lstm"},
        }
    )
    splits = Splits(corpus, settings)
    parts = [splits.examples(name) for name in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [17, 1, 2]
    assert len({example.id for part in parts for example in part}) == 20
    with pytest.raises(UserError, match=r"split of the corpus \(train\), got 'dev'.*validation=5%"):
        splits.require("dev")
    write(tmp_path / "captions.txt", "image,caption\n0.jpg,A dog .\n77.jpg,A cat .\n1.jpg\n")
    left, messages = read_skipping(corpus, "train")
    assert left == ["0"]
    assert "captions.txt, line 3 names" in messages[0]
    assert "2 cells in" in messages[1]


def write_coco(folder, *, annotations=None, images=None):
    annotations = annotations or [
        {"id": 1, "image_id": 42, "caption": "A dog runs .\n"},
        {"id": 2, "image_id": 7, "caption": "A cat ."},
        {"id": 3, "image_id": 42, "caption": "A brown dog ."},
    ]
    images = images or [{"id": n, "file_name": f"COCO_val2014_{n:012}.jpg"} for n in (7, 42)]
    content = {"info": {}, "images": images, "annotations": annotations, "licenses": []}
    write(folder / "annotations/captions_val2014.json", content)


NAMES = ("COCO_val2014_000000000007.jpg", "COCO_val2014_000000000042.jpg")


@pytest.mark.parametrize("image_folder", ["val2014/", "images/val2014/", "images/", ""])
def test_coco_as_released_with_its_images_in_any_of_the_folders(
    image_folder, tmp_path, write_images
):
    write_images(*(f"{image_folder}{name}" for name in NAMES))
    write_coco(tmp_path)
    corpus = CocoCaptions(tmp_path)
    assert corpus.splits() == ("val2014",)
    assert summarise(corpus, "val2014") == [("7", NAMES[0], ("A cat .",)), ("42", NAMES[1], DOGS)]


def test_cocos_test_images_have_no_captions(tmp_path, write_images):
    write_images("test2014/a.jpg")
    content = {"images": [{"id": 1, "file_name": "a.jpg"}]}
    write(tmp_path / "annotations/image_info_test2014.json", content)
    assert CocoCaptions(tmp_path).splits() == ("test2014",)
    assert summarise(CocoCaptions(tmp_path), "test2014") == [("1", "a.jpg", None)]


def test_coco_in_karpathys_layout_with_joined_splits(tmp_path, write_images):
    write_images("train2014/a.jpg", "val2014/b.jpg", "val2014/c.jpg")
    images = [
        karpathy_image("a.jpg", "train", *DOGS, cocoid=11, filepath="train2014"),
        karpathy_image("b.jpg", "restval", "A cat .", cocoid=12, filepath="val2014"),
        karpathy_image("c.jpg", "test", "A bird .", cocoid=13, filepath="val2014"),
    ]
    write(tmp_path / "dataset_coco.json", {"images": images, "dataset": "coco"})
    write_coco(tmp_path)
    corpus = CocoCaptions(tmp_path)
    assert corpus.splits() == ("val2014", "restval", "test", "train", "val")
    assert summarise(corpus, "test") == [("13", "c.jpg", ("A bird .",))]
    assert summarise(corpus, "train+restval") == [
        ("11", "a.jpg", DOGS),
        ("12", "b.jpg", ("A cat .",)),
    ]


@pytest.mark.parametrize(
    ("broken", "expected_ids", "expected"),
    [
        ({"annotations": [{"image_id": 7, "caption": ""}]}, ["7", "42"], ", annotations[0]"),
        ({"annotations": [{"caption": "A dog ."}]}, ["7", "42"], "'image_id'"),
        ({"images": [{"id": 1, "file_name": "no.jpg"}]}, [], "no.jpg, which"),
        ({"images": [{"id": 7, "file_name": NAMES[0]}, {"id": 8}]}, ["7"], ", images[1]"),
    ],
    ids=str,
)
def test_a_bad_entry_of_cocos_files_is_named_and_can_be_skipped(
    broken, expected_ids, expected, tmp_path, write_images
):
    write_images(*(f"val2014/{name}" for name in NAMES))
    write_coco(tmp_path, **broken)
    ids, (message,) = read_skipping(CocoCaptions(tmp_path), "val2014")
    assert ids == expected_ids
    assert expected in message
    assert str(tmp_path / "annotations/captions_val2014.json") in message


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({"filename": "no.jpg", "split": "train", "sentences": []}, "expected the image"),
        (karpathy_image("a.jpg", "train", "x", " "), "expected text in the column 'raw'"),
        ({"filename": "a.jpg", "split": "train"}, "expected a list of sentences"),
        ({"split": "train", "sentences": []}, "expected the column 'filename'"),
    ],
    ids=str,
)
def test_a_bad_entry_of_karpathys_file_is_named_and_can_be_skipped(
    image, expected, tmp_path, write_images
):
    write_images("a.jpg", "b.jpg")
    images = [karpathy_image("b.jpg", "train", "A cat ."), image]
    write(tmp_path / "dataset_coco.json", {"images": images})
    ids, (message,) = read_skipping(CocoCaptions(tmp_path), "train")
    assert ids == ["b"]
    assert expected in message
    assert "dataset_coco.json, images[1]" in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{", "expected JSON"),
        ("[]", "expected a JSON object"),
        ('{"pictures": []}', 'expected a list "images" of objects'),
        ('{"images": [1]}', 'expected a list "images" of objects'),
        ("", "got an empty file"),
    ],
)
def test_a_file_in_another_format_is_named(content, expected, tmp_path):
    write(tmp_path / "annotations/captions_val2014.json", content)
    with pytest.raises(UserError, match=r"captions_val2014\.json") as error:
        CocoCaptions(tmp_path).examples("val2014")
    assert expected in str(error.value)


def test_a_missing_split_is_named(tmp_path):
    for corpus in (CaptionTables(tmp_path), Flickr8k(tmp_path), CocoCaptions(tmp_path)):
        assert corpus.splits() == ()
        with pytest.raises(UserError, match="nosplit"):
            corpus.examples("nosplit")


FLICKR30K = [("1", "1.jpg", DOGS), ("2", "2.jpg", ("A cat, asleep .",))]


def test_flickr30k_is_read_as_released(tmp_path, write_images):
    write_images("flickr30k-images/1.jpg", "flickr30k-images/2.jpg")
    lines = ["1.jpg#0\tA dog runs .", "1.jpg#1\tA brown dog .", "2.jpg#0\tA cat, asleep ."]
    write(tmp_path / "results_20130124.token", "\n".join(lines) + "\n")
    corpus = Flickr30k(tmp_path)
    assert corpus.splits() == ("train",)
    assert summarise(corpus, "train") == FLICKR30K


def test_flickr30k_is_read_from_kaggle_with_its_damaged_row_left_out(tmp_path, write_images):
    write_images(
        "flickr30k_images/flickr30k_images/1.jpg", "flickr30k_images/flickr30k_images/2.jpg"
    )
    lines = [
        "image_name| comment_number| comment",
        "1.jpg| 0| A dog runs .",
        "1.jpg| 1| A brown dog .",
        "2.jpg| 4   A dog runs across the grass .",
        "2.jpg| 0| A cat, asleep .",
    ]
    write(tmp_path / "results.csv", "\n".join(lines) + "\n")
    bad = []
    assert summarise(Flickr30k(tmp_path), "train", on_bad_row=bad.append) == FLICKR30K
    (sentence,) = bad
    assert "IMAGE| NUMBER| CAPTION in " in sentence
    assert "line 4" in sentence
    with pytest.raises(UserError, match=r"training\.bad_rows=skip"):
        Flickr30k(tmp_path).examples("train")


def test_flickr30k_is_read_in_karpathys_layout(tmp_path, write_images):
    write_images("images/1.jpg", "images/2.jpg")
    sentences = [{"raw": text} for text in DOGS]
    write(
        tmp_path / "dataset_flickr30k.json",
        {
            "images": [
                {"filename": "1.jpg", "split": "val", "sentences": sentences},
                {"filename": "2.jpg", "split": "train", "sentences": sentences[:1]},
            ]
        },
    )
    corpus = Flickr30k(tmp_path)
    assert corpus.splits() == ("dev", "test", "train")
    assert [captions for _, _, captions in summarise(corpus, "dev")] == [DOGS]
