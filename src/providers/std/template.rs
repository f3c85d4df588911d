//! `std/template`: a template of the project, rendered.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use super::Std;
use crate::id::{Token, hex};
use crate::kind::{Computed, Error, Result};

/// Renders a tera template of the project.
#[derive(Debug, Default)]
pub struct Template;

/// What it is made from.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// A file under `templates/`.
    #[schemars(length(min = 1))]
    pub template: String,
    /// The values it is rendered with.
    #[serde(default)]
    pub vars: BTreeMap<String, Json>,
}

/// What it gives.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// The rendered text.
    pub text: String,
    /// Its SHA-256, as 64 hexadecimal digits.
    pub sha256: String,
}

impl Computed for Template {
    const NAME: &'static str = "std/template";
    const ABOUT: &'static str = "Renders a tera template of the project.";
    type Provider = Std;
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn compute(&self, on: &Std, inputs: &Inputs, _token: &Token) -> Result<Outputs> {
        let vars = serde_json::to_value(&inputs.vars).map_err(|error| Error::invalid(error.to_string()))?;
        let text = on
            .project
            .templates
            .render(&inputs.template, &vars)
            .map_err(|reason| Error::invalid(reason).field("template"))?;
        let sha256 = hex(&Sha256::digest(text.as_bytes()));
        Ok(Outputs { text, sha256 })
    }
}
