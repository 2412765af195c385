"""What a call of the Responses API goes on from: whose it is, where it is kept, and what goes to the provider."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from tollway.config.sealing import Sealer
from tollway.core.errors import InvalidRequest, NotFound, StoreUnavailable, TollwayError
from tollway.core.principal import Principal
from tollway.core.snapshot import Deployment, Endpoint, ModelGroup, Origin, Settings, Snapshot
from tollway.dialects.body import read_fields
from tollway.dialects.registry import find_identity
from tollway.gateway.archive import Archive
from tollway.gateway.bounds import prompt_bound
from tollway.gateway.call import Call
from tollway.gateway.conversation import converse, offers
from tollway.gateway.response_ids import ResponseIds, UpstreamResponse, owner_of
from tollway.gateway.thread import Thread
from tollway.gateway.threads import Threads
from tollway.ports.conversations import ConversationStore, StoredResponse
from tollway.routing.router import Router

ADA, BOB = Principal(key_hash="a", user_id="ada"), Principal(key_hash="b", user_id="bob")
DEFAULTS = Settings()
SEALER = Sealer(lambda: "a salt key")
IDS = ResponseIds(SEALER)


class FakeStore(ConversationStore):
    """Keeps in memory; what the database does is tested on databases."""

    def __init__(self) -> None:
        self.kept: dict[str, StoredResponse] = {}
        self.is_away = False

    async def add(self, responses: Sequence[StoredResponse]) -> None:
        if self.is_away:
            raise StoreUnavailable("away")
        self.kept |= {one.id: one for one in responses}

    async def chain(self, id: str, owner: str | None, *, now: int, longest: int) -> list[StoredResponse]:
        found: list[StoredResponse] = []
        wanted = id
        while (one := self.kept.get(wanted)) is not None and owner in (None, one.owner) and len(found) < longest:
            found.append(one)
            wanted = one.previous
        return found

    async def delete(self, id: str, owner: str | None, *, now: int) -> bool:
        return self.kept.pop(id, None) is not None


def deployment(id: str, *, key: str = "k", speaks: str = "responses", group: str = "m") -> Deployment:
    endpoint = Endpoint(origin=Origin("https", "v", 443), target="/", headers=(("Authorization", key),))
    endpoints: Any = {speaks: endpoint}
    return Deployment(id=id, group=group, provider="p", model="pm", model_name="p/pm", endpoints=endpoints)


def router(*deployments: Deployment) -> Router:
    groups = {
        name: ModelGroup(name=name, deployments=tuple(one for one in deployments if one.group == name))
        for name in {one.group for one in deployments}
    }
    by_id = {one.id: ModelGroup(name=one.group, deployments=(one,)) for one in deployments}
    return Router(Snapshot(groups=groups, by_id=by_id))


def call_of(principal: Principal = ADA, settings: Settings = DEFAULTS, **body: Any) -> Call:
    call = Call(operation="responses", path="/v1/responses", headers={}, client_ip="", settings=settings)
    call.principal = principal
    call.raw_body = json.dumps({"model": "m", "input": "Hi", **body}).encode()
    fields = read_fields(call.raw_body)
    call.request = find_identity("responses").read_request(fields, path_model=None, is_stream=False)
    call.requested_model = "m"
    return call


async def begin(call: Call, router: Router, *, group: str = "m", store: ConversationStore | None = None) -> Thread:
    threads = Threads(Archive(store or FakeStore(), SEALER), IDS)
    thread = call.thread = await threads.begin(call, router.snapshot.groups[group], router)
    return thread


async def sealed(deployment_id: str = "d", *, owner: Principal = ADA, model: str = "m") -> str:
    await SEALER.ready()
    return IDS.write(UpstreamResponse(deployment_id, model, owner_of(owner), "resp_vendor"))


def answer(id: str, text: str = "Hello") -> bytes:
    part = {"type": "output_text", "text": text}
    item = {"id": f"msg_{id.removeprefix('resp_')}_0", "type": "message", "role": "assistant", "content": [part]}
    return json.dumps({"id": id, "object": "response", "model": "m", "created_at": 1, "output": [item]}).encode()


# ---- kept by the provider --------------------------------------------------------------------------------------------


async def test_a_follow_up_goes_to_the_deployment_that_keeps_the_response_by_its_own_id() -> None:
    first, second = deployment("d"), deployment("e", key="other")
    previous = await sealed()
    call = call_of(previous_response_id=previous)
    await begin(call, router(first, second))
    assert [offers(call)(one) for one in (first, second)] == [True, False]
    assert msgspec.json.decode(call.request.fields["previous_response_id"]) == "resp_vendor"
    body = {"id": "resp_new", "model": "pm", "previous_response_id": "resp_vendor", "output": [{"id": "resp_new_"}]}
    reply = converse(call, first).read_answer(call, json.dumps(body).encode())
    seen = json.loads(reply.body)
    new = IDS.read(seen["id"])
    assert new == UpstreamResponse("d", "m", "user:ada", "resp_new")
    assert seen["previous_response_id"] == previous
    assert seen["output"] == body["output"]
    assert reply.response_id == "resp_new"


async def test_another_deployment_of_the_same_account_goes_on_with_another_model() -> None:
    keeper, kin, stranger = deployment("d"), deployment("e", group="n"), deployment("f", key="other", group="n")
    call = call_of(previous_response_id=await sealed(), model="n")
    thread = await begin(call, router(keeper, kin, stranger), group="n")
    assert thread.targets == {"e"}


@pytest.mark.parametrize(
    ("configured", "error", "word"),
    [
        ((deployment("other"),), NotFound, "the deployment d, which is no longer configured"),
        ((deployment("other"), deployment("d", key="elsewhere", group="n")), InvalidRequest, "Go on with 'm'"),
    ],
)
async def test_a_response_that_nobody_of_the_model_knows_is_refused(
    configured: tuple[Deployment, ...], error: type[TollwayError], word: str
) -> None:
    with pytest.raises(error, match=word):
        await begin(call_of(previous_response_id=await sealed()), router(*configured))


async def test_only_its_owner_goes_on_from_a_response_unless_they_are_shared() -> None:
    theirs = await sealed(owner=BOB)
    with pytest.raises(NotFound, match="not found"):
        await begin(call_of(previous_response_id=theirs), router(deployment("d")))
    shared = Settings(shares_responses=True)
    assert (await begin(call_of(settings=shared, previous_response_id=theirs), router(deployment("d")))).targets == {
        "d"
    }


async def test_ids_of_others_pass_only_where_that_is_allowed() -> None:
    with pytest.raises(NotFound):
        await begin(call_of(previous_response_id="resp_raw"), router(deployment("d")))
    call = call_of(settings=Settings(allows_foreign_responses=True), previous_response_id="resp_raw")
    await begin(call, router(deployment("d")))
    body = b'{"id":"resp_new","previous_response_id":"resp_raw","output":[]}'
    assert b'"previous_response_id":"resp_raw"' in converse(call, deployment("d")).read_answer(call, body).body


@pytest.mark.parametrize("id", ["resp_", "resp_AAAA", "x", "resp_" + "A" * 200, "resp_ä", "resp_!!", "resp_A"])
async def test_what_is_no_sealed_id_is_none(id: str) -> None:
    await SEALER.ready()
    assert IDS.read(id) is None


# ---- kept here -------------------------------------------------------------------------------------------------------


async def test_history_is_put_before_the_input_and_reserved_for() -> None:
    store, chat = FakeStore(), deployment("d", speaks="chat")
    first = await begin(call_of(input="one " * 500), router(chat), store=store)
    await first.keep(answer(first.id), chat, "vendor")
    assert store.kept[first.id].owner == "user:ada"
    assert b"one" not in store.kept[first.id].content
    call = call_of(input="two", previous_response_id=first.id)
    await begin(call, router(chat), store=store)
    texts = [item["content"][0]["text"] for item in json.loads(call.raw_body)["input"]]
    assert texts == ["one " * 500, "Hello", "two"]
    assert 1_000 < prompt_bound(call, chat) < 10_000
    assert offers(call)(chat), "it goes on anywhere"


async def test_a_conversation_with_a_gap_is_refused() -> None:
    store, chat = FakeStore(), deployment("d", speaks="chat")
    first = await begin(call_of(), router(chat), store=store)
    await first.keep(answer(first.id), chat, "")
    second = await begin(call_of(previous_response_id=first.id), router(chat), store=store)
    await second.keep(answer(second.id), chat, "")
    del store.kept[first.id]
    with pytest.raises(NotFound, match=f"the response '{first.id}' has expired or was deleted"):
        await begin(call_of(previous_response_id=second.id), router(chat), store=store)


async def test_the_end_of_a_stream_is_kept_and_a_failed_one_is_not() -> None:
    store, chat = FakeStore(), deployment("d", speaks="chat")
    thread = await begin(call_of(), router(chat), store=store)
    for kind in ("failed", "completed"):
        event = b'data: {"type":"response.%s","response":%s}\n\n' % (kind.encode(), answer(thread.id))
        await thread.keep_stream(b'data: {"type":"response.output_text.done"}\n\n' + event, chat, "")
        assert (thread.id in store.kept) == (kind == "completed")


@pytest.mark.parametrize(("settings", "body"), [(Settings(), {"store": False}), (Settings(stores_responses=False), {})])
async def test_nothing_is_kept_against_the_callers_or_the_operators_will(
    settings: Settings, body: dict[str, Any]
) -> None:
    store, chat = FakeStore(), deployment("d", speaks="chat")
    thread = await begin(call_of(settings=settings, **body), router(chat), store=store)
    await thread.keep(answer(thread.id), chat, "")
    assert not thread.is_kept
    assert store.kept == {}


async def test_what_is_not_stored_yet_is_gone_on_from_in_this_process_and_stored_when_the_database_is_back() -> None:
    store, chat = FakeStore(), deployment("d", speaks="chat")
    store.is_away = True
    archive = Archive(store, SEALER)
    archive._is_away = True  # so that nobody waits
    threads, routes = Threads(archive, IDS), router(chat)
    first = await threads.begin(call_of(), routes.snapshot.groups["m"], routes)
    await first.keep(answer(first.id), chat, "")
    call = call_of(input="two", previous_response_id=first.id)
    await threads.begin(call, routes.snapshot.groups["m"], routes)
    assert len(json.loads(call.raw_body)["input"]) == 3
    store.is_away = False
    await archive.close()
    assert [*store.kept] == [first.id]
