//! Prometheus' JSON to typed series. Nothing of a foreign body ever reaches an error.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};

use crate::{
    labels::Labels,
    series::{Answer, Histogram, Sample, Series},
};

/// A body that is no usable answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not the JSON of Prometheus' API (a proxy's HTML page, a cut body).
    #[error("{length} bytes that are no Prometheus answer")]
    NotPrometheus {
        /// Of the body.
        length: usize,
    },
    /// `status: error` in the body.
    #[error("Prometheus refused the query: {kind}")]
    Refused {
        /// One of Prometheus' own error types, `other` for anything else.
        kind: &'static str,
    },
    /// A scalar or a string where series are meant.
    #[error("the answer holds no series")]
    NoSeries,
    /// More series or samples than any rollout has.
    #[error("the answer has too many series or samples")]
    TooMany,
    /// A sample whose value is not a number at all.
    #[error("a sample's value cannot be read")]
    Value,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    status: String,
    #[serde(default, borrow)]
    data: Option<Data<'a>>,
    #[serde(default, rename = "errorType")]
    error_type: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    infos: Vec<String>,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data<'a> {
    #[serde(borrow)]
    Matrix(Bounded<'a>),
    #[serde(borrow)]
    Vector(Bounded<'a>),
    Scalar(IgnoredAny),
    String(IgnoredAny),
}

/// Series of one answer, at most. A thousand pods have fewer.
const SERIES: usize = 40_000;
/// Samples of all of them.
const SAMPLES: usize = 1_000_000;

/// The series of an answer, as long as they are not too many: a small body can hold very many small ones, each of which
/// takes ten times its room once it is read.
struct Bounded<'a> {
    series: Vec<Raw<'a>>,
    too_many: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for Bounded<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Visit<'a> {
            type Value = Bounded<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of series")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let (mut series, mut samples) = (Vec::new(), 0_usize);
                while let Some(raw) = list.next_element::<Raw<'a>>()? {
                    samples += raw.values.len() + raw.histograms.len();
                    series.push(raw);
                    if series.len() > SERIES || samples > SAMPLES {
                        while list.next_element::<IgnoredAny>()?.is_some() {}
                        return Ok(Bounded { series: Vec::new(), too_many: true });
                    }
                }
                Ok(Bounded { series, too_many: false })
            }
        }
        deserializer.deserialize_seq(Visit(PhantomData))
    }
}

#[derive(Deserialize)]
struct Raw<'a> {
    metric: Labels,
    #[serde(default, borrow)]
    values: Vec<(f64, Text<'a>)>,
    #[serde(default, borrow)]
    value: Option<(f64, Text<'a>)>,
    #[serde(default, borrow)]
    histograms: Vec<(f64, RawHistogram<'a>)>,
}

#[derive(Deserialize)]
struct RawHistogram<'a> {
    #[serde(borrow)]
    count: Text<'a>,
    /// Which bounds are inclusive, lower bound, upper bound, observations.
    #[serde(default, borrow)]
    buckets: Vec<(u8, Text<'a>, Text<'a>, Text<'a>)>,
}

/// The value of a sample, where it stands in the body.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads the body of `/api/v1/query`.
pub fn decode(body: &[u8]) -> Result<Answer, DecodeError> {
    let broken = |_| DecodeError::NotPrometheus { length: body.len() };
    let envelope: Envelope = serde_json::from_slice(body).map_err(broken)?;
    if envelope.status != "success" {
        return Err(DecodeError::Refused { kind: kind(envelope.error_type.as_deref()) });
    }
    let raw = match envelope.data {
        Some(Data::Matrix(raw) | Data::Vector(raw)) if raw.too_many => return Err(DecodeError::TooMany),
        Some(Data::Matrix(raw) | Data::Vector(raw)) => raw.series,
        Some(Data::Scalar(_) | Data::String(_)) => return Err(DecodeError::NoSeries),
        None => return Err(DecodeError::NotPrometheus { length: body.len() }),
    };
    let series = raw.into_iter().map(series).collect::<Result<_, _>>()?;
    Ok(Answer { series, warnings: envelope.warnings, infos: envelope.infos, failed: None, date: None })
}

fn series(raw: Raw) -> Result<Series, DecodeError> {
    let mut samples = Vec::with_capacity(raw.values.len() + 1);
    for (at, value) in raw.values.into_iter().chain(raw.value) {
        let value = value.0.parse().map_err(|_| DecodeError::Value)?;
        samples.push(Sample { at: (at * 1000.0).round() as i64, value });
    }
    samples.sort_by_key(|sample| sample.at);
    let histograms = raw.histograms.into_iter().map(histogram).collect::<Result<_, _>>()?;
    Ok(Series { labels: raw.metric, samples, histograms, breaks: Vec::new() })
}

fn histogram((at, raw): (f64, RawHistogram)) -> Result<Histogram, DecodeError> {
    let number = |text: &Text| text.0.parse::<f64>().map_err(|_| DecodeError::Value);
    let bucket = |(_, low, high, count): &(u8, Text, Text, Text)| Ok((number(low)?, number(high)?, number(count)?));
    let buckets = raw.buckets.iter().map(bucket).collect::<Result<_, _>>()?;
    Ok(Histogram { at: (at * 1000.0).round() as i64, count: number(&raw.count)?, buckets })
}

fn kind(given: Option<&str>) -> &'static str {
    const KNOWN: [&str; 8] =
        ["timeout", "canceled", "execution", "bad_data", "internal", "unavailable", "not_found", "not_acceptable"];
    KNOWN.into_iter().find(|known| Some(*known) == given).unwrap_or("other")
}

/// A counter's value, where it is one: a whole number that a float holds exactly.
pub(crate) fn count(value: f64) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    ((0.0..=EXACT).contains(&value) && value.fract() == 0.0).then_some(value as u64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_matrix_and_a_vector_become_series() {
        let answer = decode(
            br#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"le":"1"},"value":[1.5,"3"]}]}}"#,
        );
        assert_eq!(answer.unwrap().series[0].samples, [Sample { at: 1500, value: 3.0 }]);
        let answer = decode(
            br#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"1e+06"],[2.001,"+Inf"]]},{"metric":{},"histograms":[[1,{"count":"3","sum":"2","buckets":[[0,"0.5","1","3"]]}]]}]},"infos":["i"]}"#,
        )
        .unwrap();
        assert_eq!(answer.series[0].samples[1], Sample { at: 2001, value: f64::INFINITY });
        assert_eq!(answer.series[1].histograms, [Histogram { at: 1000, count: 3.0, buckets: vec![(0.5, 1.0, 3.0)] }]);
        assert!(answer.warnings.is_empty() && answer.infos.len() == 1);
    }

    #[test]
    fn what_holds_no_series_is_no_answer() {
        let scalar = br#"{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}"#;
        assert_eq!(decode(scalar), Err(DecodeError::NoSeries));
        assert_eq!(decode(b"<html>"), Err(DecodeError::NotPrometheus { length: 6 }));
        assert_eq!(decode(b"{\"status\":\"success\"}"), Err(DecodeError::NotPrometheus { length: 20 }));
        let timeout = br#"{"status":"error","errorType":"timeout","error":"..."}"#;
        assert_eq!(decode(timeout), Err(DecodeError::Refused { kind: "timeout" }));
    }

    #[test]
    fn a_count_is_a_whole_number() {
        assert_eq!([0.0, 7.0, 7.5, -1.0, f64::NAN, 1e17].map(count), [Some(0), Some(7), None, None, None, None]);
    }

    #[test]
    fn a_small_body_of_very_many_series_is_refused_before_it_takes_its_room() {
        let body = |count: usize| {
            let series = vec![r#"{"metric":{},"values":[[1,"1"]]}"#; count].join(",");
            format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{series}]}}}}"#)
        };
        assert_eq!(decode(body(SERIES).as_bytes()).map(|answer| answer.series.len()), Ok(SERIES));
        assert_eq!(decode(body(SERIES + 1).as_bytes()), Err(DecodeError::TooMany));
        let samples = vec![r#"[1,"1"]"#; SAMPLES + 1].join(",");
        let one = format!(
            r#"{{"status":"success","data":{{"resultType":"matrix","result":[{{"metric":{{}},"values":[{samples}]}}]}}}}"#
        );
        assert_eq!(decode(one.as_bytes()), Err(DecodeError::TooMany));
    }
}
