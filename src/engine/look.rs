//! Looking at the world: all recorded objects, in bulk by kind.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::Error;
use crate::apply::Tries;
use crate::event::{Event, Listener};
use crate::id::{RemoteId, ResourceId, Token};
use crate::kind::{Error as KindError, Providers, Registration, Role, Seen};
use crate::plan::Actual;
use crate::providers;
use crate::state::{Phase, State};

/// How long an object that cannot be looked at is tried again.
const PATIENCE: Duration = Duration::from_secs(60);

struct Asked<'a> {
    resource: &'a ResourceId,
    token: &'a Token,
    id: RemoteId,
    last: serde_json::Value,
}

/// Reads every object that has an id.
///
/// # Errors
/// Names the first object that cannot be read.
pub(super) async fn at_the_world(
    state: &State,
    connected: &Providers,
    listener: Listener<'_>,
) -> Result<Actual, Error> {
    let mut by_kind: BTreeMap<&str, (&'static Registration, Vec<Asked<'_>>)> = BTreeMap::new();
    for (resource, object) in &state.objects {
        let (Some(id), Some(kind)) = (&object.id, providers::kind(&object.kind)) else {
            continue;
        };
        if !matches!(kind.role, Role::Object { lasts: true, .. }) || object.phase == Phase::Deleting {
            continue;
        }
        let last = match &object.phase {
            Phase::Updating { to, .. } => to.clone(),
            _ => object.inputs.clone(),
        };
        let asked = Asked {
            resource,
            token: &object.token,
            id: id.clone(),
            last,
        };
        by_kind
            .entry(kind.name)
            .or_insert_with(|| (kind, Vec::new()))
            .1
            .push(asked);
    }
    let objects = by_kind.values().map(|(_, asked)| asked.len()).sum();
    if objects > 0 {
        listener(&Event::Reading { objects });
    }
    let read = by_kind
        .into_values()
        .map(|(kind, asked)| read_kind(kind, asked, connected));
    let mut actual = Actual::with_capacity(objects);
    for answers in join_all(read).await {
        actual.extend(answers?);
    }
    Ok(actual)
}

async fn read_kind(
    kind: &'static Registration,
    mut asked: Vec<Asked<'_>>,
    connected: &Providers,
) -> Result<Vec<(Token, Seen)>, Error> {
    let Role::Object { bind, .. } = &kind.role else {
        return Ok(Vec::new());
    };
    let Some(bound) = bind(connected) else {
        let source = Box::new(KindError::failed(format!(
            "the provider of {} is not connected",
            kind.name
        )));
        return Err(Error::Provider {
            what: "cannot look at the world".to_owned(),
            source,
        });
    };
    let mut found = Vec::with_capacity(asked.len());
    let mut tries = Tries::default();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let questions = asked
            .iter()
            .map(|asked| (asked.id.clone(), asked.last.clone()))
            .collect();
        let answers = bound.read_many(questions).await;
        let mut again = Vec::new();
        let mut wait = None;
        for (asked, answer) in asked.into_iter().zip(answers) {
            match answer {
                Ok(seen) => found.push((asked.token.clone(), seen)),
                Err(error) if error.class.is_transient() => {
                    if wait.is_none() {
                        wait = tries.again(&error, deadline);
                    }
                    if wait.is_none() {
                        return Err(cannot_read(asked.resource, error));
                    }
                    again.push(asked);
                }
                Err(error) => return Err(cannot_read(asked.resource, error)),
            }
        }
        let Some(wait) = wait else { return Ok(found) };
        crate::apply::silence(wait).await;
        asked = again;
    }
}

fn cannot_read(resource: &ResourceId, source: KindError) -> Error {
    Error::Provider {
        what: format!("cannot look at `{resource}`"),
        source: Box::new(source),
    }
}
