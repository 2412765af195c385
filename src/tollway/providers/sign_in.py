"""Signing in at Amazon, Google and Microsoft, for parts of the gateway that call no model there."""

from tollway.providers._aws import domain, key_source, option, region_of_profile
from tollway.providers._form import ask, secure_url
from tollway.providers._google import google_credentials
from tollway.providers._kit import ConnectionParams
from tollway.providers._sigv4 import sign
from tollway.providers.azure import client_credentials

__all__ = [
    "ConnectionParams",
    "ask",
    "client_credentials",
    "domain",
    "google_credentials",
    "key_source",
    "option",
    "region_of_profile",
    "secure_url",
    "sign",
]
