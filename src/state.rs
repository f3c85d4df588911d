//! What is recorded of a deployment: a snapshot, and a journal of all that happened since.
//!
//! `state = fold(snapshot, journal)`. [`journal`] appends and syncs, [`file`] locks, reads and rotates;
//! the folding here has no I/O and refuses illegal histories.

pub mod file;
pub mod journal;
pub mod record;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

pub use record::{Operation, Record};

use crate::id::{Lineage, RemoteId, ResourceId, Serial, Token};

/// All that is recorded of a deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Its identity.
    pub lineage: Lineage,
    /// Counts its snapshots.
    pub serial: Serial,
    /// The stack.
    pub stack: Arc<str>,
    /// The environment.
    pub env: Arc<str>,
    /// The accounts it was deployed to, by provider.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub accounts: BTreeMap<String, String>,
    /// The stack it stands on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// The current object of each resource.
    #[serde(with = "by_address")]
    pub objects: BTreeMap<ResourceId, Object>,
    /// Objects that were replaced and are still to go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deposed: Vec<(ResourceId, Object)>,
    /// The outputs of the stack after its last deploy, secrets sealed.
    #[serde(default)]
    pub outputs: serde_json::Map<String, Json>,
    /// How the last run that changed something ended.
    #[serde(default)]
    pub last_run: LastRun,
    /// Where each open token is; derived.
    #[serde(skip)]
    open: BTreeMap<Token, ResourceId>,
}

/// How the last run that changed something ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LastRun {
    /// There was none yet.
    #[default]
    Never,
    /// All of it was done.
    Complete,
    /// It failed, was interrupted or was killed.
    Incomplete,
}

/// An object that was made, or is being made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// The name of its kind.
    pub kind: Arc<str>,
    /// The identity of its creation.
    pub token: Token,
    /// What the provider calls it; `None` until it accepted, and for what is only computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RemoteId>,
    /// What it was last made from, secrets sealed.
    pub inputs: Json,
    /// What others may refer to, secrets sealed.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub outputs: Json,
    /// What it needs directly; a name without key stands for all instances.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<ResourceId>,
    /// Whether the stack forbids to take it away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protected: bool,
    /// How far it is.
    #[serde(default, skip_serializing_if = "Phase::is_settled")]
    pub phase: Phase,
}

/// How far an object is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It is as recorded.
    #[default]
    Settled,
    /// Its creation began: with an id it exists, without one it may.
    Creating,
    /// Its update to these inputs began.
    Updating {
        /// The new inputs, secrets sealed.
        to: Json,
        /// What it will need.
        needs: Vec<ResourceId>,
    },
    /// Its deletion began.
    Deleting,
}

impl Phase {
    /// Whether nothing is under way.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        *self == Self::Settled
    }
}

/// A record that cannot follow on what was recorded before.
#[derive(Debug, thiserror::Error)]
#[error("the journal says `{what}` of {subject}, which does not follow on what it said before")]
pub struct Illegal {
    what: &'static str,
    subject: String,
}

impl State {
    /// Starts the record of a deployment.
    #[must_use]
    pub fn new(lineage: Lineage, stack: Arc<str>, env: Arc<str>) -> Self {
        Self {
            lineage,
            serial: 0,
            stack,
            env,
            accounts: BTreeMap::new(),
            on: None,
            objects: BTreeMap::new(),
            deposed: Vec::new(),
            outputs: serde_json::Map::new(),
            last_run: LastRun::Never,
            open: BTreeMap::new(),
        }
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.deposed.is_empty()
    }

    /// Rebuilds what is derived; called once after reading a snapshot.
    pub fn index(&mut self) {
        self.open = self
            .objects
            .iter()
            .filter(|(_, object)| !object.phase.is_settled())
            .map(|(id, object)| (object.token.clone(), id.clone()))
            .collect();
    }

    /// Adds one record.
    ///
    /// # Errors
    /// Refuses a record that cannot follow: the state is then as it was.
    pub fn apply(&mut self, record: &Record) -> Result<(), Illegal> {
        match record {
            Record::Open { .. } => {}
            Record::Begin {
                resource,
                token,
                operation,
                kind,
                inputs,
                needs,
                protected,
            } => match operation {
                _ if self.open.get(token).is_some_and(|open| open != resource) => {
                    return Err(illegal("begin", token));
                }
                Operation::Create => self.begin_create(resource, token, kind, inputs, needs, *protected)?,
                Operation::Update => {
                    let object = self.current(resource, token, "begin update")?;
                    object.phase = Phase::Updating {
                        to: inputs.clone(),
                        needs: needs.clone(),
                    };
                    object.protected = *protected;
                    self.open.insert(token.clone(), resource.clone());
                }
                Operation::Delete => {
                    let object = match self.objects.get_mut(resource) {
                        Some(object) if object.token == *token => {
                            self.open.insert(token.clone(), resource.clone());
                            object
                        }
                        _ => self
                            .deposed_mut(token)
                            .ok_or_else(|| illegal("begin delete", resource))?,
                    };
                    object.phase = Phase::Deleting;
                }
            },
            Record::Accepted { token, id } => {
                let object = self.by_token(token, "accepted")?;
                match object.phase {
                    Phase::Creating => object.id = Some(id.clone()),
                    _ => return Err(illegal("accepted", token)),
                }
            }
            Record::Settled { token, inputs, outputs } => self.settle(token, inputs.as_ref(), outputs.as_ref())?,
            Record::Failed { token, .. } => {
                let resource = self.open.get(token).cloned().ok_or_else(|| illegal("failed", token))?;
                let object = self.current(&resource, token, "failed")?;
                // A creation that was refused left nothing behind. Anything else stays as it is, begun.
                if object.phase == Phase::Creating && object.id.is_none() {
                    self.objects.remove(&resource);
                    self.open.remove(token);
                }
            }
            Record::Computed {
                resource,
                token,
                kind,
                inputs,
                outputs,
                needs,
            } => {
                let object = Object {
                    kind: Arc::clone(kind),
                    token: token.clone(),
                    id: None,
                    inputs: inputs.clone(),
                    outputs: outputs.clone(),
                    needs: needs.clone(),
                    protected: false,
                    phase: Phase::Settled,
                };
                if let Some(before) = self.objects.insert(resource.clone(), object) {
                    self.open.remove(&before.token);
                }
            }
            Record::Observed {
                token,
                resource,
                inputs,
                outputs,
            } => {
                let object = self.current(resource, token, "observed")?;
                if let Some(inputs) = inputs {
                    object.inputs = inputs.clone();
                }
                object.outputs = outputs.clone();
            }
            Record::Described {
                resource,
                needs,
                protected,
            } => {
                let object = self
                    .objects
                    .get_mut(resource)
                    .ok_or_else(|| illegal("described", resource))?;
                object.needs = needs.clone();
                object.protected = *protected;
            }
            Record::Deposed { resource } => {
                let object = self
                    .objects
                    .remove(resource)
                    .ok_or_else(|| illegal("deposed", resource))?;
                self.open.remove(&object.token);
                self.deposed.push((resource.clone(), object));
            }
            Record::Forgotten { resource } => {
                if let Some(object) = self.objects.remove(resource) {
                    self.open.remove(&object.token);
                }
            }
            Record::Moved { from, to } => {
                if self.objects.contains_key(to) {
                    return Err(illegal("moved", to));
                }
                let object = self.objects.remove(from).ok_or_else(|| illegal("moved", from))?;
                if let Some(place) = self.open.get_mut(&object.token) {
                    *place = to.clone();
                }
                self.objects.insert(to.clone(), object);
                self.rename_needs(from, to);
            }
            Record::Imported { resource, object } => {
                if self.objects.contains_key(resource) || !object.phase.is_settled() {
                    return Err(illegal("imported", resource));
                }
                self.objects.insert(resource.clone(), object.as_ref().clone());
            }
            Record::Account { provider, account } => {
                self.accounts.insert(provider.clone(), account.clone());
            }
            Record::Started { on } => {
                self.last_run = LastRun::Incomplete;
                self.on = on.clone();
            }
            Record::Ended { outputs, complete } => {
                if let Some(outputs) = outputs {
                    self.outputs = outputs.clone();
                }
                self.last_run = if *complete {
                    LastRun::Complete
                } else {
                    LastRun::Incomplete
                };
            }
        }
        Ok(())
    }

    fn begin_create(
        &mut self,
        resource: &ResourceId,
        token: &Token,
        kind: &Arc<str>,
        inputs: &Json,
        needs: &[ResourceId],
        protected: bool,
    ) -> Result<(), Illegal> {
        match self.objects.get(resource) {
            None => {}
            // Begun again after a kill: the same identity, as often as it takes.
            Some(object) if object.token == *token && object.phase == Phase::Creating => {}
            Some(_) => return Err(illegal("begin create", resource)),
        }
        let id = self.objects.get(resource).and_then(|object| object.id.clone());
        let object = Object {
            kind: Arc::clone(kind),
            token: token.clone(),
            id,
            inputs: inputs.clone(),
            outputs: Json::Null,
            needs: needs.to_vec(),
            protected,
            phase: Phase::Creating,
        };
        self.objects.insert(resource.clone(), object);
        self.open.insert(token.clone(), resource.clone());
        Ok(())
    }

    fn settle(&mut self, token: &Token, inputs: Option<&Json>, outputs: Option<&Json>) -> Result<(), Illegal> {
        if let Some(place) = self.deposed.iter().position(|(_, object)| object.token == *token) {
            if self.deposed[place].1.phase != Phase::Deleting {
                return Err(illegal("settled", token));
            }
            self.deposed.remove(place);
            return Ok(());
        }
        let place = self
            .open
            .get(token)
            .and_then(|resource| self.objects.get_key_value(resource));
        let Some((resource, _)) = place.filter(|(_, object)| object.token == *token && !object.phase.is_settled())
        else {
            return Err(illegal("settled", token));
        };
        let resource = resource.clone();
        self.open.remove(token);
        let Some(object) = self.objects.get_mut(&resource) else {
            return Err(illegal("settled", token));
        };
        match std::mem::take(&mut object.phase) {
            Phase::Deleting => {
                self.objects.remove(&resource);
                return Ok(());
            }
            Phase::Updating { to, needs } => {
                object.inputs = to;
                object.needs = needs;
            }
            Phase::Creating | Phase::Settled => {}
        }
        if let Some(inputs) = inputs {
            object.inputs = inputs.clone();
        }
        if let Some(outputs) = outputs {
            object.outputs = outputs.clone();
        }
        Ok(())
    }

    fn current(&mut self, resource: &ResourceId, token: &Token, what: &'static str) -> Result<&mut Object, Illegal> {
        match self.objects.get_mut(resource) {
            Some(object) if object.token == *token => Ok(object),
            _ => Err(illegal(what, resource)),
        }
    }

    fn deposed_mut(&mut self, token: &Token) -> Option<&mut Object> {
        self.deposed
            .iter_mut()
            .find(|(_, object)| object.token == *token)
            .map(|(_, object)| object)
    }

    fn by_token(&mut self, token: &Token, what: &'static str) -> Result<&mut Object, Illegal> {
        match self.open.get(token) {
            Some(resource) => self.objects.get_mut(resource).ok_or_else(|| illegal(what, token)),
            None => Err(illegal(what, token)),
        }
    }

    fn rename_needs(&mut self, from: &ResourceId, to: &ResourceId) {
        for object in self
            .objects
            .values_mut()
            .chain(self.deposed.iter_mut().map(|(_, object)| object))
        {
            for need in &mut object.needs {
                if need == from {
                    *need = to.clone();
                }
            }
        }
    }
}

fn illegal(what: &'static str, subject: impl ToString) -> Illegal {
    Illegal {
        what,
        subject: subject.to_string(),
    }
}

/// Addresses as the keys of a JSON map.
mod by_address {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Object, ResourceId};

    pub(super) fn serialize<S: Serializer>(
        objects: &BTreeMap<ResourceId, Object>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(objects)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<ResourceId, Object>, D::Error> {
        BTreeMap::deserialize(deserializer)
    }
}
