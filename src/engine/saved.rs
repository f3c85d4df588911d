//! Plans in files: what was approved is what is applied, or nothing is.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Error, Planned};
use crate::id::{Lineage, Serial, hex};
use crate::plan::{Action, Counts};

/// The format that this version writes.
const FORMAT: u32 = 1;

/// A plan as it is kept in a file.
///
/// Applying it plans again from the same files and the same state and refuses where anything differs:
/// what was approved is exactly what is done, or nothing is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedPlan {
    /// See `FORMAT`.
    pub format: u32,
    /// The stack as the command named it.
    pub stack: String,
    /// The environment.
    pub env: String,
    /// The state it was made from.
    pub lineage: Option<Lineage>,
    /// Its serial.
    pub serial: Serial,
    /// The SHA-256 of all files and all values of variables it was made from.
    pub sources: String,
    /// Whether it takes everything away.
    pub destroy: bool,
    /// The variables of the command line, so that they need not be repeated. No sensitive ones.
    pub vars: Vec<(String, String)>,
    /// What it comes to.
    pub counts: Counts,
    /// What would be done.
    pub actions: Vec<Action>,
}

impl SavedPlan {
    /// Keeps a plan.
    #[must_use]
    pub fn of(planned: &Planned, request: &super::Request) -> Self {
        let sensitive = |name: &str| {
            planned
                .stack
                .variables
                .get(name)
                .is_some_and(|variable| variable.sensitive)
        };
        Self {
            format: FORMAT,
            stack: request.stack.clone(),
            env: planned.stack.env.to_string(),
            lineage: planned.state.as_ref().map(|state| state.lineage.clone()),
            serial: planned.state.as_ref().map_or(0, |state| state.serial),
            sources: digest(planned),
            destroy: planned.destroy,
            vars: request
                .vars
                .iter()
                .filter(|(name, _)| !sensitive(name))
                .cloned()
                .collect(),
            counts: planned.plan.counts,
            actions: planned.plan.actions.clone(),
        }
    }

    /// Reads a plan from a file's text.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn read(text: &str) -> Result<Self, Error> {
        let saved: Self = serde_json::from_str(text).map_err(|error| {
            Error::refused(
                format!("the file holds no plan: {error}"),
                "make one with `wasmctl plan <stack> --out FILE`",
            )
        })?;
        if saved.format > FORMAT {
            return Err(Error::refused(
                "the plan was made by a newer wasmctl",
                "plan again with this one",
            ));
        }
        Ok(saved)
    }

    /// Refuses a plan that is no longer what would be done.
    pub(super) fn check(&self, now: &Planned) -> Result<(), Error> {
        let again = "plan again, look at it, and deploy that";
        let (lineage, serial) = match &now.state {
            Some(state) if self.lineage.is_some() || state.serial > 0 => (Some(&state.lineage), state.serial),
            _ => (None, 0),
        };
        if self.destroy != now.destroy {
            return Err(Error::refused(
                "the plan takes everything away",
                "use `wasmctl destroy`",
            ));
        }
        if self.serial != serial || (self.lineage.as_ref() != lineage && serial > 0) {
            return Err(Error::refused(
                format!(
                    "the state has moved on since the plan was made: it was at {}, and is at {serial}",
                    self.serial
                ),
                again,
            ));
        }
        if self.sources != digest(now) {
            return Err(Error::refused(
                "the stack's files or variables have changed since the plan was made",
                again,
            ));
        }
        if self.actions != now.plan.actions {
            return Err(Error::refused("the world has changed since the plan was made", again));
        }
        Ok(())
    }
}

/// Digests everything a plan is made from but the state and the world.
fn digest(planned: &Planned) -> String {
    let mut hash = Sha256::new();
    let mut add = |part: &str| {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    };
    for source in &planned.stack.sources {
        add(&source.name);
        add(&source.text);
    }
    for (name, value) in &planned.stack.values {
        add(name);
        // The secret itself: its digest among all the rest says nothing about it.
        add(&value.reveal().map(|json| json.to_string()).unwrap_or_default());
    }
    hex(&hash.finalize())
}
