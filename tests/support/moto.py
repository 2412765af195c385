"""Amazon's services for tests: moto, one server per test process, started when the first test asks for it.

It takes any credentials; whether signatures are right is for botocore to say, which the tests of signatures ask.
"""

from __future__ import annotations

import atexit
import json
import logging
from contextlib import suppress
from functools import cache
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from uuid import uuid4

_ANYBODY = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=any/20261126/us-east-1/s3/aws4_request, SignedHeaders=, Signature=",
    "Content-Type": "application/octet-stream",
}


@cache
def shared_url() -> str:
    """The address of the server."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    from moto.server import ThreadedMotoServer  # 1.6 s

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    atexit.register(server.stop)
    _, port = server.get_host_and_port()
    return f"http://127.0.0.1:{port}"


def new_bucket() -> str:
    """The name of a bucket that is empty."""
    name = f"bucket-{uuid4().hex}"
    ask("PUT", f"/{name}")
    return name


def ask(method: str, path: str, body: bytes | None = None) -> bytes:
    """An answer of the storage."""
    answer: bytes
    with urlopen(Request(shared_url() + path, data=body, headers=_ANYBODY, method=method)) as response:
        answer = response.read()
    return answer


def keep_secret(name: str, text: str) -> None:
    """Puts a secret into the manager, or another text in its place."""
    for action, named in (("CreateSecret", {"Name": name}), ("PutSecretValue", {"SecretId": name})):
        body = json.dumps({**named, "SecretString": text}).encode()
        headers = {
            "Authorization": _ANYBODY["Authorization"].replace("/us-east-1/s3/", "/eu-west-3/secretsmanager/"),
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"secretsmanager.{action}",
        }
        with suppress(HTTPError), urlopen(Request(shared_url(), data=body, headers=headers)):
            pass
