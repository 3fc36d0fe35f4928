"""A run that is served: what it takes, how it is searched, and how inputs become answers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from multiattn.data.collation import ObjectReader
from multiattn.data.corpus import Example, StoredMedia, media_sources, open_corpus
from multiattn.data.splits import Splits
from multiattn.errors import UserError
from multiattn.prediction.prediction import Prediction
from multiattn.prediction.predictor import Predictor
from multiattn.recipe.settings import SearchSettings
from multiattn.registry import records
from multiattn.runs.source_sizes import SourceSizes
from multiattn.serve.limits import Limits, RequestError

CONTROLS = ("method", "beam", "n_best", "length_penalty", "temperature")
KEPT_SETTINGS = 8  # searches that are kept ready
EXAMPLES = 12  # of the test split, on the page
PREVIEW = 80  # characters of an example's text

Value = str | StoredMedia


class ServedRun:
    """One run, loaded; its answers are those of ``predict``."""

    def __init__(self, name: str, predictor: Predictor, limits: Limits) -> None:
        self.name = name
        self._system = predictor.system
        self._device = predictor.device
        self._limits = limits
        self._predictors: OrderedDict[str, Predictor] = OrderedDict()
        self._default = predictor
        settings, host = self._system.settings, self._system.host
        self.media = media_sources(settings.sources, host)
        self._longest = {
            source: size.longest for source, size in SourceSizes.read(self._system.run).items()
        }
        self._readers: Mapping[str, Any] = self._system.processors.readers
        self._records = {
            source: host.find("reader", own.reader.name).record
            for source, own in settings.sources.items()
        }
        if not settings.sources:
            raise UserError(
                f"expected a run with sources to serve, got {name}, a language model; use "
                "`multiattn predict`"
            )
        unable = [source for source in self.media if not self._takes_media(source)]
        if unable:
            raise UserError(
                f"expected a run whose readers take the content of files, got {name}, whose source "
                f"{unable[0]!r} takes paths alone; use `multiattn predict`"
            )
        self.examples = self._read_examples()

    def _takes_media(self, source: str) -> bool:
        reader = self._readers[source]
        return isinstance(reader, ObjectReader) and StoredMedia in reader.accepts

    def _read_examples(self) -> dict[str, dict[str, Any]]:
        """Some inputs of the test split by id, if the corpus is there."""
        settings = self._system.settings
        try:
            data = self._system.run.read_start()["data"]
            splits = Splits(open_corpus(settings.corpus, self._system.host, data), settings)
            test = splits.examples(splits.names.test)
        except UserError:
            return {}
        chosen: Sequence[Example] = test[:: max(1, len(test) // EXAMPLES)][:EXAMPLES]
        return {
            example.id: {
                source: example.fields[own.field] for source, own in settings.sources.items()
            }
            for example in chosen
        }

    def describe(self) -> dict[str, Any]:
        """What the page and other programs must know."""
        search = self._system.settings.search
        return {
            "name": self.name,
            "summary": self._system.settings.summary,
            "sources": [self._describe_source(source) for source in self._records],
            "search": {key: getattr(search, key) for key in CONTROLS},
            "examples": [
                {"id": name, "preview": self._preview(name, values)}
                for name, values in self.examples.items()
            ],
        }

    def _describe_source(self, source: str) -> dict[str, Any]:
        record = self._records[source]
        assert isinstance(record, records.Reader)  # noqa: S101
        kind = "text" if record.reads_text else record.produces
        return {"name": source, "kind": kind, "suffixes": list(record.suffixes)}

    def _preview(self, name: str, values: Mapping[str, Any]) -> str:
        """The texts of an example; its id if it has none."""
        texts = [value for source, value in values.items() if source not in self.media and value]
        return " | ".join(map(str, texts))[:PREVIEW] or name

    def example(self, name: str) -> dict[str, Any]:
        """An input of the test split. Raises RequestError for an unknown id."""
        if name not in self.examples:
            raise RequestError(
                404, f"expected the id of an example of {self.name}, got another one"
            )
        return self.examples[name]

    def check(self, values: Mapping[str, Value | None]) -> None:
        """Raise RequestError for an input that is too large, or none, before it is decoded."""
        for source, value in values.items():
            if value is None:
                continue
            try:
                size = self._readers[source].measure(value)
            except UserError as error:
                raise RequestError(422, str(error)) from error
            most = self._limits.media * self._longest.get(source, float("inf"))
            if source in self.media and size > most:
                raise RequestError(
                    413,
                    f"expected a file for {source!r} of at most {self._limits.media:g} times the "
                    "longest in training, got a longer one; cut it",
                )

    def search(self, changes: Mapping[str, str]) -> SearchSettings:
        """The recipe's search with these values. Raises RequestError for one that does not fit."""
        own = self._system.settings.search
        changed = {key: value for key, value in changes.items() if value != ""}
        try:
            search = SearchSettings.model_validate({**own.model_dump(), **changed}, strict=False)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "search"
            raise RequestError(
                422, f"expected another value of {where}, got {first['input']!r} ({first['msg']})"
            ) from error
        if search.beam > self._limits.beam or search.n_best > self._limits.beam:
            raise RequestError(
                422, f"expected a beam and n_best of at most {self._limits.beam}, got more"
            )
        most = self._limits.length_penalty
        if abs(search.length_penalty) > most:
            raise RequestError(
                422, f"expected a length_penalty from -{most:g} to {most:g}, got another"
            )
        return search

    def answers(
        self, search: SearchSettings, inputs: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any] | Exception]:
        """The viewer's JSON for each input, or why there is none."""
        outcomes = self._predictor(search).attempts(inputs)
        return [
            outcome if isinstance(outcome, UserError) else self._json(outcome)
            for outcome in outcomes
        ]

    def _json(self, prediction: Prediction) -> dict[str, Any]:
        return {"run": self.name, **prediction.view()}

    def _predictor(self, search: SearchSettings) -> Predictor:
        """A predictor with these settings; the model is the same for all."""
        settings = self._system.settings
        if search == settings.search:
            return self._default
        key = search.model_dump_json()
        if key not in self._predictors:
            changed = settings.model_copy(update={"search": search})
            self._predictors[key] = Predictor(replace(self._system, settings=changed), self._device)
        self._predictors.move_to_end(key)
        while len(self._predictors) > KEPT_SETTINGS:
            self._predictors.popitem(last=False)
        return self._predictors[key]
