"""The built-in `demo` model: OpenAI's chat, completions and embeddings from inside the process, with no key at all.

It answers about the prompt: the same prompt gets the same answer. Tokens are counted for real, streams have a real
cadence, tools and response formats are honoured in shape, and `seed`, `temperature` and other knobs change nothing.

A `demo` object in the body, or among a deployment's defaults, says how it behaves:

    latency_ms   until the answer begins (default 50)
    chunk_ms     between two chunks of a stream (default 20)
    text         answer with exactly this
    fault        error_500: status 500 · rate_limit: status 429 with `retry-after` · refuse: no connection
                 cut: the body ends too early · stall: it falls silent · malformed: it is not JSON
    after_chunks chunks of a stream that arrive before `cut`, `stall` or `malformed` (default 3)
    retry_after_s  seconds that `rate_limit` asks for (default 1)

The wire format is https://platform.openai.com/docs/api-reference, chunk for chunk.
"""

from __future__ import annotations

from tollway.upstream.demo.transport import DemoTransport

__all__ = ["DemoTransport"]
