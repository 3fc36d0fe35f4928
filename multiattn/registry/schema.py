"""A target's signature is the schema of its settings: read it, check values against it."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import ErrorDetails

from multiattn.errors import UserError, shown

MISSING = "expected a value, got none; give one"


@dataclass(frozen=True)
class Slot:
    """Marks a keyword as a component of one kind, which the target itself builds.

    ``of: Annotated[Callable[..., nn.Module], Slot("attention")] = Additive`` takes ``of: dot`` or
    ``of: {name: additive, dim: 64}`` in a recipe; the target receives a callable that builds it.
    """

    kind: str


@dataclass(frozen=True)
class Mistake:
    """A mistake at a dotted key of a recipe, described in a sentence.

    unknown_key: whether the key itself is wrong, whatever its value.
    """

    key: str
    sentence: str
    unknown_key: bool = False

    def __str__(self) -> str:
        return f"{self.key}: {self.sentence}"


@dataclass(frozen=True)
class Setting:
    """One keyword-only parameter: its type, its default and, for a slot, the kind of component."""

    name: str
    annotation: Any
    default: object
    slot: Slot | None

    @property
    def required(self) -> bool:
        """Whether a recipe has to set it."""
        return self.default is inspect.Parameter.empty


def settings_of(target: Callable[..., object]) -> dict[str, Setting]:
    """Read a target's settings, which are its keyword-only parameters, by name.

    A class without its own ``__init__`` has none. Raises UserError for a signature that cannot
    be a schema: ``**kwargs``, an untyped keyword, a type that a recipe cannot express.
    """
    if inspect.isclass(target) and "__init__" not in vars(target):
        return {}
    settings = {}
    for name, parameter in signature_of(target).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            raise UserError(
                f"expected named settings in the signature of {_target_path(target)}, got "
                f"**{name}; list every keyword"
            )
        if parameter.kind is parameter.KEYWORD_ONLY:
            settings[name] = _setting(target, parameter)
    return settings


def signature_of(target: Callable[..., object]) -> inspect.Signature:
    """Read the signature with its annotations evaluated; raises UserError if one cannot be."""
    try:
        return inspect.signature(target, eval_str=True)
    except (NameError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"expected a readable signature of {_target_path(target)}, got {error}; "
            "import the names in its annotations at the top of the module, not under TYPE_CHECKING"
        ) from error


def _setting(target: Callable[..., object], parameter: inspect.Parameter) -> Setting:
    annotation = parameter.annotation
    slot = _slot(annotation)
    keyword = f"keyword {parameter.name!r} of {_target_path(target)}"
    if annotation is parameter.empty:
        raise UserError(f"expected a type for {keyword}, got none; annotate it")
    if slot is None:
        try:
            TypeAdapter(annotation)
        except PydanticUserError as error:
            raise UserError(
                f"expected a type that a recipe can express for {keyword}, got {annotation!r}; "
                "use numbers, strings, tuples or mappings of these, or a component's Slot"
            ) from error
    return Setting(parameter.name, annotation, parameter.default, slot)


def _slot(annotation: Any) -> Slot | None:
    """Find the slot of ``Annotated[Callable[..., X], Slot(kind)]``, optionally ``| None``."""
    for part in (annotation, *get_args(annotation)):
        for note in getattr(part, "__metadata__", ()):
            if isinstance(note, Slot):
                return note
    return None


def _target_path(target: Callable[..., object]) -> str:
    return f"{target.__module__}:{getattr(target, '__qualname__', target)}"


def validate(setting: Setting, value: object) -> tuple[Any, list[Mistake]]:
    """Convert ``value`` to the setting's type; also return the ``mistakes_in`` it, if any."""
    try:
        return TypeAdapter(setting.annotation).validate_python(value), []
    except ValidationError as error:
        return value, mistakes_in(value, setting.annotation, error)


def mistakes_in(value: object, expected: Any, error: ValidationError) -> list[Mistake]:
    """List pydantic's errors; their keys lead into ``value``.

    expected: the type to validate against. For a union, pydantic reports every alternative; here
    only the one that matched furthest is reported, or all of them in one sentence.
    """
    details: dict[tuple[str, ...], list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        details.setdefault(_location(detail, value), []).append(detail)
    return [
        Mistake(
            ".".join(path),
            _sentence(alternatives, expected, path),
            unknown_key=alternatives[0]["type"] == "extra_forbidden",
        )
        for path, alternatives in details.items()
        if not any(path == longer[: len(path)] and path != longer for longer in details)
    ]


def _location(detail: ErrorDetails, value: Any) -> tuple[str, ...]:
    """The keys leading into ``value``, without pydantic's names for a union's alternatives."""
    steps = []
    for step in detail["loc"]:
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, list | tuple) and isinstance(step, int):
            value = value[step] if step < len(value) else None
        elif detail["type"] != "missing" or step != detail["loc"][-1]:
            continue
        steps.append(str(step))
    return tuple(steps)


def _sentence(details: Sequence[ErrorDetails], expected: Any, path: Sequence[str]) -> str:
    detail = details[0]
    if detail["type"] == "missing":
        return MISSING
    if detail["type"] == "extra_forbidden":
        known = _fields_at(expected, path[:-1])
        return f"expected a known key, got {shown(path[-1])}; {suggestion(path[-1], known)}"
    wanted = [each["msg"].removeprefix("Input should be ") for each in details]
    wanted = [each.removeprefix("Value error, ").split(" or instance of ")[0] for each in wanted]
    first = wanted[0][0].lower() + wanted[0][1:]
    expectation = f"expected {' or '.join([first, *wanted[1:]])}"
    if detail["input"] is None:
        return f"{expectation}, got null; give one, or leave the key out if it has a default"
    return f"{expectation}, got {shown(detail['input'])}"


def _fields_at(expected: Any, path: Sequence[str]) -> list[str]:
    """The fields of the pydantic model at a key path within a type; mapping keys are skipped."""
    model = next(_models(expected), BaseModel)
    for step in path:
        if step in model.model_fields:
            model = next(_models(model.model_fields[step].annotation), model)
    return list(model.model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def suggestion(word: str, known: Iterable[str]) -> str:
    """Suggest replacements for an unknown word: the closest known words, or all of them."""
    names = sorted(set(known))
    close = difflib.get_close_matches(word, names)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"choose from {', '.join(names)}" if names else "there are none to choose from"


Probability = Annotated[float, Field(ge=0.0, lt=1.0)]


class Strict(BaseModel):
    """An immutable model that rejects unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Named(BaseModel):
    """A component by name; all other keys are its settings."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    name: str

    @property
    def settings(self) -> dict[str, Any]:
        """Every key but the name."""
        return dict(self.model_extra or {})


def _named(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


NamedComponent = Annotated[Named, BeforeValidator(_named)]


class WeightedComponent(Named):
    """An objective or a scorer and its weight in the sum."""

    weight: float = 1.0


Weighted = Annotated[WeightedComponent, BeforeValidator(_named)]
