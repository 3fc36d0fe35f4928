"""The plugin's components and the checks of their settings; see also ``test_every_plugin.py``."""

from __future__ import annotations

import subprocess
import sys

from multiattn.registry.host import load_host
from multiattn.registry.schema import Named
from multiattn_image import plugin
from multiattn_image.encoder import CNNGrid
from multiattn_image.reader import ImageReader, ImageSpec

RECORDS = list(plugin.multiattn_components())


def test_corpora_import_neither_torch_nor_pillow():
    script = (
        "import sys; import multiattn_image.corpora.caption_tables;"
        "import multiattn_image.corpora.flickr8k, multiattn_image.corpora.coco;"
        "assert not {'torch', 'torchvision', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_all_components_are_registered():
    names = {(record.kind, record.name) for record in RECORDS}
    assert names >= {
        *[("encoder", "cnn-grid"), ("reader", "image"), ("renderer", "grid")],
        *[("corpus", name) for name in ("flickr8k", "coco-captions", "captions")],
        *[("metric", name) for name in ("cider", "meteor", "coco-rouge-l")],
        *[("metric", f"coco-bleu-{order}") for order in (1, 2, 3, 4)],
    }


def test_reader_and_encoder_are_built_from_a_recipes_settings():
    host = load_host()
    settings = {"name": "image", "size": 64, "augmentation": {"scale": [0.8, 1], "flip": 0}}
    reader = host.build("reader", Named.model_validate(settings))
    assert isinstance(reader, ImageReader)
    assert reader.random
    assert reader.spec == ImageSpec(3, 64)
    encoder = host.build("encoder", Named(name="cnn-grid"), reader.spec)
    assert isinstance(encoder, CNNGrid)


def test_a_wrong_setting_is_reported_before_anything_is_built():
    host = load_host()
    wrong_settings = [
        ("reader", {"name": "image", "sizes": 224}),
        ("reader", {"name": "image", "size": 0}),
        ("reader", {"name": "image", "augmentation": {"scale": [0.5, 2]}}),
        ("reader", {"name": "image", "augmentation": {"rotation": 10}}),
        ("corpus", {"name": "flickr8k", "columns": {}}),
        ("corpus", {"name": "captions", "images": "there"}),
    ]
    for kind, settings in wrong_settings:
        (mistake,) = host.mistakes(kind, Named.model_validate(settings), "place")
        assert "place" in mistake.key
