"""What a person sees first."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tollway import __version__

if TYPE_CHECKING:
    from tollway.app.runtime import Runtime


def welcome(runtime: Runtime, port: int) -> str:
    """Address, key, a call that works by copy and paste, and what to do next."""
    configuration, snapshot = runtime.configuration, runtime.snapshot
    server = configuration.server
    scheme = "https" if server.ssl_certfile else "http"
    here = f"{scheme}://{_reachable(server.host)}:{port}{server.root_path}"
    names = [*snapshot.groups, *(wildcard.pattern for wildcard in snapshot.wildcards)]
    model = next(iter(snapshot.groups), "demo")
    key = runtime.master_key if runtime.is_master_key_new else "$TOLLWAY_MASTER_KEY"
    lines = [
        "",
        f"  Tollway {__version__} listens on {here}",
        f"  Models: {_shorten(names)}",
    ]
    if runtime.is_master_key_new:
        lines += [
            "",
            f"  Master key (made now, shown once, kept in {server.data_dir / 'master_key'}):",
            f"    {runtime.master_key}",
        ]
    lines += [
        "",
        "  Try it:",
        f"    curl {here}/v1/chat/completions \\",
        f'      -H "Authorization: Bearer {key}" -H "Content-Type: application/json" \\',
        f"""      -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello!"}}]}}'""",
        "",
        "  Next: give an application a key of its own, with a budget:",
        f"    {_command()} keys create --alias my-app --max-budget 5 --url {here}",
        f"  Every endpoint: {here}/    Stop: Ctrl-C",
        "",
        "",
    ]
    return "\n".join(lines)


def _command() -> str:
    """How to call this program again: as it was called, where its name alone would not be found."""
    called = Path(sys.argv[0])
    return "tollway" if called.name != "tollway" or shutil.which("tollway") else str(called)


def _reachable(host: str) -> str:
    """An address to type: the one bound to, or this machine where all are."""
    if host in ("0.0.0.0", "::", ""):  # noqa: S104 - compared, not bound
        return "localhost"
    return f"[{host}]" if ":" in host else host


def _shorten(names: list[str], most: int = 6) -> str:
    if not names:
        return "none yet: add a model_list to the configuration"
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
