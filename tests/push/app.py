"""An app that pushes its metrics: FastAPI's own request metrics, and what a GenAI instrumentation counts.

Nothing is configured here: FASTAPI_OTEL_AUTO_CONFIGURE and the usual OTEL_* variables do it.
`/ask?fail=1` fails, `/ask?slow=1` takes three seconds.
"""

import asyncio
from time import perf_counter

from fastapi import FastAPI, HTTPException
from opentelemetry import metrics

app = FastAPI()
BOUNDS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
MODEL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "gpt-5-nano",
    "gen_ai.response.model": "gpt-5-nano-2025-08-07",
}


@app.get("/ask")
async def ask(fail: int = 0, slow: int = 0) -> dict[str, str]:
    begun = perf_counter()
    if slow:
        await asyncio.sleep(3)
    meter = metrics.get_meter("tests.push")
    duration = meter.create_histogram(
        "gen_ai.client.operation.duration", unit="s", explicit_bucket_boundaries_advisory=BOUNDS
    )
    usage = meter.create_histogram("gen_ai.client.token.usage", unit="{token}")
    ended = {**MODEL, "error.type": "APIConnectionError"} if fail else MODEL
    duration.record(perf_counter() - begun, ended)
    if fail:
        raise HTTPException(502)
    usage.record(100, {**MODEL, "gen_ai.token.type": "input"})
    usage.record(20, {**MODEL, "gen_ai.token.type": "output"})
    return {"answer": "yes"}
