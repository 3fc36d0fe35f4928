"""Validation during training, error details and results compare texts in one Unicode form."""

from types import SimpleNamespace

import numpy as np

from multiattn.recipe.settings import EvaluationSettings
from multiattn.registry import records
from multiattn.scoring.evaluator import DecodedExample, Evaluator

COMPOSED, DECOMPOSED = "f\u00fcr", "fu\u0308r\u200b"


class Same:
    def statistics(self, hypotheses, references):
        return np.array(
            [[text in own] for text, own in zip(hypotheses, references, strict=True)], float
        )

    def aggregate(self, sums, count):
        return {"same": sums[0] / count}

    def signature(self):
        return "version:1"

    def details(self, hypotheses, references, ids):
        return f"{hypotheses[0]}={references[0][0]}"


def test_validation_results_and_details_agree_on_texts_in_two_forms():
    record = records.Metric(
        name="same", target="x:X", summary="…", higher_is_better=True, unit="0-1"
    )
    host = SimpleNamespace(find=lambda *_: SimpleNamespace(record=record), build=lambda *_: Same())
    evaluator = Evaluator(EvaluationSettings.model_validate({"metrics": ["same"]}), host)
    written = [
        DecodedExample("1", (COMPOSED,), (0.0,), (DECOMPOSED,)),
        DecodedExample("2", ("a",), (0.0,), ("a", "b")),
    ]
    assert evaluator.values(written) == {"same": 1.0}
    score = evaluator.scores(written)["same"]
    assert score.value == 1.0
    assert score.signature == "same|nrefs:var|bs:1000|seed:12345|unicode:nfc|version:1"
    assert "0 of 2 outputs and 1 of 3 references were not in" in score.warnings[0]
    assert evaluator.groups(written, ["x", "y"])["x"]["same"].value == 1.0
    assert evaluator.error_details(written) == {"same.txt": f"{COMPOSED}={COMPOSED}"}
    assert written[0].references == (DECOMPOSED,)
    clean = evaluator.scores(written[1:])["same"]
    assert (clean.signature, clean.warnings) == ("same|nrefs:2|bs:1000|seed:12345|version:1", ())
