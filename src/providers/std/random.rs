//! `std/random`: a short random word that stays the same.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use super::Std;
use crate::id::Token;
use crate::kind::{Computed, Result};

/// Draws a short random word once and keeps it.
#[derive(Debug, Default)]
pub struct Random;

/// What it is made from.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// How many characters.
    #[serde(default = "eight")]
    #[schemars(range(min = 1, max = 64), extend("x-replaces" = true))]
    pub length: u32,
    /// Any values: a change draws again.
    #[serde(default)]
    #[schemars(extend("x-replaces" = true))]
    pub keepers: BTreeMap<String, Json>,
}

/// What it gives.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// Lower-case letters and digits, a letter first.
    pub value: String,
}

fn eight() -> u32 {
    8
}

impl Computed for Random {
    const NAME: &'static str = "std/random";
    const ABOUT: &'static str = "Draws a short random word once and keeps it.";
    const DRAWS: bool = true;
    type Provider = Std;
    type Inputs = Inputs;
    type Outputs = Outputs;

    /// Derives the word from the token, which is the random number: so a kill cannot lose it.
    fn compute(&self, _on: &Std, inputs: &Inputs, token: &Token) -> Result<Outputs> {
        const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let mut value = String::new();
        let mut block = 0_u32;
        while value.len() < inputs.length as usize {
            let digest = Sha256::digest(format!("{}:{block}", token.as_str()).as_bytes());
            for byte in digest {
                let choices = if value.is_empty() { 26 } else { LETTERS.len() };
                // The bytes that would favour the first letters are passed over.
                let fair = 256 / choices * choices;
                if usize::from(byte) < fair && value.len() < inputs.length as usize {
                    value.push(char::from(LETTERS[usize::from(byte) % choices]));
                }
            }
            block += 1;
        }
        Ok(Outputs { value })
    }
}
