"""Tools of a request and which of them may be used, read into the middle form."""

from __future__ import annotations

from tollway.core.errors import InvalidRequest
from tollway.dialects.body import Fields
from tollway.dialects.gemini.fields import fields_of, invalid, list_of, text_in, typed
from tollway.dialects.gemini.schema import to_json_schema
from tollway.dialects.generation.request import AnyTool, Json, OpaqueTool, Tool, ToolChoice, WebSearch

_SEARCHES = frozenset({"googleSearch", "googleSearchRetrieval"})


def read_tools(raw: Json | None) -> list[AnyTool]:
    """`tools`: functions, and what Google runs itself."""
    tools: list[AnyTool] = []
    for number, each in enumerate(list_of(raw, "tools")):
        for name, value in fields_of(each, f"tools[{number}]").items():
            if name == "functionDeclarations":
                path = f"tools[{number}].functionDeclarations"
                tools += [_function(one, f"{path}[{at}]") for at, one in enumerate(list_of(value, path))]
            elif name in _SEARCHES:
                tools.append(WebSearch(origin="gemini", raw=Json(b'{"%s":%s}' % (name.encode(), bytes(value)))))
            else:
                opaque = Json(b'{"%s":%s}' % (name.encode(), bytes(value)))
                tools.append(OpaqueTool(origin="gemini", kind=name, raw=opaque))
    return tools


def _function(raw: Json, path: str) -> Tool:
    fields = fields_of(raw, path)
    name = text_in(fields, "name", path)
    if not name:
        raise invalid(path, "an object with the name of a function")
    schema = fields.pop("parametersJsonSchema", None)
    google = fields.pop("parameters", None)
    if schema is None and google is not None:
        fields_of(google, f"{path}.parameters")
        schema = to_json_schema(google)
    description = text_in(fields, "description", path)
    rest = {key: value for key, value in fields.items() if key not in ("name", "description")}
    return Tool(name=name, description=description, parameters=schema, extra=rest)


def read_tool_config(raw: Json | None, extra: dict[str, Json]) -> ToolChoice | None:
    """`toolConfig`. What is left over goes into `extra`."""
    if raw is None:
        return None
    config = fields_of(raw, "toolConfig")
    calling = config.pop("functionCallingConfig", None)
    extra.update({f"toolConfig.{name}": value for name, value in config.items()})
    return _calling(fields_of(calling, _CALLING), extra) if calling is not None else None


_CALLING = "toolConfig.functionCallingConfig"


def _calling(fields: Fields, extra: dict[str, Json]) -> ToolChoice | None:
    mode = (text_in(fields, "mode", _CALLING) or "AUTO").upper()
    names: tuple[str, ...] = ()
    if "allowedFunctionNames" in fields:
        path = f"{_CALLING}.allowedFunctionNames"
        names = tuple(typed(fields["allowedFunctionNames"], path, list[str], "a list of strings"))
    rest = {name: value for name, value in fields.items() if name not in ("mode", "allowedFunctionNames")}
    extra.update({f"{_CALLING}.{name}": value for name, value in rest.items()})
    match mode:
        case "ANY" if len(names) == 1:
            return ToolChoice(mode="tool", names=names)
        case "ANY":
            return ToolChoice(mode="required", names=names)
        case "NONE":
            return ToolChoice(mode="none")
        case "VALIDATED" if not names:
            extra[f"{_CALLING}.mode"] = Json(b'"VALIDATED"')
            return ToolChoice(mode="auto")
        case "AUTO" | "VALIDATED":
            return ToolChoice(mode="auto", names=names)
        case "MODE_UNSPECIFIED":
            return None
    raise InvalidRequest(
        f"'{_CALLING}.mode' must be one of AUTO, ANY, NONE, VALIDATED, not '{mode}'.", param="toolConfig"
    )
