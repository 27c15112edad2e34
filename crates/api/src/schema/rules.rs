//! The CEL rules: what the API server refuses, and the sentence that says what to write instead.
//!
//! A rule also runs on a value that another rule refuses, so each stands alone: `a && b` is false where `a` is false
//! and `b` cannot be computed. The cost of each is estimated from the bounds of the fields that it reads.

use serde_json::{Value, json};

use super::walk::at;

/// A rule at a path of the schema.
pub(super) struct Rule {
    path: &'static str,
    cel: &'static str,
    message: &'static str,
}

const fn rule(path: &'static str, cel: &'static str, message: &'static str) -> Rule {
    Rule { path, cel, message }
}

/// As Gateway API writes durations (GEP-2257).
macro_rules! is_duration {
    () => {
        "self.matches('^([0-9]{1,5}(h|m|s|ms)){1,4}$')"
    };
}

/// A percentage that is above 0: digits before the point, and a further condition on its number.
macro_rules! is_percent {
    ($digits:literal, $and:literal) => {
        concat!(
            "self.matches('^[0-9]{1,",
            $digits,
            "}([.][0-9]{1,4})?%$') && double(self.replace('%', '')) > 0.0 && double(self.replace('%', '')) ",
            $and
        )
    };
}

/// A share between 0 and 1.
macro_rules! is_quantile {
    () => {
        "self.matches('^0[.][0-9]{1,6}$') && double(self) > 0.0"
    };
}

/// A time above 0, with decimals.
macro_rules! is_time {
    () => {
        "self.matches('^([0-9]{1,5}([.][0-9]{1,6})?(h|m|s|ms)){1,4}$') && duration(self) > duration('0s')"
    };
}

/// The name of a histogram of the user's own.
macro_rules! is_metric {
    () => {
        "self.matches('^[a-zA-Z_:][a-zA-Z0-9_:]*$')"
    };
}

/// Matchers without a metric.
macro_rules! are_matchers {
    () => {
        "self.matches('^[{].*[}]$')"
    };
}

/// The number of a step's weight.
macro_rules! number {
    ($step:literal) => {
        concat!("double(string(", $step, ".weight).replace('%', ''))")
    };
}

pub(super) const RULES: &[Rule] = &[
    rule(
        "spec.telemetry",
        "!has(self.backend)",
        "backend has no effect yet: leave it out; the numbers come from the Prometheus that the administrator named",
    ),
    rule(
        "",
        "self.metadata.name.size() <= 40",
        "metadata.name is too long: write at most 40 characters, since the names of the children add a revision to it",
    ),
    rule(
        "",
        "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "metadata.name must be a name for Services: write lower-case letters, digits and '-', beginning with a letter \
         and ending with a letter or digit",
    ),
    rule(
        "spec",
        "!has(self.template.spec) || self.template.spec.containers.exists(c, has(c.ports) && \
         c.ports.exists(p, p.containerPort == self.traffic.port && (!has(p.protocol) || \
         p.protocol == 'TCP')))",
        "no container of the template has the TCP port of traffic.port: add it to containers[].ports, or correct \
         traffic.port",
    ),
    rule(
        "spec.template.spec",
        "!has(self.restartPolicy) || self.restartPolicy == 'Always'",
        "restartPolicy must be Always: leave it out",
    ),
    rule(
        "spec.template.metadata.labels",
        "self.all(key, !key.startsWith('microapp.dev/'))",
        "labels under microapp.dev/ are set by the operator: leave them out",
    ),
    rule(
        "spec.template.spec.containers[].env[]",
        "!(self.name in ['MODEL_PROVIDER', 'MODEL_NAME', 'MODEL_VERSION'])",
        "MODEL_PROVIDER, MODEL_NAME and MODEL_VERSION are set from spec.model: leave them out and write the model there",
    ),
    rule(
        "spec.template.spec.initContainers[].env[]",
        "!(self.name in ['MODEL_PROVIDER', 'MODEL_NAME', 'MODEL_VERSION'])",
        "MODEL_PROVIDER, MODEL_NAME and MODEL_VERSION are set from spec.model: leave them out and write the model there",
    ),
    rule(
        "spec.model.version",
        "!(self.lowerAscii() in ['latest', 'stable', 'default', 'current', 'preview']) && \
         !self.lowerAscii().endsWith('-latest')",
        "the version is an alias that moves: write the version that it stands for today, such as \"2025-08-07\"",
    ),
    rule(
        "spec.prompts.mountPath",
        "self.matches('^/[^:]*[^:/]$')",
        "mountPath must be an absolute path other than /: write one such as /prompts",
    ),
    rule(
        "spec.traffic.gateway.parentRefs",
        "self.size() > 0",
        "parentRefs is empty: name the Gateway that serves the application, such as [{name: public}]",
    ),
    rule(
        "spec.traffic.gateway.hostnames[]",
        "self.matches('^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
        "not a host name: write one in lower case, such as kyc.example.com or *.example.com",
    ),
    rule(
        "spec.traffic.gateway.timeouts.request",
        is_duration!(),
        "not a duration: write one such as \"30s\" or \"5m\", or \"0s\" for no limit",
    ),
    rule(
        "spec.strategy.steps",
        "self.size() > 0",
        "steps is empty: write at least one step, the last with weight 100, or leave steps out for the preset's",
    ),
    rule(
        "spec.strategy.steps",
        concat!(
            "!self.all(s, string(s.weight).matches('^[0-9]{1,3}([.][0-9]{1,4})?%?$')) || (self.map(s, ",
            number!("s"),
            ").isSorted() && self.all(s, self.exists_one(t, ",
            number!("t"),
            " == ",
            number!("s"),
            ")))"
        ),
        "the weights do not rise: write each step's weight above that of the step before it, such as 1, 5, 25, 100",
    ),
    rule(
        "spec.strategy.steps",
        "self.size() == 0 || string(self[self.size() - 1].weight).matches('^100([.]0{1,4})?%?$')",
        "the last step's weight is not 100: add a step with weight 100 and the dwell during which the old revision \
         stays warm",
    ),
    rule(
        "spec.strategy.steps[].weight",
        "string(self).matches('^([0-9]{1,3}|[0-9]{1,3}([.][0-9]{1,4})?%)$') && \
         double(string(self).replace('%', '')) > 0.0 && double(string(self).replace('%', '')) <= 100.0",
        "the weight must be a percentage above 0 and at most 100: write an integer such as 5, or a string such as \
         \"0.5%\"",
    ),
    rule(
        "spec.strategy.steps[].dwell",
        concat!(is_duration!(), " && duration(self) >= duration('1s') && duration(self) <= duration('720h')"),
        "the dwell must be a duration from 1s to 720h: write one such as \"30s\", \"5m\" or \"1h30m\"",
    ),
    rule(
        "spec.strategy.maxStepDuration",
        concat!(is_duration!(), " && duration(self) >= duration('1s') && duration(self) <= duration('720h')"),
        "maxStepDuration must be a duration from 1s to 720h: write one such as \"30m\" or \"1h30m\"",
    ),
    rule(
        "spec.strategy.readyDeadline",
        concat!(is_duration!(), " && duration(self) >= duration('1s') && duration(self) <= duration('24h')"),
        "readyDeadline must be a duration from 1s to 24h: write one such as \"10m\" or \"1h30m\"",
    ),
    rule(
        "spec.strategy.warmUp",
        concat!(is_duration!(), " && duration(self) <= duration('30m')"),
        "warmUp must be a duration from 0s to 30m: write one such as \"10s\" or \"2m\", or \"0s\" for none",
    ),
    rule(
        "spec.strategy.tolerance",
        concat!("self == 'Auto' || (", is_percent!("2", "<= 20.0"), ")"),
        "the tolerance must be Auto, or a percentage above 0% and at most 20%: write one such as \"0.5%\"",
    ),
    rule(
        "spec.gates[]",
        "[has(self.errorRate), has(self.clientErrors), has(self.latency), has(self.timeToFirstToken), \
         has(self.timePerOutputToken), has(self.tokensPerRequest), has(self.tokenCost), has(self.tokenBudget), \
         has(self.hallucination), has(self.similarity), has(self.safety), has(self.taskCompletion), \
         has(self.feedback), has(self.truncation), has(self.throttling), has(self.modelIdentity), has(self.shareCheck), \
         has(self.saturation), has(self.ratio), has(self.query)].exists_one(k, k)",
        "a gate has exactly one kind: write one of errorRate, clientErrors, latency, timeToFirstToken, \
         timePerOutputToken, tokensPerRequest, tokenCost, tokenBudget, hallucination, similarity, safety, \
         taskCompletion, feedback, truncation, throttling, modelIdentity, shareCheck, saturation, ratio and query, and a \
         gate of its own for each further one",
    ),
    rule(
        "spec.gates[]",
        "!has(self.telemetry) || (has(self.hallucination) || has(self.similarity) || has(self.safety) || \
         has(self.taskCompletion) || has(self.feedback)) == (self.telemetry == 'evals')",
        "this telemetry has no numbers for the gate: verdicts of judges and votes of users come from evals, and evals has \
         nothing else; leave telemetry out",
    ),
    rule(
        "spec.gates[]",
        "!has(self.telemetry) || !((has(self.timeToFirstToken) && !has(self.timeToFirstToken.histogram)) || \
         has(self.tokensPerRequest) || has(self.tokenCost) || has(self.tokenBudget)) || \
         self.telemetry in ['otel-genai', 'litellm', 'vllm']",
        "this telemetry has no numbers for the gate: tokens and the time to the first one come from otel-genai, litellm or \
         vllm; leave telemetry out",
    ),
    rule(
        "spec.gates[]",
        "!has(self.telemetry) || ((!has(self.timePerOutputToken) || has(self.timePerOutputToken.histogram) || \
         self.telemetry in ['otel-genai', 'vllm']) && \
         (!has(self.modelIdentity) || self.telemetry in ['otel-genai', 'litellm']) && \
         (!has(self.truncation) && !has(self.saturation) || self.telemetry == 'vllm') && \
         (!has(self.throttling) || !(self.telemetry in ['envoy', 'vllm'])) && \
         (!has(self.clientErrors) || !(self.telemetry in ['otel-genai', 'litellm'])))",
        "this telemetry has no numbers for the gate: timePerOutputToken comes from otel-genai or vllm, modelIdentity from \
         otel-genai or litellm, truncation and saturation from vllm, throttling from neither envoy nor vllm, clientErrors \
         from neither otel-genai nor litellm; leave telemetry out",
    ),
    rule(
        "spec.gates[].name",
        "self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "not a gate's name: write lower-case letters, digits and '-', beginning with a letter, such as errors",
    ),
    rule(
        "spec.gates[].errorRate.max",
        is_percent!("2", "< 100.0"),
        "max must be a percentage above 0% and below 100%: write one such as \"1%\" or \"0.5%\"",
    ),
    rule(
        "spec.gates[].latency.quantile",
        is_quantile!(),
        "the quantile must lie between 0 and 1: write one such as \"0.95\"",
    ),
    rule(
        "spec.gates[].latency.max",
        is_time!(),
        "max must be a time above 0: write one such as \"800ms\" or \"2.56s\"",
    ),
    rule(
        "spec.gates[].latency",
        "!has(self.matching) || has(self.histogram)",
        "matching needs histogram: name the histogram that it is about, such as http_request_duration_seconds",
    ),
    rule(
        "spec.gates[].latency.histogram",
        is_metric!(),
        "not the name of a metric: write one such as http_request_duration_seconds, and labels in matching",
    ),
    rule(
        "spec.gates[].latency.matching",
        are_matchers!(),
        "matching must be matchers in braces: write such as {route=\"/ask\"}",
    ),
    rule(
        "spec.gates[].timeToFirstToken.quantile",
        is_quantile!(),
        "the quantile must lie between 0 and 1: write one such as \"0.95\"",
    ),
    rule(
        "spec.gates[].timeToFirstToken.max",
        is_time!(),
        "max must be a time above 0: write one such as \"800ms\" or \"2.56s\"",
    ),
    rule(
        "spec.gates[].timeToFirstToken",
        "!has(self.matching) || has(self.histogram)",
        "matching needs histogram: name the histogram that it is about, such as http_request_duration_seconds",
    ),
    rule(
        "spec.gates[].timeToFirstToken.histogram",
        is_metric!(),
        "not the name of a metric: write one such as http_request_duration_seconds, and labels in matching",
    ),
    rule(
        "spec.gates[].timeToFirstToken.matching",
        are_matchers!(),
        "matching must be matchers in braces: write such as {route=\"/ask\"}",
    ),
    rule(
        "spec.gates[].timePerOutputToken.quantile",
        is_quantile!(),
        "the quantile must lie between 0 and 1: write one such as \"0.95\"",
    ),
    rule(
        "spec.gates[].timePerOutputToken.max",
        is_time!(),
        "max must be a time above 0: write one such as \"800ms\" or \"2.56s\"",
    ),
    rule(
        "spec.gates[].timePerOutputToken",
        "!has(self.matching) || has(self.histogram)",
        "matching needs histogram: name the histogram that it is about, such as http_request_duration_seconds",
    ),
    rule(
        "spec.gates[].timePerOutputToken.histogram",
        is_metric!(),
        "not the name of a metric: write one such as http_request_duration_seconds, and labels in matching",
    ),
    rule(
        "spec.gates[].timePerOutputToken.matching",
        are_matchers!(),
        "matching must be matchers in braces: write such as {route=\"/ask\"}",
    ),
    rule(
        "spec.gates[].tokensPerRequest",
        "has(self.maxPerRequest) || has(self.maxIncrease)",
        "tokensPerRequest limits nothing: write maxPerRequest (tokens, such as 4000), maxIncrease (such as \"10%\") or both",
    ),
    rule(
        "spec.gates[].tokensPerRequest.maxIncrease",
        is_percent!("4", "<= 1000.0"),
        "maxIncrease must be a percentage above 0% and at most 1000%: write one such as \"10%\"",
    ),
    rule(
        "spec.gates[].tokenBudget.max",
        "self.matches('^[0-9]{1,6}([.][0-9]{1,12})?$') && double(self) > 0.0",
        "max must be an amount of USD above 0: write one such as \"25\"",
    ),
    rule(
        "spec.gates[].tokenCost",
        "has(self.maxPerRequest) || has(self.maxIncrease)",
        "tokenCost limits nothing: write maxPerRequest (USD, such as \"0.004\"), maxIncrease (such as \"10%\") or both",
    ),
    rule(
        "spec.gates[].tokenCost.maxPerRequest",
        "self.matches('^[0-9]{1,6}([.][0-9]{1,12})?$') && double(self) > 0.0",
        "maxPerRequest must be an amount of USD above 0: write one such as \"0.004\"",
    ),
    rule(
        "spec.gates[].tokenCost.maxIncrease",
        is_percent!("4", "<= 1000.0"),
        "maxIncrease must be a percentage above 0% and at most 1000%: write one such as \"10%\"",
    ),
    rule(
        "spec.gates[].hallucination.max",
        is_percent!("2", "< 100.0"),
        "max must be a percentage above 0% and below 100%: write one such as \"4%\"",
    ),
    rule(
        "spec.gates[].similarity.max",
        is_percent!("2", "< 100.0"),
        "max must be a percentage above 0% and below 100%: write one such as \"5%\"",
    ),
    rule(
        "spec.gates[].safety.max",
        is_percent!("2", "< 100.0"),
        "max must be a percentage above 0% and below 100%: write one such as \"0.5%\"",
    ),
    rule(
        "spec.gates[].taskCompletion.max",
        is_percent!("2", "< 100.0"),
        "max must be a percentage above 0% and below 100%: write one such as \"10%\"",
    ),
    rule(
        "spec.gates[].feedback.max",
        is_percent!("2", "< 100.0"),
        "max must be a percentage above 0% and below 100%: write one such as \"20%\"",
    ),
    rule(
        "spec.gates[].truncation.max",
        is_percent!("2", "< 100.0"),
        "max must be a percentage above 0% and below 100%: write one such as \"5%\"",
    ),
    rule(
        "spec.gates[].throttling.max",
        is_percent!("2", "< 100.0"),
        "max must be a percentage above 0% and below 100%: write one such as \"5%\"",
    ),
    rule(
        "spec.gates[].ratio.max",
        is_percent!("2", "< 100.0"),
        "max must be a percentage above 0% and below 100%: write one such as \"1%\"",
    ),
    rule(
        "spec.gates[].saturation",
        "has(self.maxCache) || has(self.maxQueue)",
        "saturation limits nothing: write maxCache (such as \"90%\"), maxQueue (requests, such as 10) or both",
    ),
    rule(
        "spec.gates[].saturation.maxCache",
        is_percent!("3", "<= 100.0"),
        "maxCache must be a percentage above 0% and at most 100%: write one such as \"90%\"",
    ),
    rule(
        "spec.gates[].query",
        "has(self.min) || has(self.max)",
        "the query limits nothing: write min, max or both, decimals such as \"0.5\"",
    ),
    rule(
        "spec.gates[].query",
        "(has(self.breaches) ? self.breaches : 3) <= (has(self.of) ? self.of : 5)",
        "breaches is larger than of: write how many of the last answers may lie outside, such as breaches 3 of 5",
    ),
    rule(
        "spec.gates[].query.min",
        "self.matches('^-?[0-9]{1,12}([.][0-9]{1,9})?$')",
        "min must be a decimal: write one such as \"0.99\"",
    ),
    rule(
        "spec.gates[].query.max",
        "self.matches('^-?[0-9]{1,12}([.][0-9]{1,9})?$')",
        "max must be a decimal: write one such as \"0.5\"",
    ),
    rule(
        "spec.gates",
        "self.filter(g, has(g.hallucination) || has(g.similarity) || has(g.safety) || has(g.taskCompletion)).size() < 2 || \
         self.all(g, !has(g.hallucination) || has(g.hallucination.evaluator))",
        "several gates read verdicts: write hallucination.evaluator, or it would count those of the other gates' judges too",
    ),
];

pub(super) fn apply(schema: &mut Value) {
    for Rule { path, cel, message } in RULES {
        let node = at(schema, path);
        if node.get("x-kubernetes-validations").is_none() {
            node["x-kubernetes-validations"] = json!([]);
        }
        if let Some(rules) = node["x-kubernetes-validations"].as_array_mut() {
            rules.push(json!({"rule": cel, "message": message}));
        }
    }
}
