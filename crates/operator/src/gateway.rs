//! The HTTPRoutes of the cluster: do they have the fields that are written? Gateway API below 1.2 has no `timeouts`; what
//! is written there vanishes without an error.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{Context, health::Gates};

/// The oldest Gateway API that has every field that is written.
pub const OLDEST: &str = "1.2";
/// What every account may read, without a right of its own.
const SCHEMA: &str = "/openapi/v3/apis/gateway.networking.k8s.io/v1";
/// Deadline of the question.
const DEADLINE: Duration = Duration::from_secs(10);
/// Between two looks, where the first one was not answered or found something to mend.
const AGAIN: Duration = Duration::from_secs(60);

/// Looks at the start, and again until `stop` where that is of use; says what it finds in the log and in readiness.
pub(crate) async fn check(context: Arc<Context>, gates: Arc<Gates>, stop: CancellationToken) {
    let mut known = false;
    loop {
        let old = match context.cluster.document(SCHEMA, DEADLINE).await {
            Err(_) => None,
            // An API server that shows no schema is not one that lacks a field.
            Ok(text) => Some(text.and_then(|text| has_timeouts(&text)) == Some(false)),
        };
        if let Some(old) = old {
            gates.gateway_is_old(old);
            if old && !known {
                tracing::error!(
                    needed = OLDEST,
                    "the CRDs of Gateway API are too old: HTTPRoutes have no timeouts; install Gateway API {OLDEST} or later"
                );
            }
            known = old;
            if !old {
                return;
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

/// Whether a rule of an HTTPRoute has them; `None` where the text is no such schema.
fn has_timeouts(text: &str) -> Option<bool> {
    let document: Value = serde_json::from_str(text).ok()?;
    let schemas = document.pointer("/components/schemas")?.as_object()?;
    let (_, route) = schemas.iter().find(|(name, _)| name.ends_with(".HTTPRoute"))?;
    let rule = route.pointer("/properties/spec/properties/rules/items/properties")?;
    Some(rule.get("timeouts").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_says_whether_a_rule_has_timeouts() {
        let schema = |rule: &str| {
            format!(
                r#"{{"components":{{"schemas":{{"io.k8s.networking.gateway.v1.HTTPRouteList":{{}},
                "io.k8s.networking.gateway.v1.HTTPRoute":{{"properties":{{"spec":{{"properties":{{"rules":{{"items":
                {{"properties":{{"matches":{{}}{rule}}}}}}}}}}}}}}}}}}}}}"#
            )
        };
        assert_eq!(has_timeouts(&schema(r#","timeouts":{}"#)), Some(true));
        assert_eq!(has_timeouts(&schema("")), Some(false));
        for other in ["", "{}", "<html>", r#"{"components":{"schemas":{}}}"#] {
            assert_eq!(has_timeouts(other), None);
        }
    }
}
