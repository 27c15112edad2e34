//! Why nothing is chosen for a gate, in sentences that say what there is and what to set.

use microapp_core::{
    counts::{Unfit, Unknown},
    strategy::{Gate, Preset, Share},
};

use crate::{presets::Definition, series::Series, streams, words};

/// Nothing to read, and the sentence that says why.
pub(super) fn unfit(reason: Unknown, message: String) -> Unfit {
    Unfit { reason, message, fatal: false }
}

/// A kind of gate that the preset does not know.
pub(super) fn foreign(gate: &Gate) -> Unfit {
    let message = format!("the telemetry preset {} has nothing for this kind of gate", gate.source.as_str());
    Unfit { reason: Unknown::NoData, message, fatal: true }
}

/// Classes of statuses (ingress-nginx with `--report-status-classes`) have 429 among the other 4xx.
pub(super) fn classes(
    what: &Share,
    labels: &[&str],
    definition: &Definition,
    family: &str,
    stable: &[&Series],
) -> Option<Unfit> {
    let all = || streams::calls(definition, family, stable);
    let told = labels.iter().flat_map(|label| all().map(|series| series.label(label)));
    let mut told = told.filter(|status| !status.is_empty()).peekable();
    let alone = *what == Share::Throttled && told.peek().is_some() && told.all(words::is_class);
    alone.then(|| {
        let message = format!(
            "{family} of stable has classes of statuses alone in {}, so that no 429 could be seen: this gate could never fail; \
             let the source write whole statuses",
            labels.join(" or ")
        );
        unfit(Unknown::NoData, message)
    })
}

/// Only vLLM counts the answers that were cut off.
pub(super) fn untold(name: &str, wanted: &str) -> Unfit {
    let message = format!(
        "answers that were cut off at the limit of their length are counted by vLLM alone, and stable has no series {name} with \
         {wanted}; otel-genai and litellm have no counter by finish reason: count them in the application and write ratio: \
         {{bad: 'answers_total{{finish_reason=\"length\"}}', total: 'answers_total'}}, or take the gate out"
    );
    unfit(Unknown::NoData, message)
}

/// Only vLLM says how full it is.
pub(super) fn of_a_server(names: &[&str], wanted: &str) -> Unfit {
    let message = format!(
        "how full a model server is only vLLM says, and stable has no series {} with {wanted}: set `telemetry: vllm` where its \
         pods run vLLM, write a `query` gate over the server's own gauges, or take the gate out",
        names.join(" or ")
    );
    unfit(Unknown::NoData, message)
}

/// So many names of a preset are said.
const NAMES: usize = 3;

pub(super) fn missing<S: AsRef<str>>(names: &[S], wanted: &str) -> Unfit {
    let said: Vec<&str> = names.iter().take(NAMES).map(AsRef::as_ref).collect();
    let more = names.len().saturating_sub(NAMES);
    let more = if more > 0 { format!(" (nor {more} more of the preset's)") } else { String::new() };
    unfit(Unknown::NoData, format!("stable has no series {}{more} with {wanted}", said.join(" or ")))
}

/// There are none, or none that the preset takes for requests of users.
pub(super) fn filtered<S: AsRef<str>>(gate: &Gate, names: &[S], stable: &[&Series], wanted: &str) -> Unfit {
    let of = |name: &S| stable.iter().copied().filter(|series| series.name() == name.as_ref()).collect::<Vec<_>>();
    let Some((name, series)) = names.iter().map(|name| (name.as_ref(), of(name))).find(|(_, own)| !own.is_empty())
    else {
        return missing(names, wanted);
    };
    let labels = words::labels(series);
    let instead = match (gate.source, words::failures(&labels, words::FAILED)) {
        (Preset::Vllm, Some(failed)) => format!(
            ", whose requests have a handler under /v1/; for another application write ratio: {{bad: \
             '{name}{{{failed}}}', total: '{name}'}}"
        ),
        _ => String::new(),
    };
    let message = format!(
        "no series of stable's {} is a user's request to the preset {}{instead}",
        words::metric(name, &labels),
        gate.source.as_str()
    );
    unfit(Unknown::NoData, message)
}
