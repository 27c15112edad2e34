"""A micro-app in FastAPI. The case of the request decides what befalls it."""

import json

import telemetry

telemetry.begin()

import model
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()


@app.get("/healthz")
async def healthz():
    return "ok"


@app.get("/ask")
async def ask(case: str):
    """One call to the model, whose answer must be JSON. Without a case: 422."""
    if case == "appcrash":
        raise RuntimeError("the app broke before it called the model")
    return json.loads(await model.ask(case))


@app.get("/agent")
async def agent(case: str):
    """Two calls to the model for one request."""
    first = json.loads(await model.ask(case))
    return [first, json.loads(await model.ask(case))]


@app.get("/stream")
async def stream(case: str):
    """Server-sent events."""

    async def events():
        async for text in model.stream(case):
            yield f"data: {json.dumps(text)}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


telemetry.fastapi(app)
