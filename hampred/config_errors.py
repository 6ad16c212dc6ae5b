"""One line for each mistake that pydantic finds in a configuration: its place, the value and what to write instead."""

import reprlib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel


def tell(model: type[BaseModel], error: Mapping[str, Any]) -> str:
    """One error as key path, value and remedy.

    Args:
        model: The schema that was not met.
        error: One of pydantic's ``ValidationError.errors()``.
    """
    path, known = _locate(model, error["loc"])
    key, value = path.rpartition(".")[2], error["input"]
    if error["type"] == "extra_forbidden":
        close = get_close_matches(key, known, n=1)
        return f"unknown key {path}" + (f" (did you mean {close[0]}?)" if close else f" (known: {', '.join(known)})")
    if error["type"] == "missing":
        return f"missing key {path}"
    if error["type"].startswith("union_tag"):
        return f"{path}: {error['msg']}"
    short = reprlib.Repr()
    short.maxlevel = 2  # a value may be as deep as a hostile file makes it
    message = error["msg"].removeprefix("Value error, ")
    quote = "; quote it" if error["type"] == "string_type" and value is not None else ""
    quote = "; quote it, YAML reads No, Yes, On and Off as true or false" if isinstance(value, bool) else quote
    return f"{path}: {message[0].lower()}{message[1:]}, not {short.repr(value)}{quote}"


def _locate(model: type[BaseModel], location: Sequence[str | int]) -> tuple[str, list[str]]:
    """Dotted path of an error without the tags of unions, and the keys known where its last part stands."""
    path: list[str] = []
    here: list[type[BaseModel]] = [model]
    known: list[str] = []
    for part in location:
        tagged = [m for m in here if "kind" in m.model_fields and part in get_args(m.model_fields["kind"].annotation)]
        if len(here) > 1 and tagged:
            here = tagged
            continue
        path.append(str(part))
        if isinstance(part, str):
            known = sorted({name for m in here for name in m.model_fields})
            here = [n for m in here if part in m.model_fields for n in _models(m.model_fields[part].annotation)]
    return ".".join(path), known


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]
