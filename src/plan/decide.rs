//! What is done about one resource: desired × prior × actual → one verb. Pure, and exhaustive.

use serde_json::Value as Json;

use super::{FieldChange, Verb, diff};
use crate::kind::{Change, Registration, Result, Role, Seen};
use crate::state::{Object, Phase};
use crate::value::{Seal, Value};

/// What is to be done, and why.
#[derive(Debug, PartialEq)]
pub(super) struct Decision {
    pub(super) verb: Verb,
    /// Why, where the changes alone do not say it.
    pub(super) because: Option<String>,
    pub(super) changes: Vec<FieldChange>,
    /// How the world differs from the record.
    pub(super) drift: Vec<FieldChange>,
    /// What the object is made from as far as is known: the world's word where it was asked. Sealed.
    pub(super) base: Json,
    /// A step that was begun and has to be ended first.
    pub(super) resume: Resume,
    /// Whether the verb rests on a value known only after apply, and may turn out milder.
    pub(super) tentative: bool,
}

/// What an earlier run began and did not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resume {
    Nothing,
    /// A creation: with the same token, with what was recorded.
    Create,
    /// A deletion.
    Delete,
}

impl Decision {
    fn new(verb: Verb, base: Json) -> Self {
        Self {
            verb,
            because: None,
            changes: Vec::new(),
            drift: Vec::new(),
            base,
            resume: Resume::Nothing,
            tentative: false,
        }
    }

    fn because(mut self, why: &str) -> Self {
        self.because = Some(why.to_owned());
        self
    }
}

/// Decides about a resource that is declared.
///
/// # Errors
/// Returns what the kind says of inputs it cannot compare.
pub(super) fn decide(
    kind: &Registration,
    desired: &Value,
    ignore: &[&str],
    prior: Option<&Object>,
    seen: Option<&Seen>,
    seal: &Seal,
) -> Result<Decision> {
    let Some(prior) = prior else {
        return Ok(Decision {
            changes: diff::all_new(desired, seal),
            ..Decision::new(Verb::Create, Json::Null)
        });
    };
    let recorded = || prior.inputs.clone();
    let all_new = || diff::all_new(desired, seal);
    if prior.kind.as_ref() != kind.name {
        let why = format!("its type changes from {} to {}", prior.kind, kind.name);
        let resume = if prior.phase == Phase::Creating {
            Resume::Create
        } else {
            Resume::Nothing
        };
        return Ok(Decision {
            changes: all_new(),
            resume,
            ..Decision::new(Verb::Replace, recorded())
        }
        .because(&why));
    }
    match (&prior.phase, seen) {
        (Phase::Deleting, _) => Ok(Decision {
            changes: all_new(),
            resume: Resume::Delete,
            ..Decision::new(Verb::Replace, recorded())
        }
        .because("its deletion was interrupted")),
        (Phase::Creating, None | Some(Seen::Pending { .. })) => {
            let after = compare(kind, desired, ignore, recorded(), recorded(), seal)?;
            let verb = if after.verb == Verb::Replace {
                Verb::Replace
            } else {
                Verb::Create
            };
            Ok(Decision {
                verb,
                resume: Resume::Create,
                ..after
            }
            .because("its creation was interrupted"))
        }
        (_, Some(Seen::Absent)) => {
            let why = match prior.phase {
                Phase::Creating => "its creation was interrupted",
                _ => "it was deleted outside wasmctl",
            };
            Ok(Decision {
                changes: all_new(),
                ..Decision::new(Verb::Create, recorded())
            }
            .because(why))
        }
        (phase, Some(Seen::Broken { detail })) => {
            let resume = if *phase == Phase::Creating {
                Resume::Create
            } else {
                Resume::Nothing
            };
            // It has an id, or it could not have been looked at: nothing is left to resume.
            let resume = if prior.id.is_some() { Resume::Nothing } else { resume };
            Ok(Decision {
                changes: all_new(),
                resume,
                ..Decision::new(Verb::Replace, recorded())
            }
            .because(&format!("it is broken: {detail}")))
        }
        (Phase::Creating, Some(Seen::Ready { inputs, .. })) => {
            let base = diff::observed(inputs.clone(), &prior.inputs, seal);
            let after = compare(kind, desired, ignore, base, recorded(), seal)?;
            let verb = if after.verb == Verb::Replace {
                Verb::Replace
            } else {
                Verb::Create
            };
            Ok(Decision {
                verb,
                resume: Resume::Create,
                ..after
            }
            .because("its creation was interrupted"))
        }
        (Phase::Updating { to, .. }, seen) => {
            let base = match seen {
                Some(Seen::Ready { inputs, .. }) => diff::observed(inputs.clone(), to, seal),
                _ => recorded(),
            };
            let decision = compare(kind, desired, ignore, base, recorded(), seal)?;
            let verb = if decision.verb == Verb::Keep {
                Verb::Update
            } else {
                decision.verb
            };
            Ok(Decision { verb, ..decision }.because("its update was interrupted"))
        }
        (Phase::Settled, Some(Seen::Ready { inputs, .. })) => {
            let base = diff::observed(inputs.clone(), &prior.inputs, seal);
            compare(kind, desired, ignore, base, recorded(), seal)
        }
        (Phase::Settled, None | Some(Seen::Pending { .. })) => {
            compare(kind, desired, ignore, recorded(), recorded(), seal)
        }
    }
}

/// Decides from inputs alone.
fn compare(
    kind: &Registration,
    desired: &Value,
    ignore: &[&str],
    base: Json,
    recorded: Json,
    seal: &Seal,
) -> Result<Decision> {
    let shape = &kind.inputs;
    let drift = if base == recorded {
        Vec::new()
    } else {
        diff::diff(&recorded, &Value::Known(base.clone()), shape, seal)
    };
    // `1` and `1.0` are spelled differently, which is no difference.
    let base = if drift.is_empty() { recorded } else { base };
    let mut changes = diff::diff(&base, desired, shape, seal);
    changes.retain(|change| !ignore.iter().any(|field| is_under(&change.path, field)));
    if changes.is_empty() {
        return Ok(Decision {
            drift,
            ..Decision::new(Verb::Keep, base)
        });
    }
    let certain = |change: &FieldChange| change.after != super::Shown::Unknown;
    let replaced = changes.iter().any(|change| change.replaces && certain(change));
    let maybe_replaced = changes.iter().any(|change| change.replaces);
    let mut decision = Decision {
        verb: if maybe_replaced { Verb::Replace } else { Verb::Update },
        tentative: !replaced && changes.iter().any(|change| !certain(change)),
        changes,
        drift,
        ..Decision::new(Verb::Update, base)
    };
    if !maybe_replaced && let (Role::Object { change, .. }, Some(to)) = (&kind.role, desired.reveal()) {
        // Marks that this run's secrets do not fit stay: they differ, which is all that matters here.
        let from = seal.restored(&decision.base, desired);
        match change(&from, &to)? {
            Change::None => decision.verb = Verb::Keep,
            Change::Update => decision.verb = Verb::Update,
            Change::Replace { because } => {
                decision.verb = Verb::Replace;
                decision.because = Some(because);
            }
        }
    }
    if decision.verb == Verb::Keep {
        decision.changes.clear();
    }
    Ok(decision)
}

fn is_under(path: &str, field: &str) -> bool {
    path.strip_prefix(field)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}
