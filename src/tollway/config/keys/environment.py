"""Environment variables that LiteLLM reads and that are no twin of a setting. Twins are in the tables of settings."""

# ruff: noqa: E501  (a table: one row, one line)
from __future__ import annotations

import msgspec

from tollway.config.keys.key import Support, Tier


class Variable(msgspec.Struct, frozen=True):
    """A variable, or a family of them."""

    name: str
    tier: Tier
    support: Support
    meaning: str
    remedy: str = ""


_CONSOLE = "there is no console in this release"
_ALERTS = "alerts go to Slack and webhooks"

VARIABLES: tuple[Variable, ...] = (
    Variable("CONFIG_FILE_PATH", "T1", "supported", "The configuration file, where `--config` is not given."),
    Variable("DATABASE_HOST", "T1", "supported", "With DATABASE_NAME and the like: the database, where no URL is given."),
    Variable("HTTP_PROXY", "T1", "supported", "Proxy for calls to providers; also HTTPS_PROXY and NO_PROXY."),
    Variable("SSL_CERT_FILE", "T1", "supported", "CA bundle that providers' certificates are checked with."),
    Variable("HCP_VAULT_*", "T2", "supported", "Where HashiCorp Vault is, and who asks: `key_management_system: hashicorp_vault`. VAULT_ADDR, VAULT_TOKEN and VAULT_NAMESPACE too."),
    Variable("GOOGLE_SECRET_MANAGER_PROJECT_ID", "T2", "supported", "Project of `key_management_system: google_secret_manager`."),
    Variable("AZURE_KEY_VAULT_URI", "T2", "supported", "Address of `key_management_system: azure_key_vault`."),
    Variable("CYBERARK_*", "T2", "supported", "Where Conjur is, and who asks: `key_management_system: cyberark`."),
    Variable("HCP_VAULT_CLIENT_*", "T3", "later", "Sign in at Vault by a certificate.", "use a token or an AppRole"),
    Variable("CYBERARK_CLIENT_*", "T3", "later", "Sign in at Conjur by a certificate.", "use an API key"),
    Variable("HCP_VAULT_REFRESH_INTERVAL", "T3", "later", "How often secrets are read.", "set `secret_refresh_interval`"),
    Variable("GOOGLE_SECRET_MANAGER_REFRESH_INTERVAL", "T3", "later", "How often secrets are read.", "set `secret_refresh_interval`"),
    Variable("CYBERARK_REFRESH_INTERVAL", "T3", "later", "How often secrets are read.", "set `secret_refresh_interval`"),
    Variable("LITELLM_LICENSE", "T1", "accepted", "Nothing here needs a licence."),
    Variable("LITELLM_MODE", "T1", "accepted", "`.env` files are never read."),
    Variable("LITELLM_LOCAL_MODEL_COST_MAP", "T2", "accepted", "Prices always come with the release."),
    Variable("UI_USERNAME", "T1", "later", "Login of the console.", _CONSOLE),
    Variable("UI_PASSWORD", "T1", "later", "Login of the console.", _CONSOLE),
    Variable("SLACK_WEBHOOK_URL", "T1", "supported", "Where alerts go with `alerting: [slack]`; several with commas between."),
    Variable("WEBHOOK_URL", "T1", "supported", "Where alerts about budgets go with `alerting: [webhook]`."),
    Variable("GENERIC_LOGGER_*", "T1", "supported", "GENERIC_LOGGER_ENDPOINT and GENERIC_LOGGER_HEADERS of the callback `generic_api`."),
    Variable("LANGFUSE_*", "T1", "supported", "Where the callbacks `langfuse` and `langfuse_otel` report to: LANGFUSE_PUBLIC_KEY, LANGFUSE_SECRET_KEY, LANGFUSE_HOST and others."),
    Variable("OTEL_*", "T1", "supported", "Where the callback `otel` reports to: OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, OTEL_SERVICE_NAME and others."),
    Variable("MS_TEAMS_WEBHOOK_URL", "T1", "later", "Where alerts go.", _ALERTS),
    Variable("PAGERDUTY_API_KEY", "T1", "later", "Where alerts go.", _ALERTS),
    Variable("MAX_REQUESTS_BEFORE_RESTART", "T1", "later", "Restart workers now and then.", "memory is bounded instead"),
    Variable("LITELLM_DISABLE_ACCESS_LOG_PATHS", "T1", "later", "Paths left out of the access log."),
    Variable("LITELLM_MODEL_COST_MAP_URL", "T2", "later", "Where prices are fetched.", "set prices in `model_info`"),
    Variable("LITELLM_RATE_LIMIT_WINDOW_SIZE", "T2", "later", "Length of a rate window.", "windows are 60 s"),
    Variable("LITELLM_CORS_ALLOW_CREDENTIALS", "T2", "later", "Let browsers send cookies."),
    Variable("LITELLM_ENABLE_HSTS", "T2", "later", "Tell browsers to use HTTPS only."),
    Variable("LITELLM_CONFIG_BUCKET_*", "T2", "later", "Read the configuration from a bucket.", "give a file"),
    Variable("LITELLM_MIGRATE_FROM_MASTER_KEY", "T3", "later", "Encrypt stored credentials anew."),
    Variable("DISABLE_ADMIN_ENDPOINTS", "T2", "later", "Serve inference alone.", "close the paths in front of the gateway"),
    Variable("DISABLE_LLM_API_ENDPOINTS", "T2", "later", "Serve management alone.", "close the paths in front of the gateway"),
)  # fmt: skip
