"""What measures the app, by two words of the environment: HTTP (its requests) and GENAI (its calls to the model).

Nothing here counts by itself: each branch is the set-up that the library's own documentation gives.
"""

import os

from opentelemetry import metrics, trace
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

HTTP = os.environ.get("HTTP", "none")
GENAI = os.environ.get("GENAI", "none")


def begin():
    """Before the framework and the client library are used."""
    trace.set_tracer_provider(TracerProvider())
    metrics.set_meter_provider(MeterProvider(metric_readers=[PrometheusMetricReader()]))
    if GENAI == "openai-v2":
        from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

        OpenAIInstrumentor().instrument()
    elif GENAI == "genai-openai":
        from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

        OpenAIInstrumentor().instrument()
    elif GENAI == "genai-anthropic":
        from opentelemetry.instrumentation.genai.anthropic import AnthropicInstrumentor

        AnthropicInstrumentor().instrument()
    elif GENAI == "openllmetry-openai":
        from opentelemetry.instrumentation.openai import OpenAIInstrumentor

        OpenAIInstrumentor().instrument()
    elif GENAI == "openllmetry-anthropic":
        from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor

        AnthropicInstrumentor().instrument()
    elif GENAI == "openllmetry-langchain":
        from opentelemetry.instrumentation.langchain import LangchainInstrumentor

        LangchainInstrumentor().instrument()
    elif GENAI == "genai-langchain":
        from opentelemetry.instrumentation.genai.langchain import LangChainInstrumentor

        LangChainInstrumentor().instrument()
    elif GENAI == "openlit":
        import openlit

        openlit.init(pricing_json=os.environ.get("OPENLIT_PRICING_JSON"))
    elif GENAI != "none":
        raise SystemExit(f"GENAI={GENAI} is not known")


def fastapi(app):
    """Around a FastAPI app."""
    from prometheus_client import make_asgi_app

    if HTTP == "otel":
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

        FastAPIInstrumentor.instrument_app(app)
    elif HTTP == "instrumentator":
        from prometheus_fastapi_instrumentator import Instrumentator

        Instrumentator().instrument(app).expose(app)
        return
    elif HTTP == "starlette_exporter":
        from starlette_exporter import PrometheusMiddleware, handle_metrics

        app.add_middleware(PrometheusMiddleware, group_paths=True)
        app.add_route("/metrics", handle_metrics)
        return
    elif HTTP == "starlette-prometheus":
        from starlette_prometheus import PrometheusMiddleware, metrics as exposed

        app.add_middleware(PrometheusMiddleware)
        app.add_route("/metrics", exposed)
        return
    elif HTTP == "handmade":
        # As a chat writes it: an exception never reaches the counter.
        from prometheus_client import Counter, Histogram

        requests = Counter("http_requests_total", "Requests", ["method", "path", "status"])
        seconds = Histogram("http_request_duration_seconds", "Duration", ["method", "path"])

        @app.middleware("http")
        async def count(request, call_next):
            with seconds.labels(request.method, request.url.path).time():
                response = await call_next(request)
            requests.labels(request.method, request.url.path, response.status_code).inc()
            return response
    elif HTTP not in ("native", "none"):
        raise SystemExit(f"HTTP={HTTP} is not known")
    # A mount: `/metrics` is answered with a redirect to `/metrics/`.
    app.mount("/metrics", make_asgi_app())
