"""A request in the middle form, written as a Converse request. The model is named by the path alone."""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.dialects.converse.content import ConverseWriter, write_blocks, write_turns
from tollway.dialects.converse.models import write_top_k
from tollway.dialects.converse.reasoning import write_reasoning
from tollway.dialects.converse.tools import write_tools
from tollway.dialects.generation.dialect import Rendered, Target
from tollway.dialects.generation.losses import LossKind, unknown_fields
from tollway.dialects.generation.request import Request
from tollway.dialects.generation.unsaid import sampling_loss
from tollway.dialects.messages.models import traits_of
from tollway.dialects.messages.render import LOST

_TIERS = frozenset({"priority", "default", "flex", "reserved"})
_OWN_FIELDS = frozenset(
    {
        "additionalModelResponseFieldPaths",
        "guardrailConfig",
        "outputConfig",
        "performanceConfig",
        "projectIdentifier",
        "promptVariables",
        "requestMetadata",
        "serviceTier",
    }
)
"""Fields of Converse that existing clients put into a chat request; any other is the model's own."""
_MORE = "additionalModelRequestFields"

_LOST = (("n", "choices", LossKind.PARAMETER), *LOST, ("user", "user", LossKind.HINT))


def render_request(request: Request, target: Target) -> Rendered:
    """The body for a provider, and what Converse cannot say."""
    writer = ConverseWriter(request, target)
    leading = next((at for at, message in enumerate(request.messages) if message.role != "system"), None)
    first = len(request.messages) if leading is None else leading
    fields: dict[str, Any] = {"messages": write_turns(request.messages[first:], writer)}
    system = [block for message in request.messages[:first] for block in write_blocks(message.parts, writer, "system")]
    if system:
        fields["system"] = system
    more: dict[str, Any] = {}
    _settings(writer, fields, more)
    write_reasoning(writer, fields, more)
    write_tools(writer, fields, more)
    _extra(writer, fields, more)
    for loss in unknown_fields(request):
        writer.lose(loss.kind, loss.field)
    if more:
        fields[_MORE] = more
    return Rendered(fields=fields, losses=list(writer.losses))


def _settings(writer: ConverseWriter, fields: dict[str, Any], more: dict[str, Any]) -> None:
    request = writer.request
    inference: dict[str, Any] = {}
    if request.max_output_tokens is not None:
        inference["maxTokens"] = request.max_output_tokens
    takes_sampling = writer.family != "claude" or traits_of(writer.target.model).takes_sampling
    for name, value in (("temperature", request.temperature), ("topP", request.top_p)):
        if value is not None and takes_sampling:
            inference[name] = min(value, 1.0)
        elif value not in (None, 1):
            kind = LossKind.PARAMETER if name == "temperature" else sampling_loss(request)
            writer.lose(kind, "temperature" if name == "temperature" else "top_p")
    if request.stop:
        inference["stopSequences"] = request.stop
        if writer.family == "claude":  # which of them it was is only said when asked for
            fields["additionalModelResponseFieldPaths"] = ["/stop_sequence"]
    if inference:
        fields["inferenceConfig"] = inference
    if request.top_k is not None and not takes_sampling:
        writer.lose(sampling_loss(request), "top_k")
    elif request.top_k is not None:
        more.update(write_top_k(writer.family, request.top_k))
    if request.service_tier in _TIERS:
        fields["serviceTier"] = {"type": request.service_tier}
    elif request.service_tier not in (None, "auto"):
        writer.lose(LossKind.HINT, "service_tier")
    _format(writer, fields)
    if request.modalities is not None and request.modalities != ["text"]:
        writer.lose(LossKind.PARAMETER, "modalities")
    for field, attribute, kind in _LOST:
        value = getattr(request, attribute)
        if value is not None and not (attribute == "choices" and value == 1):
            writer.lose(kind, field)


def _format(writer: ConverseWriter, fields: dict[str, Any]) -> None:
    wanted = writer.request.format
    if wanted is None or wanted.kind == "text":
        return
    if wanted.kind == "json_object":
        writer.lose(LossKind.PARAMETER, "response_format")
        return
    schema: dict[str, Any] = {"schema": bytes(wanted.schema).decode() if wanted.schema is not None else "{}"}
    described = (("name", wanted.name), ("description", wanted.description))
    schema |= {name: value for name, value in described if value}
    fields["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}


def _extra(writer: ConverseWriter, fields: dict[str, Any], more: dict[str, Any]) -> None:
    """What the caller's format has no field for is Converse's where Converse has the name, else the model's."""
    request = writer.request
    takes_rest = request.origin == "chat" or (request.origin == "messages" and writer.family == "claude")
    for name, raw in request.extra.items():
        if name == _MORE:
            more.update(_object(raw))
        elif name in _OWN_FIELDS:
            fields[name] = raw
        elif takes_rest:
            more.setdefault(name, raw)
        else:
            writer.lose(LossKind.UNKNOWN, name)


def _object(raw: msgspec.Raw) -> dict[str, msgspec.Raw]:
    try:
        return msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return {}
