"""What the Python client of Durable Streams does against `retold serve`: writes, follows, resumes, forks, closes."""

import asyncio
import os
import time
from urllib.parse import urlsplit

import httpx
from durable_streams import AsyncDurableStream, DurableStream, DurableStreamError, FetchError, stream

ROOT = f"{os.environ['URL']}/v1/stream/python/{time.time_ns()}"
JSON = "application/json"


def first(events, count):
    """The first items of a live read, and the offset after them."""
    items = []
    for event in events:
        items.extend(event.data if isinstance(event.data, list) else [event.data])
        if len(items) >= count:
            return items, event.next_offset
    raise AssertionError(f"it ended after {items}")


def writes_follows_and_resumes():
    chat = DurableStream.create(f"{ROOT}/chat", content_type=JSON)
    for n in range(3):
        chat.append({"n": n})
    for live in ("sse", "long-poll"):
        with stream(chat.url, offset="-1", live=live) as res:
            items, offset = first(res.iter_events(mode="json"), 3)
        assert items == [{"n": 0}, {"n": 1}, {"n": 2}], items
    chat.append({"n": 3})
    with stream(chat.url, offset=offset, live=False) as res:
        assert res.read_json() == [{"n": 3}]
    chat.append({"n": 4}, seq="001")
    try:
        chat.append({"n": 5}, seq="001")
    except DurableStreamError:
        pass
    else:
        raise AssertionError("a sequence was taken twice")


async def follows_while_it_is_written():
    live = await AsyncDurableStream.create(f"{ROOT}/live", content_type=JSON)

    async def reads():
        found = []
        async with live.stream(offset="-1", live="sse") as res:
            async for item in res.iter_json():
                found.append(item["n"])
                if len(found) == 20:
                    return found

    reading = asyncio.create_task(reads())
    await asyncio.gather(*(live.append({"n": n}) for n in range(20)))
    assert sorted(await asyncio.wait_for(reading, 20)) == list(range(20))


def forks():
    source = DurableStream.create(f"{ROOT}/source", content_type="text/plain")
    source.append("one ")
    at = source.head().offset
    source.append("two ")
    headers = {"Stream-Forked-From": urlsplit(source.url).path, "Stream-Fork-Offset": at, "Stream-Fork-Sub-Offset": "2"}
    fork = DurableStream.create(f"{ROOT}/fork", content_type="text/plain", headers=headers)
    httpx.post(fork.url, content="ist", headers={"Content-Type": "text/plain"}).raise_for_status()
    source.delete()
    with stream(fork.url, live=False) as res:
        assert res.read_text() == "one twist"


def closes():
    # This release of the client knows of no end: it is asked for and read as the protocol has it.
    log = DurableStream.create(f"{ROOT}/log", content_type=JSON)
    log.append({"n": 1})
    closed = httpx.post(log.url, json={"n": 2}, headers={"Stream-Closed": "true"})
    assert (closed.status_code, closed.headers["stream-closed"]) == (204, "true"), closed
    with stream(log.url, live=False) as res:
        assert res.read_json() == [{"n": 1}, {"n": 2}]
    try:
        log.append({"n": 3})
    except (DurableStreamError, FetchError):
        pass
    else:
        raise AssertionError("a closed stream was appended to")
    tail = log.head().offset
    end = httpx.get(log.url, params={"offset": tail, "live": "long-poll"})
    assert (end.status_code, end.headers["stream-closed"]) == (204, "true"), end


writes_follows_and_resumes()
asyncio.run(follows_while_it_is_written())
forks()
closes()
print("the Python client: all passed")
