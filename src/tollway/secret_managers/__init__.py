"""Secret managers: one file each. Only the one in use is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from tollway.ports.secrets import SecretManager

KINDS: Mapping[str, str] = {
    "aws_secret_manager": "aws",
    "hashicorp_vault": "hashicorp",
    "google_secret_manager": "google",
    "azure_key_vault": "key_vault",
    "cyberark": "cyberark",
}
"""Modules by the contract's names."""


def open_manager(kind: str, options: Mapping[str, Any], environ: Mapping[str, str]) -> SecretManager:
    """The manager, before anything is asked of it. Raises `Misconfigured` naming what it needs.

    `options`: what the configuration says about it, under the contract's names.
    """
    manager: SecretManager = import_module(f"{__name__}.{KINDS[kind]}").open_manager(options, environ)
    return manager
