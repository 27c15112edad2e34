// The micro-app in Express. An error that nobody handles becomes the answer, with the status that the error has.
const express = require("express");
const OpenAI = require("openai");

const prompt = require("node:fs").readFileSync(`${__dirname}/prompt.txt`, "utf8");
const model = process.env.MODEL ?? "gpt-5-nano";
const client = new OpenAI({ baseURL: `${process.env.MODEL_URL}/v1`, apiKey: "none", maxRetries: 0 });
const app = express();
const http = process.env.HTTP ?? "none";

if (http === "prom-client") {
  // As the tutorials have it: what is counted is what was answered to the end.
  const prometheus = require("prom-client");
  prometheus.collectDefaultMetrics();
  const requests = new prometheus.Counter({ name: "http_requests_total", help: "Requests", labelNames: ["method", "route", "code"] });
  const seconds = new prometheus.Histogram({ name: "http_request_duration_seconds", help: "Duration", labelNames: ["method", "route", "code"] });
  app.use((request, response, next) => {
    const end = seconds.startTimer();
    response.on("finish", () => {
      const labels = { method: request.method, route: request.route?.path ?? request.path, code: response.statusCode };
      requests.inc(labels);
      end(labels);
    });
    next();
  });
  app.get("/metrics", async (_, response) => {
    response.type(prometheus.register.contentType).send(await prometheus.register.metrics());
  });
} else if (http === "express-prom-bundle") {
  app.use(require("express-prom-bundle")({ includeMethod: true, includePath: true }));
}

function request(question, more) {
  return { model, messages: [{ role: "user", content: `${question}: ${prompt}` }], ...more };
}

function patience(question) {
  return { timeout: question === "timeout" ? 500 : 20_000 };
}

async function ask(question) {
  const answer = await client.chat.completions.create(request(question, {}), patience(question));
  return JSON.parse(answer.choices[0].message.content);
}

app.get("/healthz", (_, response) => response.send("ok"));

app.get("/ask", async ({ query }, response) => {
  if (query.case === undefined) return response.status(422).json({ detail: "a case is missing" });
  if (query.case === "appcrash") throw new Error("the app broke before it called the model");
  response.json(await ask(query.case));
});

app.get("/agent", async ({ query }, response) => {
  const first = await ask(query.case);
  response.json([first, await ask(query.case)]);
});

app.get("/stream", async ({ query }, response) => {
  const usage = query.case === "nousage" ? {} : { stream_options: { include_usage: true } };
  const chunks = await client.chat.completions.create(request(query.case, { stream: true, ...usage }), patience(query.case));
  response.type("text/event-stream");
  try {
    for await (const chunk of chunks) {
      const text = chunk.choices[0]?.delta?.content;
      if (text) response.write(`data: ${JSON.stringify(text)}\n\n`);
      if (response.destroyed) return;
    }
  } catch (error) {
    // The answer has begun: nothing is left but to break it off.
    response.destroy(error);
    return;
  }
  response.end();
});

app.listen(Number(process.env.PORT), "127.0.0.1");
