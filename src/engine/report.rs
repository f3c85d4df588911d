//! How a run ended, and how things stand.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Planned;
use crate::apply::Outcome;
use crate::diagnostic::Diagnostic;
use crate::event::{Event, Tally};
use crate::id::{ResourceId, Serial};
use crate::kind::{Role, Seen};
use crate::plan::{FieldChange, Verb};
use crate::providers;
use crate::value::Value;

/// How a run ended.
#[derive(Debug)]
pub struct Report {
    /// The command.
    pub command: &'static str,
    /// What was done.
    pub tally: Tally,
    /// Whether it was asked to stop.
    pub interrupted: bool,
    /// Whether the plan was turned down.
    pub declined: bool,
    /// The outputs of the stack.
    pub outputs: BTreeMap<String, Value>,
    /// What a destroy left behind; `None` for anything else.
    pub left: Option<Vec<String>>,
    /// The serial of the state.
    pub serial: Serial,
    /// What is worth knowing.
    pub notices: Vec<Diagnostic>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Report {
    fn new(command: &'static str, outcome: Outcome, notices: Vec<Diagnostic>, begun: Instant) -> Self {
        Self {
            command,
            tally: outcome.tally,
            interrupted: outcome.interrupted,
            declined: false,
            outputs: BTreeMap::new(),
            left: None,
            serial: 0,
            notices,
            elapsed: begun.elapsed(),
        }
    }

    pub(super) fn done(
        command: &'static str,
        outcome: Outcome,
        outputs: BTreeMap<String, Value>,
        serial: Serial,
        notices: Vec<Diagnostic>,
        begun: Instant,
    ) -> Self {
        Self {
            outputs,
            serial,
            ..Self::new(command, outcome, notices, begun)
        }
    }

    pub(super) fn unchanged(planned: Planned, serial: Serial, begun: Instant) -> Self {
        let outputs = planned.outputs();
        Self {
            outputs,
            serial,
            ..Self::new("deploy", Outcome::default(), planned.notices, begun)
        }
    }

    pub(super) fn declined(planned: Planned, begun: Instant) -> Self {
        Self {
            declined: true,
            ..Self::new("deploy", Outcome::default(), planned.notices, begun)
        }
    }

    pub(super) fn destroyed(
        command: &'static str,
        outcome: Outcome,
        left: Vec<String>,
        notices: Vec<Diagnostic>,
        begun: Instant,
    ) -> Self {
        Self {
            left: Some(left),
            ..Self::new(command, outcome, notices, begun)
        }
    }

    /// Returns what the process exits with.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let left = self.left.as_ref().is_some_and(|left| !left.is_empty());
        super::exit_code(&self.tally, self.interrupted).max(u8::from(left || self.declined))
    }

    /// Says it as the last event.
    #[must_use]
    pub fn event(&self) -> Event {
        let shown = |value: &Value| if value.has_secret() { None } else { value.reveal() };
        Event::Done {
            command: self.command,
            tally: self.tally,
            outputs: self
                .outputs
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), shown(value)?)))
                .collect(),
            left: self.left.clone(),
            exit_code: self.exit_code(),
            elapsed: self.elapsed,
        }
    }
}

/// How one resource stands.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its address.
    pub resource: ResourceId,
    /// The name of its kind.
    pub kind: String,
    /// Whether the stack declares it.
    pub declared: bool,
    /// Whether it is recorded.
    pub recorded: bool,
    /// How it was found.
    #[serde(flatten)]
    pub health: Health,
    /// What a deploy would do about it.
    pub next: Verb,
    /// How it differs from the record.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<FieldChange>,
}

/// How a resource was found in the world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "health", content = "detail", rename_all = "snake_case")]
pub enum Health {
    /// It is there.
    Ready,
    /// It is computed: there is nothing to look at.
    Computed,
    /// It is not there.
    Absent,
    /// It is on its way.
    Pending(String),
    /// It will not become ready by waiting.
    Broken(String),
    /// It was not looked at.
    Unseen,
}

impl Planned {
    /// Tells how every resource stands, by address.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = BTreeMap::new();
        let object = |id: &ResourceId| self.state.as_ref().and_then(|state| state.objects.get(id));
        let mut add = |id: &ResourceId, next: Verb, kind: &str, drift: &[FieldChange]| {
            let recorded = object(id);
            let health = match recorded {
                None => Health::Absent,
                Some(object) => match (self.actual.get(&object.token), providers::kind(&object.kind)) {
                    (Some(Seen::Ready { .. }), _) => Health::Ready,
                    (Some(Seen::Absent), _) => Health::Absent,
                    (Some(Seen::Pending { detail }), _) => Health::Pending(detail.clone()),
                    (Some(Seen::Broken { detail }), _) => Health::Broken(detail.clone()),
                    (None, Some(kind))
                        if matches!(kind.role, Role::Computed { .. } | Role::Object { lasts: false, .. }) =>
                    {
                        Health::Computed
                    }
                    (None, _) => Health::Unseen,
                },
            };
            let row = Row {
                resource: id.clone(),
                kind: kind.to_owned(),
                declared: next != Verb::Delete,
                recorded: recorded.is_some(),
                health,
                next,
                drift: drift.to_vec(),
            };
            rows.insert(id.clone(), row);
        };
        for id in &self.plan.keep {
            let kind = object(id).map(|object| object.kind.to_string()).unwrap_or_default();
            add(id, Verb::Keep, &kind, &[]);
        }
        for action in &self.plan.actions {
            add(&action.resource, action.verb, &action.kind, &action.drift);
        }
        rows.into_values().collect()
    }
}
