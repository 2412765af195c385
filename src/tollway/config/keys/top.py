"""The top level of a configuration file."""

# ruff: noqa: E501  (a table: one row, one line)
from __future__ import annotations

from tollway.config.keys.key import later, section, supported
from tollway.config.kinds import ANY, LIST, MAPPING, TEXTS

TOP = section(
    "",
    (
        supported("model_list", LIST, "T1", "The deployments."),
        supported("litellm_settings", MAPPING, "T1", "How calls are made and reported."),
        supported("router_settings", MAPPING, "T1", "How one of several deployments is chosen."),
        supported("general_settings", MAPPING, "T1", "The server."),
        supported("environment_variables", MAPPING, "T1", "Variables for this process, such as provider keys. Those that decide which code runs are refused."),
        supported("include", TEXTS, "T1", "More files, relative to this one: lists are joined, mappings merged; this file wins."),
        later("guardrails", LIST, "T1", "Checks on prompts and answers."),
        later("mcp_servers", MAPPING, "T2", "Tool servers."),
        later("mcp_aliases", MAPPING, "T2", "Short names of tool servers."),
        later("mcp_tools", LIST, "T2", "Tools."),
        supported("credential_list", LIST, "T2", "Named credentials: `credential_name`, `credential_values`, `credential_info`."),
        later("vector_store_registry", LIST, "T2", "Vector stores."),
        later("search_tools", LIST, "T2", "Web search services."),
        later("prompts", LIST, "T3", "Stored prompts."),
        later("files_settings", LIST, "T3", "Credentials of the files API."),
        later("finetune_settings", LIST, "T3", "Credentials of the fine-tuning API."),
        later("assistant_settings", MAPPING, "T3", "Credentials of the assistants API."),
        later("default_vertex_config", MAPPING, "T2", "Credentials of forwarded Vertex AI calls."),
        supported("callback_settings", MAPPING, "T2", "Options of callbacks: a mapping for each, by its name."),
        later("policies", ANY, "T3", "Policies."),
        later("policy_attachments", ANY, "T3", "What policies apply to."),
        later("agents", ANY, "T3", "Agents."),
        later("worker_registry", ANY, "T3", "Workers."),
    ),
)  # fmt: skip
