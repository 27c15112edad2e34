"""The calls to the model, through the client library that GENAI speaks of. The case of the request is its message: the
stand-in for the model does what it says."""

import os
from pathlib import Path

from telemetry import GENAI

URL = os.environ["MODEL_URL"]
MODEL = os.environ.get("MODEL", "gpt-5-nano")
# Long enough for slow answers; the case of a time-out has its own.
TIMEOUT = 20.0
IMPATIENT = 0.5


def timeout(case):
    return IMPATIENT if case == "timeout" else TIMEOUT


def usage(case):
    """Streams say their usage only when they are asked."""
    return {} if case == "nousage" else {"stream_options": {"include_usage": True}}


PROMPT = (Path(__file__).parent / "prompt.txt").read_text()


def messages(case):
    return [{"role": "user", "content": f"{case}: {PROMPT}"}]


if GENAI.endswith("anthropic"):
    from anthropic import AsyncAnthropic

    client = AsyncAnthropic(base_url=URL, api_key="none", max_retries=0)

    async def ask(case):
        answer = await client.messages.create(
            model=MODEL, max_tokens=500, messages=messages(case), timeout=timeout(case)
        )
        return answer.content[0].text

    async def stream(case):
        events = await client.messages.create(
            model=MODEL, max_tokens=500, messages=messages(case), timeout=timeout(case), stream=True
        )
        async for event in events:
            if event.type == "content_block_delta":
                yield event.delta.text

elif GENAI in ("openllmetry-langchain", "genai-langchain"):
    from langchain_openai import ChatOpenAI

    def chat(case):
        return ChatOpenAI(
            base_url=URL + "/v1",
            api_key="none",
            model=MODEL,
            max_retries=0,
            timeout=timeout(case),
            stream_usage=case != "nousage",
        )

    async def ask(case):
        return (await chat(case).ainvoke(messages(case))).content

    async def stream(case):
        async for chunk in chat(case).astream(messages(case)):
            if chunk.content:
                yield chunk.content

else:
    from openai import AsyncOpenAI, OpenAI

    client = AsyncOpenAI(base_url=URL + "/v1", api_key="none", max_retries=0)
    blocking = OpenAI(base_url=URL + "/v1", api_key="none", max_retries=0)

    def request(case, **more):
        return {"model": MODEL, "messages": messages(case), "timeout": timeout(case), **more}

    async def ask(case):
        answer = await client.chat.completions.create(**request(case))
        return answer.choices[0].message.content

    async def stream(case):
        chunks = await client.chat.completions.create(**request(case, stream=True, **usage(case)))
        async for chunk in chunks:
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content

    def ask_blocking(case):
        return blocking.chat.completions.create(**request(case)).choices[0].message.content

    def stream_blocking(case):
        for chunk in blocking.chat.completions.create(**request(case, stream=True, **usage(case))):
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content
