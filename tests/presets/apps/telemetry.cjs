// What measures the app, by two words of the environment: HTTP (its requests) and GENAI (its calls to the model).
// Loaded with `--require`, before Express and the client library, as the instrumentations ask for.
const { metrics } = require("@opentelemetry/api");
const { registerInstrumentations } = require("@opentelemetry/instrumentation");

const http = process.env.HTTP ?? "none";
const genai = process.env.GENAI ?? "none";
const instrumentations = [];

if (http.startsWith("otel") || genai !== "none") {
  const { MeterProvider } = require("@opentelemetry/sdk-metrics");
  const { PrometheusExporter } = require("@opentelemetry/exporter-prometheus");
  // It serves a port of its own, so no scrape is a request of the app.
  const exporter = new PrometheusExporter({ host: "127.0.0.1", port: Number(process.env.METRICS_PORT) });
  metrics.setGlobalMeterProvider(new MeterProvider({ readers: [exporter] }));
  const { NodeTracerProvider } = require("@opentelemetry/sdk-trace-node");
  new NodeTracerProvider().register();
}
if (http.startsWith("otel")) {
  const { HttpInstrumentation } = require("@opentelemetry/instrumentation-http");
  instrumentations.push(new HttpInstrumentation());
}
if (http === "otel-express") {
  const { ExpressInstrumentation } = require("@opentelemetry/instrumentation-express");
  instrumentations.push(new ExpressInstrumentation());
}
if (genai === "otel") {
  const { OpenAIInstrumentation } = require("@opentelemetry/instrumentation-openai");
  instrumentations.push(new OpenAIInstrumentation());
} else if (genai === "traceloop") {
  const { OpenAIInstrumentation } = require("@traceloop/instrumentation-openai");
  instrumentations.push(new OpenAIInstrumentation());
} else if (genai !== "none") {
  throw new Error(`GENAI=${genai} is not known`);
}
registerInstrumentations({ instrumentations });
