//! What the numbers of an instrumentation miss, by the name of its scope (`otel_scope_name`, which OpenTelemetry's
//! Prometheus exporters set). Facts from the source of the libraries, each at the version that its row names; of a scope
//! that is not in the table nothing is known, and what can be measured is (`streams`).

use crate::series::Series;

/// What an instrumentation misses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    /// The end of a stream: its duration is that of the headers.
    Length,
    /// The wait for the headers of a stream: its durations begin there.
    Wait,
    /// That a stream broke off: it counts as good.
    Break,
    /// Streams that broke off: they are counted nowhere.
    Broken,
    /// Streams that failed, at their beginning or later: they are counted nowhere.
    Failed,
    /// Every failed call.
    Failures,
    /// The difference between a stream and another answer: its server-side time to the first token holds the whole
    /// duration of answers that are not streamed.
    FirstToken,
}

/// An instrumentation of which something is known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    /// Its name, as the label has it.
    pub(crate) name: &'static str,
    /// What its numbers miss.
    pub(crate) misses: &'static [Miss],
    /// What to do instead.
    pub(crate) instead: &'static str,
}

const GENAI_OPENAI: &str = "use opentelemetry-instrumentation-genai-openai";
const OWN: &str = "count them in the application and watch them with a ratio gate";
const CALLS: &str = "watch the calls to the model too, with the telemetry preset otel-genai";

const SCOPES: [Scope; 18] = [
    // opentelemetry-instrumentation-openai-v2 2.4b0, patch.py, `chat_completions_create_v_old`: metrics are recorded in the
    // `finally` of the call, which returns the stream before anything of it was read. With the option its scope is
    // `opentelemetry.util.genai.handler`, of which nothing is missed.
    Scope {
        name: "opentelemetry.instrumentation.openai_v2",
        misses: &[Miss::Length, Miss::Break],
        instead: "set OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental or use \
                  opentelemetry-instrumentation-genai-openai",
    },
    // opentelemetry-util-genai 1.3b0, `TelemetryHandler`, which counts a call when its stream has ended, however it did; and
    // what is made of it.
    Scope { name: "opentelemetry.util.genai.handler", misses: &[], instead: "" },
    Scope { name: "opentelemetry.instrumentation.genai.openai", misses: &[], instead: "" },
    Scope { name: "opentelemetry.instrumentation.genai.anthropic", misses: &[], instead: "" },
    Scope { name: "opentelemetry.instrumentation.genai.langchain", misses: &[], instead: "" },
    // opentelemetry-instrumentation-openai (OpenLLMetry) 0.62.4, shared/chat_wrappers.py, `ChatStream._ensure_cleanup`
    // records the duration of a stream that raised, or was left, without `error.type`.
    Scope { name: "opentelemetry.instrumentation.openai.v1", misses: &[Miss::Break], instead: GENAI_OPENAI },
    // The same, `_build_from_streaming_response`: what follows the loop over the stream is not reached.
    Scope { name: "opentelemetry.instrumentation.openai.v0", misses: &[Miss::Broken], instead: GENAI_OPENAI },
    // opentelemetry-instrumentation-anthropic (OpenLLMetry) 0.62.4, streaming.py, `AnthropicStream.__next__`: an exception
    // is counted in a counter of its own, and the duration is recorded at the end of the stream alone.
    Scope {
        name: "opentelemetry.instrumentation.anthropic",
        misses: &[Miss::Broken],
        instead: "use opentelemetry-instrumentation-genai-anthropic",
    },
    // opentelemetry-instrumentation-langchain (OpenLLMetry) 0.62.4, callback_handler.py: `on_llm_end` records the duration,
    // `_handle_error` ends the span and records nothing.
    Scope {
        name: "opentelemetry.instrumentation.langchain",
        misses: &[Miss::Failures],
        instead: "use opentelemetry-instrumentation-genai-langchain",
    },
    // openlit 1.45.0, instrumentation/openai/openai.py, `TracedSyncStream.__next__` records on `StopIteration` alone, and
    // `chat_completions` nothing of a stream that is refused; `TracedSyncStream.__init__` takes the time when the call has
    // returned;
    // instrumentation/openai/utils.py sets the time to the first token of an answer in one piece to its whole duration.
    Scope {
        name: "openlit.otel.metrics",
        misses: &[Miss::Failed, Miss::Wait, Miss::FirstToken],
        instead: GENAI_OPENAI,
    },
    // @opentelemetry/instrumentation-openai 0.21.0, instrumentation.js, `_onChatCompletionsStreamIterator` records behind its
    // loop over the stream.
    Scope { name: "@opentelemetry/instrumentation-openai", misses: &[Miss::Broken], instead: OWN },
    // @opentelemetry/instrumentation-http 0.223.0, http.ts, `_onServerResponseFinish`: the status is that of the headers, and
    // `error.type` is set by the status alone.
    Scope { name: "@opentelemetry/instrumentation-http", misses: &[Miss::Break], instead: OWN },
    // opentelemetry-instrumentation-asgi 0.66b2, `OpenTelemetryMiddleware.__call__`: the status was 200 when the stream
    // began, and an exception sets no `error.type`. FastAPI's and Starlette's are made of it.
    Scope { name: "opentelemetry.instrumentation.asgi", misses: &[Miss::Break], instead: CALLS },
    Scope { name: "opentelemetry.instrumentation.fastapi", misses: &[Miss::Break], instead: CALLS },
    Scope { name: "opentelemetry.instrumentation.starlette", misses: &[Miss::Break], instead: CALLS },
    // opentelemetry-instrumentation-wsgi 0.66b2, `OpenTelemetryMiddleware.__call__`, and -flask, `_wrapped_app`: recorded when
    // the application returns its iterable. -django, `process_response`: when the view returns its response.
    Scope { name: "opentelemetry.instrumentation.wsgi", misses: &[Miss::Length, Miss::Break], instead: CALLS },
    Scope { name: "opentelemetry.instrumentation.flask", misses: &[Miss::Length, Miss::Break], instead: CALLS },
    Scope { name: "opentelemetry.instrumentation.django", misses: &[Miss::Length, Miss::Break], instead: CALLS },
];

impl Scope {
    /// The instrumentation of a series, where something is known of it.
    pub(crate) fn of(series: &Series) -> Option<&'static Self> {
        let name = series.label("otel_scope_name");
        SCOPES.iter().find(|scope| scope.name == name)
    }

    /// Does it miss this?
    pub(crate) fn lacks(&self, miss: Miss) -> bool {
        self.misses.contains(&miss)
    }
}
