//! What a balancer is told: its target groups, how they are checked, its limits.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::uri::Authority;
use serde::{Deserialize, Serialize};

/// The greatest weight: the order of turns is laid out in memory, one entry for each unit of weight.
pub const WEIGHT_MAX: u32 = 1_000;

/// Everything that may change while a balancer runs. Lies on disk as JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The groups that share the requests.
    pub groups: Vec<Group>,
    /// What a request may cost.
    #[serde(default)]
    pub limits: Limits,
    /// The file that gets one line for each request; none without it.
    #[serde(default)]
    pub access_log: Option<PathBuf>,
}

/// Targets that take requests in turn and share one weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The name in `x-served-by`, in metrics and in the log.
    pub name: String,
    /// How many turns it has beside the others; 0 takes it out. At most [`WEIGHT_MAX`].
    #[serde(default = "one")]
    pub weight: u32,
    /// Where its targets listen, `HOST:PORT` each.
    pub targets: Vec<String>,
    /// How its targets are checked. Without it a target counts as healthy until a connection to it
    /// fails: what scales to zero must not be woken by a check.
    #[serde(default)]
    pub health: Option<Health>,
}

/// How often a target is asked, and how its answers count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// The path that is asked with `GET`; 2xx and 3xx are good.
    pub path: String,
    /// Milliseconds between two checks.
    #[serde(default = "check_interval")]
    pub interval_ms: u64,
    /// Milliseconds until a check without an answer counts as bad.
    #[serde(default = "check_timeout")]
    pub timeout_ms: u64,
    /// Good checks in a row that bring a target back.
    #[serde(default = "one")]
    pub healthy: u32,
    /// Bad checks in a row that take a target out.
    #[serde(default = "two")]
    pub unhealthy: u32,
}

/// What a request may cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Milliseconds until a connection to a target counts as failed.
    pub connect_ms: u64,
    /// Milliseconds a client has for the head of its request.
    pub request_head_ms: u64,
    /// Milliseconds a target has for the head of its answer, counted from the last byte of the request.
    pub response_head_ms: u64,
    /// Milliseconds a body may stand still, in either direction.
    pub body_idle_ms: u64,
    /// Bytes of one request body.
    pub body_bytes: u64,
    /// Milliseconds that requests in flight have when a target or the balancer itself goes.
    pub drain_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_ms: 1_000,
            request_head_ms: 15_000,
            response_head_ms: 60_000,
            body_idle_ms: 60_000,
            body_bytes: 16 << 20,
            drain_ms: 10_000,
        }
    }
}

impl Limits {
    /// Returns `drain_ms` as a duration.
    #[must_use]
    pub fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }
}

fn one<T: From<u8>>() -> T {
    T::from(1)
}

fn two() -> u32 {
    2
}

fn check_interval() -> u64 {
    1_000
}

fn check_timeout() -> u64 {
    1_000
}

/// Why a configuration is not taken over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no such JSON.
    #[error("{} is not the configuration of a balancer: {source}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// It says something that cannot be.
    #[error("{0}")]
    Invalid(String),
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let bytes = std::fs::read(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&bytes, path)
    }

    /// Reads and checks the bytes of a file called `path`.
    ///
    /// # Errors
    /// Says what is wrong with them.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self, ConfigError> {
        let config: Self = serde_json::from_slice(bytes).map_err(|source| ConfigError::Syntax {
            path: path.to_owned(),
            source,
        })?;
        config.check().map_err(ConfigError::Invalid)?;
        Ok(config)
    }

    /// Finds the first thing that cannot be.
    ///
    /// # Errors
    /// One sentence that names the group.
    pub fn check(&self) -> Result<(), String> {
        let mut names = BTreeSet::new();
        for group in &self.groups {
            let name = &group.name;
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
                return Err(format!(
                    "`{name}` is no name for a target group: use letters, digits, `-`, `_` and `.`"
                ));
            }
            if !names.insert(name) {
                return Err(format!("there are two target groups called `{name}`"));
            }
            if group.weight > WEIGHT_MAX {
                return Err(format!(
                    "the weight of `{name}` is {}; the most is {WEIGHT_MAX}",
                    group.weight
                ));
            }
            for target in &group.targets {
                let authority: Result<Authority, _> = target.parse();
                if authority.map_or(true, |a| a.port_u16().is_none() || a.as_str().contains('@')) {
                    return Err(format!("`{target}` in target group `{name}` is not HOST:PORT"));
                }
            }
            if let Some(health) = &group.health {
                if !health.path.starts_with('/') || health.path.parse::<http::uri::PathAndQuery>().is_err() {
                    return Err(format!("`{}`, the health path of `{name}`, is no path", health.path));
                }
                if health.interval_ms == 0 || health.timeout_ms == 0 {
                    return Err(format!(
                        "interval and timeout of the health check of `{name}` cannot be 0"
                    ));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(json: &str) -> String {
        match Config::parse(json.as_bytes(), Path::new("c.json")) {
            Ok(_) => "fine".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_cannot_be_is_named() {
        let group = |inner: &str| format!(r#"{{"groups":[{{"name":"a","targets":["127.0.0.1:1"]{inner}}}]}}"#);
        assert_eq!(problem(&group("")), "fine");
        assert_eq!(problem(&group(r#","health":{"path":"/"}"#)), "fine");
        assert_eq!(
            problem(&group(r#","weight":1001"#)),
            "the weight of `a` is 1001; the most is 1000"
        );
        assert_eq!(
            problem(&group(r#","health":{"path":"x"}"#)),
            "`x`, the health path of `a`, is no path"
        );
        assert!(problem(r#"{"groups":[{"name":"a","targets":["localhost"]}]}"#).contains("is not HOST:PORT"));
        assert!(problem(r#"{"groups":[{"name":"a b","targets":[]}]}"#).contains("no name for a target group"));
        assert!(problem(r#"{"groups":[],"x":1}"#).contains("unknown field"));
        assert!(problem("{").contains("is not the configuration of a balancer"));
    }
}
