"""The same micro-app in Flask, with the blocking client."""

import json

import telemetry

telemetry.begin()

import model
from flask import Flask, Response, request

app = Flask(__name__)

if telemetry.HTTP == "prometheus_flask_exporter":
    from prometheus_flask_exporter import PrometheusMetrics

    PrometheusMetrics(app)


@app.get("/healthz")
def healthz():
    return "ok"


def case():
    return request.args.get("case")


@app.get("/ask")
def ask():
    if case() is None:
        return {"detail": "a case is missing"}, 422
    if case() == "appcrash":
        raise RuntimeError("the app broke before it called the model")
    return json.loads(model.ask_blocking(case()))


@app.get("/agent")
def agent():
    first = json.loads(model.ask_blocking(case()))
    return [first, json.loads(model.ask_blocking(case()))]


@app.get("/stream")
def stream():
    wanted = case()

    def events():
        for text in model.stream_blocking(wanted):
            yield f"data: {json.dumps(text)}\n\n"

    return Response(events(), mimetype="text/event-stream")
