"""`docker-compose`, as far as the guides use it, for services that are processes of this machine (see `stack.py`).

Programs that `exec` names are the real ones, with the address of the service in place of its container.
"""

import os
import socket
import sys
from pathlib import Path


def pairs(name: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in os.environ[name].split())


def order(verb: str, services: list[str]) -> int:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ["STACK_CONTROL"])
        connection.sendall(f"{' '.join([verb, *services])}\n".encode())
        with connection.makefile() as stream:
            status = int(stream.readline())
            sys.stdout.write(stream.read())
    return status


def up(words: list[str]) -> int:
    services = [word for word in words if not word.startswith("-")]
    options = {word for word in words if word.startswith("-")}
    if unknown := options - {"-d", "--force-recreate", "--build", "--no-deps"}:
        sys.exit(f"unknown: {unknown}")
    is_anew = bool(options & {"--force-recreate", "--build"})
    return (order("stop", services) if is_anew else 0) or order("start", services)


def down(words: list[str]) -> int:
    return order("stop", words)


def restart(words: list[str]) -> int:
    return order("restart", words)


def kill(words: list[str]) -> int:
    if words[:2] != ["-s", "HUP"]:
        sys.exit(f"unknown: {words}")
    return order("hup", words[2:])


def ps(words: list[str]) -> int:
    return order("ps", words)


def logs(words: list[str]) -> int:
    files = pairs("STACK_LOGS")
    services = [word for word in words if not word.startswith("-")] or list(files)
    if "-f" in words:
        os.execvp("tail", ["tail", "-n", "+1", "-F", *(files[name] for name in services)])
    tail = next((int(word.split("=")[1]) for word in words if word.startswith("--tail=")), 10**9)
    for name in services:
        lines = Path(files[name]).read_text(errors="replace").splitlines(keepends=True)
        sys.stdout.writelines(f"{name}  | {line}" for line in lines[-tail:])
    return 0


def exec_in(words: list[str]) -> int:
    words = [word for word in words if word != "-T"]
    service, program, *arguments = words
    port = pairs("STACK_PORTS")[service]
    if service == "postgres":
        path = Path(os.environ["STACK_PSQL"]).with_name(program)
        os.execv(path, [str(path), "-h", "127.0.0.1", "-p", port, *arguments])
    if (service, program) == ("redis", "redis-cli"):
        client = os.environ["STACK_REDIS_CLI"]
        os.execv(client, [client, "-p", port, *arguments])
    if service.startswith("litellm"):
        os.execv(sys.executable, [sys.executable, "-m", program, *arguments])
    sys.exit(f"nothing like {program} in {service}")


VERBS = {
    "up": up,
    "down": down,
    "restart": restart,
    "stop": down,
    "kill": kill,
    "ps": ps,
    "logs": logs,
    "exec": exec_in,
}
sys.exit(VERBS[sys.argv[1]](sys.argv[2:]))
