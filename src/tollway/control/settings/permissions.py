"""Who may see and change settings. What is written in the file format is for everybody to know."""

from __future__ import annotations

from tollway.control.kit.roles import ADMIN, PUBLIC, VIEWERS, Matrix, fields, read, write

_SECTIONS = fields(
    ("environment_variables", "litellm_settings", "general_settings", "router_settings", "model_list"), ADMIN
)

ACCESS: Matrix = {
    ("POST", "/config/update"): write(ADMIN, **_SECTIONS),
    ("GET", "/config/list"): read(VIEWERS),
    ("GET", "/config/field/info"): read(VIEWERS),
    ("POST", "/config/field/update"): write(ADMIN, **fields(("field_name", "field_value", "config_type"), ADMIN)),
    ("POST", "/config/field/delete"): write(ADMIN, **fields(("field_name", "config_type"), ADMIN)),
    ("GET", "/config/yaml"): PUBLIC,
    ("GET", "/get/config/callbacks"): read(VIEWERS),
    ("POST", "/fallback"): write(ADMIN, **fields(("model", "fallback_models", "fallback_type"), ADMIN)),
    ("GET", "/fallback/{model:path}"): read(VIEWERS),
    ("DELETE", "/fallback/{model:path}"): read(ADMIN),
    ("GET", "/get/allowed_ips"): read(VIEWERS),
    ("POST", "/add/allowed_ip"): write(ADMIN, **fields(("ip",), ADMIN)),
    ("POST", "/delete/allowed_ip"): write(ADMIN, **fields(("ip",), ADMIN)),
}
