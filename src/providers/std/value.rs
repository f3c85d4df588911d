//! `std/value`: a value with a name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::Std;
use crate::id::Token;
use crate::kind::{Computed, Result};

/// Gives a value a name, so that others refer to one place.
#[derive(Debug, Default)]
pub struct Value;

/// What it is made from.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// Anything.
    pub value: Json,
}

/// What it gives.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// The same value, with its type.
    pub value: Json,
}

impl Computed for Value {
    const NAME: &'static str = "std/value";
    const ABOUT: &'static str = "Gives a value a name, so that others refer to one place.";
    type Provider = Std;
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn compute(&self, _on: &Std, inputs: &Inputs, _token: &Token) -> Result<Outputs> {
        Ok(Outputs {
            value: inputs.value.clone(),
        })
    }
}
