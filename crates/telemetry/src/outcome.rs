//! How a request ended, for every source: presets say which labels tell it, and the table here says what the labels' words
//! mean. A word means an HTTP status, which both readings share: what users get, and what a revision gets that calls a
//! model.

use crate::series::Series;

/// Whose requests a source counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Requests of users to the application, and what they were answered. 4xx are the client's own fault.
    Users,
    /// Calls of the application to a model. The revision under test is the client, and so its 4xx are failures: a wrong
    /// key, a model that does not exist, a prompt that is too long.
    Calls,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It was answered.
    Good,
    /// Its client was sent elsewhere.
    Redirected,
    /// It was not, or not to the end.
    Failed,
    /// It was refused as the client's own fault.
    Refused,
    /// It was refused since there were too many.
    Throttled,
    /// The client cancelled it, or went away.
    Left,
    /// The source does not say, or in words that nobody knows.
    Unknown,
}

/// The labels in which a source says how a request ended; `""` where it has none of the kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    /// An HTTP status: a number, or its class (`5xx`, `5`).
    pub(crate) status: &'static str,
    /// What an earlier generation of the source calls that label.
    pub(crate) older: &'static str,
    /// A gRPC status, in which a request ends whose HTTP status is 200.
    pub(crate) grpc: &'static str,
    /// The protocol of which `status` is, where that may be gRPC.
    pub(crate) protocol: &'static str,
    /// Envoy's response flags.
    pub(crate) flags: &'static str,
    /// What went wrong: a class of exceptions, a code of a provider, a status.
    pub(crate) error: &'static str,
    /// Says `failure` where all labels together mean one.
    pub(crate) class: &'static str,
    /// What a series means whose labels say nothing.
    pub(crate) silent: Ending,
}

/// A source without any such label.
pub(crate) const UNTOLD: Told =
    Told { status: "", older: "", grpc: "", protocol: "", flags: "", error: "", class: "", silent: Ending::Good };

/// An `error.type` that says nothing (OpenTelemetry semantic conventions: the fallback value). Python's instrumentation of
/// WSGI applications writes it for a stream that its user left as for any other end.
pub(crate) const OTHER: &str = "_OTHER";

impl Told {
    /// How the requests of a series ended.
    pub(crate) fn ending(&self, whose: Counted, series: &Series) -> Ending {
        match whose {
            Counted::Users => self.of_users(series),
            Counted::Calls => self.of_calls(series),
        }
    }

    /// The status comes first: an answer of 500 failed, whatever else is said. After a good one it is told whether the
    /// answer was finished.
    fn of_users(&self, series: &Series) -> Ending {
        let is_grpc = !self.protocol.is_empty() && series.label(self.protocol).starts_with("grpc");
        let [status, older, grpc, error, class] =
            [self.status, self.older, self.grpc, self.error, self.class].map(|label| series.label(label));
        let status = if status.is_empty() { older } else { status };
        let (status, grpc) = if is_grpc { ("", status) } else { (status, grpc) };
        let read = |text: &str, status: Option<u16>| is_said(text).then(|| status.map_or(Ending::Unknown, of_status));
        let flags = flagged(series.label(self.flags)).map(of_status);
        let told: Vec<Ending> = [read(status, spelling::status(status)), read(grpc, spelling::word(grpc)), flags]
            .into_iter()
            .flatten()
            .collect();
        let is = |ending: Ending| told.contains(&ending);
        match told.iter().find(|ending| ending.is_bad()) {
            Some(ending) => *ending,
            None if is_said(error) => after_a_good_status(error),
            None if class == "failure" => Ending::Failed,
            None if is(Ending::Unknown) => Ending::Unknown,
            None if is(Ending::Redirected) => Ending::Redirected,
            None if is(Ending::Good) || class == "success" => Ending::Good,
            // A source that has a label for it has said nothing of these.
            None if !self.status.is_empty() => Ending::Unknown,
            None => self.silent,
        }
    }

    fn of_calls(&self, series: &Series) -> Ending {
        let [status, grpc, error] = [self.status, self.grpc, self.error].map(|label| series.label(label));
        let mut ending = self.silent;
        for (text, status) in
            [(status, spelling::status(status)), (grpc, spelling::word(grpc)), (error, spelling::word(error))]
        {
            match status {
                _ if !is_said(text) => {}
                Some(499) => return Ending::Left,
                Some(429 | 529) => ending = Ending::Throttled,
                Some(200..=299) if ending == Ending::Unknown => ending = Ending::Good,
                Some(200..=299) => {}
                Some(_) | None if ending == Ending::Throttled => {}
                Some(_) | None => ending = Ending::Failed,
            }
        }
        ending
    }
}

impl Ending {
    /// Did somebody get something else than an answer?
    const fn is_bad(self) -> bool {
        match self {
            Self::Failed | Self::Refused | Self::Throttled | Self::Left => true,
            Self::Good | Self::Redirected | Self::Unknown => false,
        }
    }

    /// Is it neither a good answer nor a failure of the revision?
    pub(crate) const fn is_neither(self) -> bool {
        match self {
            Self::Throttled | Self::Left | Self::Unknown => true,
            Self::Good | Self::Redirected | Self::Failed | Self::Refused => false,
        }
    }
}

/// What broke a stream that was begun with 200; only a number is a status that somebody was answered.
fn after_a_good_status(error: &str) -> Ending {
    if is_connection_to_the_user(error) || spelling::word(error) == Some(499) {
        return Ending::Left;
    }
    spelling::http(error).filter(|status| *status >= 400).map_or(Ending::Failed, of_status)
}

/// What a user got. 0: Istio, when the client was gone before the answer; 499: nginx and Traefik. 101 is an upgrade, the
/// other 1xx are no answer yet; 304 is one for a client that has it already.
const fn of_status(status: u16) -> Ending {
    match status {
        0 | 499 => Ending::Left,
        101 | 200..=299 | 304 => Ending::Good,
        300..=399 => Ending::Redirected,
        429 => Ending::Throttled,
        400..=498 => Ending::Refused,
        500.. => Ending::Failed,
        1..=199 => Ending::Unknown,
    }
}

/// Does the label hold anything? Python writes `None` for nothing.
fn is_said(text: &str) -> bool {
    !["", "none", "null", "-"].iter().any(|nothing| text.eq_ignore_ascii_case(nothing))
}

/// Envoy's flags of a response that was begun and not finished (envoyproxy.io, "Access logging", `%RESPONSE_FLAGS%`):
/// upstream connection terminated or reset, protocol error, timeouts of a stream, overload. DC: the client went away.
fn flagged(flags: &str) -> Option<u16> {
    const BROKEN: [&str; 10] = ["UC", "UR", "UF", "UPE", "UT", "SI", "DT", "UMSDR", "LR", "OM"];
    let has = |known: &[&str]| flags.split(',').any(|flag| known.contains(&flag));
    if has(&["DC"]) { Some(499) } else { has(&BROKEN).then_some(502) }
}

/// FastAPI's own telemetry raises it where the user went away in mid-stream (fastapi 0.165, `telemetry/_asgi.py`); one of a
/// module (`requests.exceptions.ConnectionError`) is of a connection that the application made.
fn is_connection_to_the_user(error: &str) -> bool {
    ["ConnectionError", "builtins.ConnectionError"].contains(&error)
}

mod spelling;
#[cfg(test)]
mod tests;
