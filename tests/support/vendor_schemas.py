"""What vendors themselves say of a request: their SDKs' types, and Amazon's description of its service."""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable
from functools import cache
from typing import Any, Literal

import typing_extensions
from pydantic import ConfigDict, TypeAdapter, ValidationError


@cache
def _adapter(package: str, type_: Any) -> TypeAdapter[Any]:
    """For a type of an SDK, which takes nothing that it does not name."""
    for name, module in list(sys.modules.items()):
        if name.startswith(f"{package}.types"):
            for each in vars(module).values():
                if isinstance(each, type) and typing_extensions.is_typeddict(each):
                    is_open = getattr(each, "__extra_items__", typing_extensions.NoExtraItems)
                    rest: Literal["forbid"] | None = "forbid" if is_open is typing_extensions.NoExtraItems else None
                    each.__pydantic_config__ = ConfigDict(extra=rest, arbitrary_types_allowed=True)  # type: ignore[attr-defined]
    return TypeAdapter(type_)


def _exhaust(value: Any) -> None:
    """Lists are checked when they are read."""
    if isinstance(value, dict):
        for each in value.values():
            _exhaust(each)
    elif isinstance(value, list | tuple) or hasattr(value, "__next__"):
        for each in value:
            _exhaust(each)


def _errors_of_type(package: str, type_: Any, body: dict[str, Any]) -> list[str]:
    try:
        _exhaust(_adapter(package, type_).validate_python(body))
    except ValidationError as error:
        return [f"{'.'.join(map(str, each['loc']))}: {each['msg']} ({each['input']!r:.80})" for each in error.errors()]
    return []


def errors_in_chat(body: dict[str, Any]) -> list[str]:
    """By OpenAI's SDK."""
    from openai.types.chat.completion_create_params import CompletionCreateParams

    return _errors_of_type("openai", CompletionCreateParams, body)


def _as_typed(item: dict[str, Any]) -> dict[str, Any]:
    """An item with what the types of the SDK insist on and the API does not: an id for the assistant's parts."""
    content = item.get("content")
    if item.get("role") != "assistant" or not isinstance(content, list):
        return item
    parts = [{"annotations": [], **part} if "text" in part else part for part in content]
    return {"id": "msg_1", "status": "completed", **item, "content": parts}


def errors_in_responses(body: dict[str, Any]) -> list[str]:
    """By OpenAI's SDK, whose union of parts leaves out the sounds it has a type for."""
    from openai.types.responses.response_create_params import ResponseCreateParams
    from openai.types.responses.response_input_audio_param import ResponseInputAudioParam

    errors: list[str] = []
    items = [_as_typed(item) for item in body["input"]] if isinstance(body["input"], list) else body["input"]
    for item in items if isinstance(items, list) else ():
        if item.get("role") == "user" and isinstance(item["content"], list):
            for part in (part for part in item["content"] if part["type"] == "input_audio"):
                errors += _errors_of_type("openai", ResponseInputAudioParam, part)
            item["content"] = [part for part in item["content"] if part["type"] != "input_audio"]
    return errors + _errors_of_type("openai", ResponseCreateParams, {**body, "input": items})


_OF_OLDER_MODELS = frozenset({"temperature", "top_p", "top_k"})
"""The API takes them for these; the SDK no longer names them."""


def errors_in_messages(body: dict[str, Any]) -> list[str]:
    """By Anthropic's SDK, flags of the beta included."""
    from anthropic.types.beta.message_create_params import MessageCreateParams

    named = {name: value for name, value in body.items() if name not in _OF_OLDER_MODELS}
    return _errors_of_type("anthropic", MessageCreateParams, named)


def errors_in_gemini(body: dict[str, Any]) -> list[str]:
    """By Google's SDK, which has a model for each part of a request and none for the whole."""
    from google.genai import types
    from pydantic import BaseModel

    parts: dict[str, Any] = {
        "contents": list[types.Content],
        "systemInstruction": types.Content,
        "tools": list[types.Tool],
        "toolConfig": types.ToolConfig,
        "generationConfig": types.GenerationConfig,
        "safetySettings": list[types.SafetySetting],
        "cachedContent": str,
        "labels": dict[str, str],
    }
    errors = [f"{name}: not a field" for name in body.keys() - parts.keys()]
    assert issubclass(types.Content, BaseModel)
    for name in body.keys() & parts.keys():
        try:
            TypeAdapter(parts[name]).validate_python(body[name])
        except ValidationError as error:
            errors += [f"{name}.{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
    return errors


@cache
def _operation(name: str) -> Any:
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    return ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2")).operation_model(name).input_shape


def errors_in_converse(body: dict[str, Any], operation: str = "Converse") -> list[str]:
    """By Amazon's description of Bedrock."""
    from botocore.validate import ParamValidator

    class Validator(ParamValidator):  # type: ignore[misc]  # botocore has no types
        """Bytes are base64 by the time they are JSON."""

        def _validate_blob(self, param: Any, shape: Any, errors: Any, name: str) -> None:
            try:
                base64.b64decode(param, validate=True)
            except (TypeError, ValueError):
                errors.report(name, "invalid type", param=param, valid_types=["base64"])

    report = Validator().validate({"modelId": "m", **body}, _operation(operation))
    return report.generate_report().splitlines() if report.has_errors() else []


CHECKS: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "chat": errors_in_chat,
    "responses": errors_in_responses,
    "messages": errors_in_messages,
    "gemini": errors_in_gemini,
    "converse": errors_in_converse,
}
"""Formats of requests, and who says what is wrong with one."""
