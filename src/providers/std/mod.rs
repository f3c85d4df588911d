//! The kinds of the engine itself: they need no account and no credentials.

pub mod command;
pub mod file;
pub mod random;
pub mod template;
pub mod value;
pub mod wait_http;

use std::sync::OnceLock;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::kind::{Error, Project, Provider, Result};

/// This project on this machine.
#[derive(Debug)]
pub struct Std {
    /// Where the deployment lives.
    pub project: Project,
    http: OnceLock<reqwest::Client>,
}

impl Std {
    /// Works on a project.
    #[must_use]
    pub fn new(project: Project) -> Self {
        Self {
            project,
            http: OnceLock::new(),
        }
    }

    /// Returns the client for HTTP, making it at the first call: its TLS roots take a while to load.
    ///
    /// # Errors
    /// Says why it cannot be made.
    pub fn http(&self) -> Result<&reqwest::Client> {
        if let Some(client) = self.http.get() {
            return Ok(client);
        }
        // The first call in a process wins; later ones find the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .user_agent(concat!("wasmctl/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::failed("cannot set up HTTP").caused_by(error))?;
        Ok(self.http.get_or_init(|| client))
    }
}

/// Nothing can be set.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Provider for Std {
    const NAME: &'static str = "std";
    type Config = Config;

    async fn connect(_config: Config, project: &Project) -> Result<Self> {
        Ok(Self::new(project.clone()))
    }
}
