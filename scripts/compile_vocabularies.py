"""Put OpenAI's token vocabularies into the package, so that counting never needs a download.

    uv run scripts/compile_vocabularies.py            fetch, verify, write
    uv run scripts/compile_vocabularies.py --check    exit 1 if the files in the package are not the real vocabularies

They come from the npm package `tiktoken` (MIT), and are only written if, put back into OpenAI's own file format, they
have the SHA-256 that the Python package tiktoken demands of its downloads.

The files: zlib over the length of every token (one byte each, in order of rank), a zero byte, and the tokens' bytes.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from tollway.accounting.tokens import SHA256_OF_VOCABULARY, EncodingName, read_vocabulary

PACKAGE = "tiktoken@1.0.22"
TARGET = Path(__file__).parents[1] / "src/tollway/accounting/data"


def published_tokens(encoder: bytes) -> list[bytes]:
    """The tokens of an encoder file of the npm package, in order of rank.

    Its `bpe_ranks` are lines of `! <first rank> <base64> <base64> …`.
    """
    tokens: list[bytes] = []
    for line in json.loads(encoder)["bpe_ranks"].splitlines():
        _, offset, *encoded = line.split(" ")
        if int(offset) != len(tokens):
            raise ValueError(f"ranks are not consecutive: {offset} follows {len(tokens) - 1}")
        tokens.extend(map(base64.b64decode, encoded))
    return tokens


def sha256(tokens: list[bytes]) -> str:
    """The checksum of the vocabulary in OpenAI's file format: lines of `<base64> <rank>`."""
    digest = hashlib.sha256()
    for rank, token in enumerate(tokens):
        digest.update(b"%s %d\n" % (base64.b64encode(token), rank))
    return digest.hexdigest()


def verified(name: EncodingName, tokens: list[bytes]) -> list[bytes]:
    """The same tokens, if they are the vocabulary of that name."""
    if sha256(tokens) != SHA256_OF_VOCABULARY[name]:
        raise ValueError(f"{name}: SHA-256 is {sha256(tokens)}, not the one tiktoken expects")
    return tokens


def packed(tokens: list[bytes]) -> bytes:
    """The file for the package; `tollway.accounting.tokens.read_vocabulary` reads it."""
    return zlib.compress(bytes(map(len, tokens)) + b"\0" + b"".join(tokens), 9)


def fetch(folder: Path) -> Iterator[tuple[EncodingName, bytes]]:
    """The encoder files, from the npm registry."""
    subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        for name in SHA256_OF_VOCABULARY:
            member = archive.extractfile(f"package/encoders/{name}.json")
            assert member is not None
            yield name, member.read()


def main() -> int:
    """Write or check the vocabularies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="verify the files in the package, fetch nothing")
    if parser.parse_args().check:
        for name in SHA256_OF_VOCABULARY:
            verified(name, list(read_vocabulary(name)))
            print(f"{name}: as published")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        for name, encoder in fetch(Path(folder)):
            content = packed(verified(name, published_tokens(encoder)))
            (TARGET / f"{name}.vocabulary.z").write_bytes(content)
            print(f"{name}: {len(content):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
