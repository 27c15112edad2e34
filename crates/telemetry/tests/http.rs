//! What Prometheus, and what only stands where Prometheus should, answers over HTTP.
#![allow(clippy::unwrap_used)]

mod common;

use std::{io::Write as _, path::PathBuf};

use common::{errors, subject};
use microapp_core::counts::{Ask, Counts, Unknown, Watch};
use microapp_telemetry::{HttpPrometheus, PriceTable, Prometheus, QueryError};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};

const MATRIX: &str = r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"up","pod":"a"},"values":[[1790000000.123,"1"],[1790000005.123,"NaN"]]}]},"warnings":["partial"],"infos":["note"]}"#;

/// Answers one request with these bytes and hands the request out.
async fn server(response: Vec<u8>) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        let mut chunk = [0; 4096];
        while !String::from_utf8_lossy(&request).contains("query=") {
            let n = stream.read(&mut chunk).await.unwrap();
            assert!(n > 0, "the request broke off");
            request.extend_from_slice(&chunk[..n]);
        }
        // A client that has seen enough hangs up.
        let _ = stream.write_all(&response).await;
        String::from_utf8(request).unwrap()
    });
    (url, served)
}

fn response(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}connection: close\r\n\r\n{body}").into_bytes()
}

async fn failure(bytes: Vec<u8>) -> QueryError {
    let (url, served) = server(bytes).await;
    let error = HttpPrometheus::new(&url, None).unwrap().query("up", 1.0).await.unwrap_err();
    served.await.unwrap();
    error
}

#[tokio::test]
async fn an_answer_keeps_its_warnings_infos_and_date() {
    let date = "date: Mon, 21 Sep 2026 14:13:20 GMT\r\n";
    let (url, served) = server(response("200 OK", date, MATRIX)).await;
    let answer = HttpPrometheus::new(&format!("{url}/"), None).unwrap().query("up[5m]", 1.5).await.unwrap();
    let request = served.await.unwrap();
    assert!(request.starts_with("POST /api/v1/query HTTP/1.1"), "{request}");
    assert!(request.contains("time=1.500") && request.contains("query=up%5B5m%5D"), "{request}");
    assert_eq!((answer.warnings, answer.infos), (vec!["partial".to_owned()], vec!["note".to_owned()]));
    assert!(answer.date.is_some());
    assert_eq!(answer.series[0].samples[0].at, 1_790_000_000_123);
    assert!(answer.series[0].samples[1].value.is_nan());
}

#[tokio::test]
async fn a_bearer_token_is_read_from_its_file_for_each_query() {
    let mut path = std::env::temp_dir();
    path.push(format!("microapp-telemetry-token-{}", std::process::id()));
    std::fs::File::create(&path).unwrap().write_all(b"secret-1\n").unwrap();
    let (url, served) = server(response("200 OK", "", MATRIX)).await;
    HttpPrometheus::new(&url, Some(path.clone())).unwrap().query("up", 1.0).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(served.await.unwrap().to_lowercase().contains("authorization: bearer secret-1\r\n"));
    let error = HttpPrometheus::new(&url, Some(path)).unwrap().query("up", 1.0).await.unwrap_err();
    assert_eq!(error.category(), "token");
}

#[tokio::test]
async fn no_byte_of_a_foreign_body_reaches_an_error() {
    let page = "<html>password=hunter2</html>";
    let json = r#"{"status":"error","errorType":"hunter2","error":"password=hunter2"}"#;
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 900\r\nconnection: close\r\n\r\n{\"password\":\"hunter2\"";
    for (bytes, category, shown) in [
        (response("200 OK", "content-type: text/html\r\n", page), "not_prometheus", "29 bytes"),
        (response("200 OK", "", ""), "not_prometheus", "0 bytes"),
        (response("200 OK", "", "null"), "not_prometheus", "4 bytes"),
        (response("502 Bad Gateway", "", page), "status", "status 502 with 29 bytes"),
        (response("302 Found", "location: http://127.0.0.1:1/\r\n", page), "status", "status 302"),
        (response("400 Bad Request", "", json), "other", "refused"),
        (response("422 Unprocessable", "", &json.replacen("hunter2", "execution", 1)), "execution", "execution"),
        (cut.as_bytes().to_vec(), "broken", "broke off"),
    ] {
        let error = failure(bytes).await;
        assert_eq!(error.category(), category, "{error:?}");
        let text = format!("{error} {error:?}");
        assert!(text.contains(shown) && !text.contains("hunter2"), "{text}");
        // A limit of Prometheus' own is named: the question may be too large for it, and waiting does not help.
        let limit = category == "execution";
        assert_eq!(error.unknown(), if limit { Unknown::TooExpensive } else { Unknown::Unreachable });
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read_to_its_end() {
    let told = b"HTTP/1.1 200 OK\r\ncontent-length: 9000000000\r\n\r\n".to_vec();
    assert_eq!(failure(told).await.category(), "too_large");
    let mut untold = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec();
    untold.resize((8 << 20) + 100, b' ');
    assert_eq!(failure(untold).await.category(), "too_large");
}

#[tokio::test]
async fn without_prometheus_the_gates_are_silent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let prometheus = HttpPrometheus::new(&url, None::<PathBuf>).unwrap();
    let (subject, prices) = (subject(vec![errors()]), PriceTable::built_in().unwrap());
    let asked = microapp_telemetry::ask(&prometheus, &subject, &Ask::Windows, &Watch::default(), &prices, 1.0).await;
    assert_eq!(asked.0, Counts::Silent(Unknown::Unreachable));
    assert_eq!(asked.1.unwrap().category(), "connect");
}

#[test]
fn an_address_that_is_none_is_refused_when_the_operator_starts() {
    assert_eq!(HttpPrometheus::new("not an address", None).unwrap_err().category(), "address");
}
