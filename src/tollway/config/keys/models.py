"""`model_list[]`: `litellm_params` and `model_info`."""

# ruff: noqa: E501  (a table: one row, one line)
from __future__ import annotations

from tollway.config.keys.key import Key, Tier, accepted, later, section, supported
from tollway.config.kinds import (
    ANY,
    COUNT,
    DURATION,
    FLAG,
    LIST,
    MAPPING,
    MONEY,
    POSITIVE,
    SECONDS,
    SECONDS_OR_NONE,
    SECRET,
    TEXT,
    TEXTS,
    URL,
    VERIFICATION,
    WEIGHT,
    Kind,
    choice,
)  # fmt: skip


def _supported(names: str, kind: Kind, meaning: str, tier: Tier = "T1") -> tuple[Key, ...]:
    return tuple(supported(name, kind, tier, meaning) for name in names.split())


def _later(names: str, kind: Kind, tier: Tier, meaning: str, remedy: str = "") -> tuple[Key, ...]:
    return tuple(later(name, kind, tier, meaning, remedy=remedy) for name in names.split())


ENTRY = section(
    "model_list[]",
    (
        supported("model_name", TEXT, "T1", "Public name. Entries of one name share its calls; `provider/*` and `*` match many."),
        supported("litellm_params", MAPPING, "T1", "What to call, and how."),
        supported("model_info", MAPPING, "T1", "What is known about the model; shown in listings.", default={}),
    ),
)  # fmt: skip

CREDENTIAL = section(
    "credential_list[]",
    (
        supported("credential_name", TEXT, "T2", "What `litellm_credential_name` says."),
        supported("credential_values", MAPPING, "T2", "Parameters of a connection, as under `litellm_params`."),
        supported("credential_info", MAPPING, "T2", "What is known about it; shown in listings.", default={}),
    ),
)  # fmt: skip

_TIER_PRICES = " ".join(
    f"{what}_{tier}"
    for what in ("*_token", "*_token_cost", "*_above_*k_tokens")
    for tier in ("priority", "flex", "batches")
)
PRICES = (
    supported("input_cost_per_token", MONEY, "T1", "Dollars per prompt token."),
    supported("output_cost_per_token", MONEY, "T1", "Dollars per answer token."),
    supported("cache_read_input_token_cost", MONEY, "T1", "Dollars per prompt token read from the provider's cache."),
    supported("cache_creation_input_token_cost", MONEY, "T1", "Dollars per prompt token written to the provider's cache."),
    supported("cache_creation_input_token_cost_above_1hr", MONEY, "T1", "The same with a lifetime of an hour."),
    supported("input_cost_per_audio_token", MONEY, "T1", "Dollars per token of audio in the prompt."),
    supported("output_cost_per_audio_token", MONEY, "T1", "Dollars per token of audio in the answer."),
    supported("output_cost_per_reasoning_token", MONEY, "T1", "Dollars per token of reasoning."),
    supported("input_cost_per_request", MONEY, "T1", "Dollars per call."),
    supported("*_above_*k_tokens", MONEY, "T1", "The price once the prompt is longer than that many thousand tokens."),
    supported("search_context_cost_per_query", MAPPING, "T1", "Dollars per search of the web: `search_context_size_low`, `…_medium`, `…_high`."),
    supported("file_search_cost_per_1k_calls", MONEY, "T1", "Dollars per thousand searches in the vendor's file stores."),
    supported("code_interpreter_cost_per_session", MONEY, "T1", "Dollars per container in which the vendor runs code."),
    *_later("*_per_second", MONEY, "T1", "Dollars per second.", "give prices per token"),
    *_later("*_per_pixel *_per_image *_per_character", MONEY, "T2", "Dollars per unit.", "give prices per token"),
    *_supported(_TIER_PRICES, MONEY, "The price in that service tier; else the standard one is used.", "T2"),
    *_later("*_batches *_priority *_flex", MONEY, "T2", "Dollars per unit in a service tier.", "give prices per token"),
)  # fmt: skip

_LATER_VENDOR = "Credentials and place of a provider that a later release calls."

CONNECTION = (
    *_supported("azure_ad_token", SECRET, "Access token for Azure, instead of a key.", "T2"),
    *_supported("tenant_id client_id azure_scope azure_username", TEXT, "Who asks Azure for an access token.", "T2"),
    *_supported("client_secret azure_password", SECRET, "Their credential.", "T2"),
    *_supported("vertex_project vertex_location", TEXT, "Project and region of Vertex AI that are called."),
    *_supported("vertex_credentials", SECRET, "Credentials for Vertex AI: the JSON of a service account's key or of a federated identity, or the path of its file."),
    *_supported("aws_access_key_id aws_secret_access_key aws_session_token", SECRET, "Keys that sign calls to Bedrock."),
    *_supported("aws_region_name", TEXT, "Region of Bedrock that is called."),
    *_supported("aws_role_name aws_session_name aws_external_id", TEXT, "Role to take for calls to Bedrock, and under which name."),
    *_supported("aws_web_identity_token", SECRET, "Token of another identity provider that may take the role, or the path of a file that holds it."),
    *_supported("aws_sts_endpoint aws_bedrock_runtime_endpoint", TEXT, "Address of Amazon's token service, of Bedrock; else the region's own."),
    *_supported("aws_profile_name", TEXT, "Profile of the AWS configuration files whose keys, role and region are used for Bedrock."),
    *_supported("region_name watsonx_region_name gcs_bucket_name", TEXT, _LATER_VENDOR, "T3"),
    *_supported("s3_* bedrock_tags", ANY, _LATER_VENDOR, "T3"),
)  # fmt: skip
"""Handed to the provider, never put into a body."""

BODY_FIELDS = frozenset(
    (  # noqa: SIM905  (words read better than sixty quoted ones)
        "audio best_of chat_template_kwargs demo dimensions echo encoding_format frequency_penalty guided_choice "
        "guided_grammar guided_json guided_regex ignore_eos include_reasoning input_type keep_alive logit_bias logprobs "
        "max_completion_tokens max_tokens metadata min_p modalities n num_ctx num_predict options parallel_tool_calls "
        "prediction presence_penalty prompt_cache_key prompt_cache_retention provider reasoning reasoning_effort "
        "repeat_penalty repetition_penalty response_format safe_prompt safety_identifier search_parameters seed "
        "service_tier stop stop_token_ids store stream stream_options suffix temperature thinking tool_choice tools "
        "top_a top_k top_logprobs top_p transforms truncate_prompt_tokens typical_p user verbosity web_search_options"
    ).split()
)  # fmt: skip
"""Body fields that are often given as defaults. Any other field is sent just the same, unless it looks mistyped."""

PARAMS = section(
    "litellm_params",
    (
        supported("model", TEXT, "T1", "What to call: `provider/name`."),
        *_supported("api_key", SECRET, "The provider's key; else the provider's environment variable."),
        *_supported("api_base base_url", URL, "Address of the provider's API; else the vendor's own."),
        *_supported("api_version", TEXT, "Version of the API (Azure)."),
        *_supported("custom_llm_provider", TEXT, "The provider, where `model` does not name it.", "T2"),
        *_supported("organization", TEXTS, "Organization that pays; several make one deployment each."),
        supported("timeout", SECONDS, "T1", "Longest call, in seconds."),
        supported("stream_timeout", SECONDS, "T1", "Longest wait for a stream's first chunk."),
        supported("extra_headers", MAPPING, "T1", "Headers to add."),
        supported("headers", MAPPING, "T1", "Headers to add."),
        supported("extra_body", MAPPING, "T1", "Body fields that are always set."),
        supported("additional_drop_params", TEXTS, "T1", "Body fields to leave out."),
        supported("allowed_openai_params", TEXTS, "T1", "Body fields to send although the provider is said to refuse them."),
        supported("tpm", POSITIVE, "T1", "Tokens per minute this deployment takes. Beyond it another deployment of the name is used."),
        supported("rpm", POSITIVE, "T1", "Calls per minute this deployment takes. Beyond it another deployment of the name is used."),
        supported("max_parallel_requests", POSITIVE, "T1", "Calls at once this deployment takes. Beyond it another deployment of the name is used."),
        supported("litellm_credential_name", TEXT, "T2", "Named credential that gives what is not given here."),
        supported("weight", WEIGHT, "T1", "Share of the calls among deployments of one name; where none has one, `rpm`, else `tpm`, is taken for it."),
        supported("order", COUNT, "T1", "Deployments of the lowest order are used; the next when none of those works.", default=0),
        supported("mock_response", TEXT, "T1", "Answer with this text instead of calling anybody."),
        supported("ssl_verify", VERIFICATION, "T3", "Whether this provider's certificate is checked, or the CA bundle to check it with."),
        *PRICES,
        *CONNECTION,
        supported("drop_params", FLAG, "T1", "Leave out what this provider cannot be told; `litellm_settings.drop_params` says so for all."),
        accepted("use_in_pass_through", FLAG, "T2", "Lend the credentials to forwarded calls."),
        accepted("use_litellm_proxy", FLAG, "T3", "Call another gateway; write `litellm_proxy/…` as model."),
        *_later("max_retries", COUNT, "T1", "Tries within this deployment.", "set `router_settings.num_retries`"),
        *_later("itpm otpm", POSITIVE, "T3", "Prompt and answer tokens per minute.", "`tpm` limits their sum"),
        *_later("timeout_by_service_tier stream_timeout_by_service_tier", MAPPING, "T3", "Timeouts by service tier.", "`timeout` applies to all"),
        supported("cooldown_time", SECONDS_OR_NONE, "T2", "How long this deployment is set aside after failures; else as the router says."),
        supported("tags", TEXTS, "T2", "Calls this deployment is for, with `router_settings.enable_tag_filtering`; `default` for calls without a tag."),
        *_later("tag_regex", TEXTS, "T2", "The same by headers of the call."),
        supported("max_budget", MONEY, "T2", "Budget of this deployment; beyond it another of the name is used."),
        supported("budget_duration", DURATION, "T2", "Period of that budget."),
        *_later("configurable_clientside_auth_params", LIST, "T2", "What a client may override."),
        *_later("merge_reasoning_content_in_choices", FLAG, "T2", "Show reasoning as content."),
        *_later("prompt_id prompt_variables", ANY, "T2", "Stored prompt to use."),
        *_later("cache_control_injection_points", LIST, "T2", "Where prompts are marked for caching."),
        *_later("guardrails", TEXTS, "T2", "Guardrails of this deployment."),
        *_later("default_api_key_tpm_limit default_api_key_rpm_limit", POSITIVE, "T3", "Limits of keys that set none."),
        *_later("keepalive_seconds allow_client_keepalive_override", ANY, "T3", "Pings in a silent stream."),
        *_later("use_chat_completions_api max_file_size_mb silent_model vector_store_id model_info", ANY, "T3", "Rarely used."),
        *_later("auto_router_* complexity_router_* adaptive_router_* quality_router_* anthropic_*", ANY, "T3", "Routing by content, and federation."),
    ),
)  # fmt: skip

_MODES = choice(
    "chat", "completion", "embedding", "image_generation", "audio_transcription", "audio_speech", "rerank", "responses",
    "moderation", "realtime", "batch", "ocr", "video_generation",
)  # fmt: skip

INFO = section(
    "model_info",
    (
        supported("id", TEXT, "T1", "Id of the deployment, shown as `x-litellm-model-id`; else made from the parameters."),
        supported("mode", _MODES, "T1", "What the model does.", default="chat"),
        supported("base_model", TEXT, "T1", "Model to take price and limits from, where `model` is a name of your own."),
        supported("max_tokens", POSITIVE, "T1", "Longest answer, where `max_output_tokens` does not say."),
        supported("max_input_tokens", POSITIVE, "T1", "Longest prompt."),
        supported("max_output_tokens", POSITIVE, "T1", "Longest answer."),
        supported("access_groups", TEXTS, "T1", "Names by which keys may be allowed this model."),
        *PRICES,
        *(accepted(name, ANY, "T1", "Shown in listings.") for name in ("supports_*", "litellm_provider", "tier")),
        supported("team_id", TEXT, "T2", "The only team whose keys may call this model."),
        supported("team_public_model_name", TEXT, "T2", "What that team calls it, where `model_name` is a name of its own."),
        supported("disable_background_health_check", FLAG, "T2", "Leave this deployment out of the probes that are made in the background.", default=False),
        supported("health_check_model", TEXT, "T2", "Model to ask in its place when it is probed: a cheaper one of the same provider."),
        supported("health_check_timeout", SECONDS, "T2", "Seconds that a probe of it may take.", default=60),
        supported("health_check_max_tokens", POSITIVE, "T2", "Tokens that a probe of it asks for.", default=5),
        *_later("health_check_*", ANY, "T3", "How this deployment is probed."),
        *_later("supported_environments access_windows", ANY, "T3", "When and where this model may be used."),
        *_later("blocked", FLAG, "T2", "Do not use this model.", "remove the entry"),
    ),
)  # fmt: skip
