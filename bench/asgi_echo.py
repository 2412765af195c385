"""The server alone: uvicorn and a bare ASGI callable that reads the body and answers without calling anybody."""

import sys

import uvicorn

MESSAGE = b'{"role":"assistant","content":"%s"}' % (b"word " * 40)
ANSWER = b'{"object":"chat.completion","choices":[{"index":0,"message":%s}],"usage":{}}' % MESSAGE
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())]


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError(scope["type"])
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": ANSWER})


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), lifespan="off", access_log=False, log_level="warning")
