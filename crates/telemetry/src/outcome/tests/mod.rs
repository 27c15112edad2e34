#![allow(clippy::unwrap_used)]

mod calls;

use super::{
    Counted, Ending, Told, UNTOLD,
    spelling::{BEGINNINGS, GRPC, PHRASES, WORDS, letters, stem},
};
use crate::{labels::Labels, presets, series::Series};
use Ending::{Failed, Good, Left, Redirected, Refused, Throttled, Unknown};
use calls::CALLS;
use microapp_core::strategy::Preset;

fn series(labels: &[(&str, &str)]) -> Series {
    Series { labels: labels.iter().copied().collect::<Labels>(), ..Series::default() }
}

fn called(error: &str) -> Ending {
    let told = Told { error: "error_type", ..UNTOLD };
    told.ending(Counted::Calls, &series(&[("error_type", error)]))
}

#[test]
fn a_call_to_a_model_ends_as_its_error_says_in_every_spelling() {
    for (ending, spellings) in CALLS {
        for spelling in *spellings {
            assert_eq!(called(spelling), *ending, "{spelling:?}");
        }
    }
}

/// The words of the table are what [`letters`] and [`stem`] make of one, and none stands there twice.
#[test]
fn the_table_can_be_found_in() {
    let mut seen = std::collections::BTreeSet::new();
    for (word, status) in GRPC.iter().chain(WORDS).chain(BEGINNINGS) {
        assert_eq!((letters(word).as_str(), stem(word)), (*word, *word));
        assert!(seen.insert(*word), "{word}");
        assert!((200..600).contains(status), "{word}");
    }
    assert_eq!(GRPC.len(), 17);
    for (phrase, status) in PHRASES {
        assert!(letters(phrase) == *phrase && (200..600).contains(status), "{phrase}");
    }
}

const HTTP: Told = Told { status: "code", error: "error_type", ..UNTOLD };

#[test]
fn a_request_of_a_user_ends_as_its_status_says() {
    for (ending, statuses) in [
        (
            Good,
            &[
                "101",
                "200",
                "204",
                "206",
                "304",
                "1xx",
                "2xx",
                "2",
                "200 OK",
                "OK",
                "ok",
                "HTTPStatus.OK",
                "Not Modified",
            ][..],
        ),
        (Redirected, &["300", "301", "302", "303", "307", "308", "3xx", "3XX", "3", "302 Found", "Temporary Redirect"]),
        (Refused, &["400", "401", "403", "404", "408", "413", "422", "431", "451", "4xx", "4XX", "4", "404 Not Found"]),
        (Throttled, &["429", "429 Too Many Requests", "HTTPStatus.TOO_MANY_REQUESTS"]),
        (Left, &["499", "0", "000"]),
        (
            Failed,
            &[
                "500",
                "501",
                "502",
                "503",
                "504",
                "529",
                "599",
                "5xx",
                "5",
                "500.0",
                "503 Service Unavailable",
                "INTERNAL_SERVER_ERROR",
            ],
        ),
        // Nobody knows: no answer yet, and no status at all.
        (
            Unknown,
            &[
                "", "None", "null", "-", "-1", "-200", "+200", "1.5", "99", "20", "2000", "100", "102", "103", "7",
                "9xx", "xx", "xxx", "UNKNOWN", "unknown", "success", "aborted", "NaN",
            ],
        ),
    ] {
        for status in statuses {
            assert_eq!(HTTP.ending(Counted::Users, &series(&[("code", status)])), ending, "{status:?}");
            // What is said beside it changes nothing where it was no good answer.
            let also = series(&[("code", status), ("error_type", "openai.RateLimitError")]);
            let with = if ending.is_bad() { ending } else { Failed };
            assert_eq!(HTTP.ending(Counted::Users, &also), with, "{status:?}");
        }
    }
}

#[test]
fn an_answer_that_was_begun_well_broke_off_unless_its_user_left() {
    for (ending, errors) in [
        (
            Left,
            &[
                "ConnectionError",
                "builtins.ConnectionError",
                "ClientDisconnect",
                "starlette.requests.ClientDisconnect",
                "client_disconnect",
                "GeneratorExit",
                "asyncio.exceptions.CancelledError",
                "context canceled",
                "AbortError",
                "499",
            ][..],
        ),
        (
            Failed,
            &[
                "httpx.RemoteProtocolError",
                "openai.APIConnectionError",
                "requests.exceptions.ConnectionError",
                "ConnectionResetError",
                "openai.RateLimitError",
                "openai.BadRequestError",
                "TimeoutError",
                "cancel_scope_error",
                "_OTHER",
                "500",
                "OK",
                "0",
            ],
        ),
        (Refused, &["404"]),
        (Throttled, &["429"]),
    ] {
        for error in errors {
            for status in ["200", ""] {
                let series = series(&[("code", status), ("error_type", error)]);
                assert_eq!(HTTP.ending(Counted::Users, &series), ending, "{status:?} {error:?}");
            }
        }
    }
    for error in ["", "None"] {
        for (status, ending) in [("200", Good), ("", Unknown)] {
            let series = series(&[("code", status), ("error_type", error)]);
            assert_eq!(HTTP.ending(Counted::Users, &series), ending, "{status:?} {error:?}");
        }
    }
}

/// Linkerd classifies whole responses.
#[test]
fn a_class_tells_where_no_status_does() {
    let told = Told { class: "class", ..HTTP };
    for (status, class, ending) in [
        ("", "success", Good),
        ("", "failure", Failed),
        ("", "", Unknown),
        ("200", "", Good),
        ("-1", "success", Unknown),
    ] {
        let series = series(&[("code", status), ("class", class)]);
        assert_eq!(told.ending(Counted::Users, &series), ending, "{status} {class}");
    }
}

#[test]
fn a_grpc_request_ends_as_its_own_status_says() {
    let told = Told { status: "code", grpc: "grpc", ..UNTOLD };
    for (ending, statuses) in [
        (Good, &["", "0", "OK", "ok"][..]),
        (Unknown, &["17", "-1", "99", "whatever"]),
        (Left, &["1", "CANCELLED", "Canceled", "The operation was cancelled"]),
        (Failed, &["2", "4", "12", "13", "14", "15", "UNKNOWN", "Unknown error", "DEADLINE_EXCEEDED", "UNAVAILABLE"]),
        (Refused, &["3", "5", "6", "7", "9", "10", "11", "16", "INVALID_ARGUMENT", "NotFound", "UNAUTHENTICATED"]),
        (Throttled, &["8", "RESOURCE_EXHAUSTED", "Some resource has been exhausted"]),
    ] {
        for status in statuses {
            let labels = series(&[("code", "200"), ("grpc", status)]);
            assert_eq!(told.ending(Counted::Users, &labels), ending, "{status:?}");
        }
    }
    let unreachable = series(&[("code", "503"), ("grpc", "")]);
    assert_eq!(told.ending(Counted::Users, &unreachable), Failed);
    // Traefik has the gRPC status where the HTTP one stands otherwise.
    let told = Told { status: "code", protocol: "protocol", ..UNTOLD };
    for (protocol, code, ending) in [
        ("grpc", "0", Good),
        ("grpc", "13", Failed),
        ("grpc-web", "3", Refused),
        ("grpc", "1", Left),
        ("http", "0", Left),
        ("http", "404", Refused),
        ("websocket", "101", Good),
        ("http", "", Unknown),
        ("grpc", "", Unknown),
    ] {
        let labels = series(&[("code", code), ("protocol", protocol)]);
        assert_eq!(told.ending(Counted::Users, &labels), ending, "{protocol} {code}");
    }
}

#[test]
fn envoys_flags_tell_who_ended_a_response_that_was_begun() {
    let told = Told { status: "code", flags: "flags", ..UNTOLD };
    for (code, flags, ending) in [
        ("200", "-", Good),
        ("200", "", Good),
        ("200", "DC", Left),
        ("0", "DC", Left),
        ("0", "-", Left),
        ("200", "UC", Failed),
        ("200", "UR,URX", Failed),
        ("200", "SI", Failed),
        ("503", "UC", Failed),
        ("503", "DC", Failed),
        ("404", "NR", Refused),
        ("429", "RL", Throttled),
    ] {
        let labels = series(&[("code", code), ("flags", flags)]);
        assert_eq!(told.ending(Counted::Users, &labels), ending, "{code} {flags}");
    }
}

#[test]
fn a_counter_of_failures_counts_one_where_it_says_nothing() {
    let told = Told { status: "status", error: "class", silent: Failed, ..UNTOLD };
    for (status, class, ending) in [
        ("None", "None", Failed),
        ("", "", Failed),
        ("None", "Exception", Failed),
        ("None", "Openai.RateLimitError", Throttled),
        ("None", "ClientDisconnected", Left),
        ("499", "HTTPException", Left),
        ("429", "Openai.RateLimitError", Throttled),
        ("429", "ProxyException", Throttled),
        ("400", "Bedrock.ServiceQuotaExceededException", Throttled),
        ("404", "Openai.NotFoundError", Failed),
        ("401", "Openai.AuthenticationError", Failed),
        ("408", "Openai.Timeout", Failed),
        ("500", "Openai.APIConnectionError", Failed),
    ] {
        let labels = series(&[("status", status), ("class", class)]);
        assert_eq!(told.ending(Counted::Calls, &labels), ending, "{status} {class}");
    }
}

#[test]
fn a_good_answer_is_one_that_ended_in_no_other_way() {
    let genai = presets::definition(Preset::OtelGenai);
    for (error, good) in [("", true), ("429", false), ("404", false), ("GeneratorExit", false)] {
        assert_eq!(genai.is_good(&series(&[("error_type", error)])), good, "{error}");
    }
    // Its counter of all requests says it itself, that of failures stands beside.
    let litellm = presets::definition(Preset::Litellm);
    for (status, good) in [("200", true), ("404", false), ("429", false), ("500", false), ("None", false), ("", false)]
    {
        assert_eq!(litellm.is_good(&series(&[("status_code", status)])), good, "{status}");
    }
    let http = presets::definition(Preset::OtelHttp);
    for (status, error, good) in [
        ("200", "", true),
        ("200", "ConnectionError", false),
        ("401", "", false),
        ("500", "500", false),
        ("-1", "", false),
    ] {
        let series = series(&[("http_response_status_code", status), ("error_type", error)]);
        assert_eq!(http.is_good(&series), good, "{status} {error}");
    }
}
