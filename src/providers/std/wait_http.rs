//! `std/wait_http`: a gate that opens when a URL answers as it should.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Std;
use crate::id::RemoteId;
use crate::kind::{Attempt, Error, Kind, Observed, Problem, Result};
use crate::units::parse_duration;

/// Waits until a URL answers as it should.
#[derive(Debug, Default)]
pub struct WaitHttp;

/// What it is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// What is asked, with `http://` or `https://`.
    #[schemars(regex(pattern = r"^https?://."), extend("x-replaces" = true))]
    pub url: String,
    /// The status it must answer with.
    #[serde(default = "ok")]
    #[schemars(range(min = 100, max = 599), extend("x-replaces" = true))]
    pub status: u16,
    /// A text that must be in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-replaces" = true))]
    pub contains: Option<String>,
    /// How long it may take.
    #[serde(default = "minute")]
    pub timeout: String,
}

/// What it gives.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// The status it answered with.
    pub status: u16,
    /// How long the answer took, in milliseconds.
    pub elapsed_ms: u64,
}

fn ok() -> u16 {
    200
}

fn minute() -> String {
    "60s".to_owned()
}

/// The most that is read of an answer while looking for a text.
const MOST_BODY: usize = 1 << 20;

fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause
        .to_string()
        .split(" (os error")
        .next()
        .unwrap_or_default()
        .to_lowercase()
}

impl Kind for WaitHttp {
    const NAME: &'static str = "std/wait_http";
    const ABOUT: &'static str = "Waits until a URL answers as it should.";
    const LASTS: bool = false;
    type Provider = Std;
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn check(&self, inputs: &Inputs) -> Vec<Problem> {
        match parse_duration(&inputs.timeout) {
            Ok(_) => Vec::new(),
            Err(_) => vec![
                Problem::new("timeout", format!("is `{}`, which is no duration", inputs.timeout))
                    .help("write it like `30s`, `5m`"),
            ],
        }
    }

    fn timeout(&self, inputs: &Inputs) -> Duration {
        parse_duration(&inputs.timeout).unwrap_or(Duration::from_secs(60))
    }

    async fn create(&self, _on: &Std, inputs: &Inputs, _attempt: &Attempt<'_>) -> Result<RemoteId> {
        Ok(RemoteId::new(inputs.url.as_str()))
    }

    async fn read(&self, on: &Std, _id: &RemoteId, last: &Inputs) -> Result<Observed<Self>> {
        let begun = Instant::now();
        let pending = |detail: String| Ok(Observed::Pending { detail });
        let client = on.http()?;
        let mut answer = match client.get(&last.url).timeout(Duration::from_secs(10)).send().await {
            Ok(answer) => answer,
            Err(error) if error.is_builder() => {
                return Err(Error::invalid(format!("`{}` is no URL: {}", last.url, reason(&error))).field("url"));
            }
            Err(error) if error.is_timeout() => return pending(format!("{} gave no answer within 10 s", last.url)),
            Err(error) => return pending(format!("{}: {}", last.url, reason(&error))),
        };
        let status = answer.status().as_u16();
        if status != last.status {
            return pending(format!("{} answers {status}, not {}", last.url, last.status));
        }
        if let Some(text) = &last.contains {
            let mut body = Vec::new();
            while body.len() < MOST_BODY {
                match answer.chunk().await {
                    Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                    Ok(None) => break,
                    Err(error) => return pending(format!("{}: {}", last.url, reason(&error))),
                }
            }
            if !String::from_utf8_lossy(&body).contains(text.as_str()) {
                return pending(format!("the answer of {} does not contain `{text}`", last.url));
            }
        }
        let elapsed_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Observed::Ready {
            inputs: last.clone(),
            outputs: Outputs { status, elapsed_ms },
        })
    }

    async fn update(&self, _on: &Std, _id: &RemoteId, _from: &Inputs, _to: &Inputs) -> Result<()> {
        Ok(())
    }

    async fn delete(&self, _on: &Std, _id: &RemoteId, _last: &Inputs) -> Result<()> {
        Ok(())
    }
}
