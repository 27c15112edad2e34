//! What a token costs: a table in USD per million tokens, integers inside. An unknown model is unknown, never free.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// The table that comes with the operator.
const BUILT_IN: &str = include_str!("../prices.yaml");

/// What a token of one model costs, in pico-USD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// A token of the prompt.
    pub input: i128,
    /// A token of the answer.
    pub output: i128,
    /// A token of the prompt that the provider had in its cache; `None`: as any other.
    pub cached_input: Option<i128>,
}

/// Prices by model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceTable {
    models: BTreeMap<String, Price>,
    digest: String,
}

/// A table that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PriceError {
    /// It is not the YAML that it should be.
    #[error("the price table cannot be read: {0}")]
    Yaml(String),
    /// A price is no decimal with at most six places.
    #[error("the price {price:?} of {model} must be a decimal of USD per million tokens, such as \"0.05\"")]
    Price {
        /// Whose.
        model: String,
        /// As written.
        price: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    models: BTreeMap<String, Row>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Row {
    input: String,
    output: String,
    #[serde(default)]
    cached_input: Option<String>,
}

impl PriceTable {
    /// Reads a table: `models: {NAME: {input: "0.05", output: "0.40", cachedInput: "0.005"}}`.
    pub fn parse(yaml: &str) -> Result<Self, PriceError> {
        let file: File = serde_saphyr::from_str(yaml).map_err(|error| PriceError::Yaml(error.to_string()))?;
        let mut models = BTreeMap::new();
        for (model, row) in file.models {
            let read = |text: &str| {
                pico_usd(text).ok_or_else(|| PriceError::Price { model: model.clone(), price: text.to_owned() })
            };
            let cached_input = row.cached_input.as_deref().map(read).transpose()?;
            let price = Price { input: read(&row.input)?, output: read(&row.output)?, cached_input };
            models.insert(model, price);
        }
        let mut hex = String::with_capacity(64);
        for byte in Sha256::digest(yaml.as_bytes()) {
            let _ = write!(hex, "{byte:02x}");
        }
        hex.truncate(12);
        Ok(Self { models, digest: hex })
    }

    /// The table that comes with the operator.
    pub fn built_in() -> Result<Self, PriceError> {
        Self::parse(BUILT_IN)
    }

    /// The first 12 hex digits of the SHA-256 of the table's text.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// By the model that answered, then by the one that was asked for; each as it is, then without its date.
    pub fn price<'m>(&self, models: impl IntoIterator<Item = &'m str>) -> Option<Price> {
        models.into_iter().flat_map(|model| [model, undated(model)]).find_map(|model| self.models.get(model).copied())
    }
}

/// `gpt-5-nano-2025-08-07` and `claude-haiku-4-5-20251001` without the date.
fn undated(model: &str) -> &str {
    let digits = |text: &str, n: usize| text.len() == n && text.bytes().all(|b| b.is_ascii_digit());
    let mut parts = model.rsplitn(4, '-');
    let (a, b, c, rest) = (parts.next(), parts.next(), parts.next(), parts.next());
    if let (Some(day), Some(month), Some(year), Some(rest)) = (a, b, c, rest)
        && digits(day, 2)
        && digits(month, 2)
        && digits(year, 4)
    {
        return rest;
    }
    match model.rsplit_once('-') {
        Some((rest, date)) if digits(date, 8) => rest,
        _ => model,
    }
}

/// USD per million tokens, which is pico-USD per token times 10⁻⁶.
fn pico_usd(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits =
        |text: &str, most: usize| !text.is_empty() && text.len() <= most && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole, 9) || !digits(fraction, 6) {
        return None;
    }
    format!("{whole}{fraction:0<6}").parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_price_per_million_is_so_many_pico_usd_per_token() {
        let price = PriceTable::built_in().unwrap().price(["gpt-5-nano", ""]).unwrap();
        assert_eq!(price, Price { input: 50_000, output: 400_000, cached_input: Some(5_000) });
    }

    #[test]
    fn a_dated_model_has_the_price_of_the_undated_one() {
        let table = PriceTable::built_in().unwrap();
        assert_eq!(table.price(["gpt-5-mini-2025-08-07", ""]), table.price(["gpt-5-mini", ""]));
        assert_eq!(table.price(["claude-haiku-4-5-20251001", ""]), table.price(["claude-haiku-4-5", ""]));
        assert_eq!(table.price(["", "gpt-5"]), table.price(["gpt-5", ""]));
    }

    #[test]
    fn the_model_that_answered_counts_before_the_one_that_was_asked_for() {
        let table = PriceTable::built_in().unwrap();
        assert_eq!(table.price(["gpt-5", "gpt-5-nano"]), table.price(["gpt-5", ""]));
    }

    #[test]
    fn an_unknown_model_is_never_free() {
        let table = PriceTable::built_in().unwrap();
        assert_eq!(table.price(["gpt-6", "gpt-6-2027-01-01"]), None);
        assert_eq!(table.price(["", ""]), None);
    }

    #[test]
    fn a_price_that_is_no_decimal_is_refused_by_name() {
        for price in ["-1", "1e3", "", ".5", "0.0000001", "1.", "NaN"] {
            let yaml = format!("models: {{m: {{input: \"{price}\", output: \"1\"}}}}");
            let error = PriceTable::parse(&yaml).unwrap_err().to_string();
            assert!(error.contains("of m must be a decimal"), "{error}");
        }
    }

    #[test]
    fn the_digest_is_of_the_text() {
        let (a, b) = ("models: {m: {input: \"1\", output: \"2\"}}", "models: {m: {input: \"1\", output: \"3\"}}");
        let (a, b) = (PriceTable::parse(a).unwrap(), PriceTable::parse(b).unwrap());
        assert_eq!(a.digest().len(), 12);
        assert_ne!(a.digest(), b.digest());
    }
}
