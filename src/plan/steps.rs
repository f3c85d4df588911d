//! Steps and what each must wait for. Pure.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value as Json;

use crate::id::{ResourceId, Token};
use crate::plan::Operation;
use crate::stack::scope::Each;
use crate::value::Value;

/// The number of a step in its plan.
pub type StepIndex = usize;

/// Something that apply does.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it is about.
    pub resource: ResourceId,
    /// What is done.
    pub work: Work,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Work {
    /// Ends a creation that an earlier run began: the same token, the recorded inputs, whose secrets
    /// come from what is declared.
    Resume(Option<Box<Desired>>),
    /// Makes an object.
    Create(Box<Desired>),
    /// Changes an object in place.
    Update(Box<Desired>),
    /// Computes outputs.
    Compute(Box<Desired>),
    /// Puts the current object aside: its successor comes first.
    Depose,
    /// Takes an object away.
    Delete {
        /// Which one.
        token: Token,
        /// What decides, once everything it waits for is known, whether it must really go.
        tentative: Option<Box<Desired>>,
    },
    /// Nothing: many wait for many through it.
    Meet,
}

/// What a resource shall be.
#[derive(Clone, Debug)]
pub struct Desired {
    /// Its index among the stack's resources.
    pub declared: usize,
    /// Its key and value under `for_each`.
    pub each: Option<Each>,
    /// Its inputs as planned; parts may be known only after apply.
    pub inputs: Value,
    /// What the object is made from as the world has it, where that is known; secrets sealed.
    pub base: Option<Json>,
    /// Fields whose changes do not count: they stay as they are.
    pub ignored: BTreeMap<String, Option<Value>>,
    /// What it needs directly.
    pub needs: Vec<ResourceId>,
    /// Whether the stack forbids to take it away.
    pub protected: bool,
}

impl Desired {
    /// Puts what is ignored back to what it is.
    #[must_use]
    pub fn settle(&self, inputs: Value) -> Value {
        if self.ignored.is_empty() {
            return inputs;
        }
        let mut entries: BTreeMap<String, Value> = match inputs {
            Value::Known(Json::Object(entries)) => entries
                .into_iter()
                .map(|(key, value)| (key, Value::Known(value)))
                .collect(),
            Value::Map(entries) => entries,
            other => return other,
        };
        for (field, value) in &self.ignored {
            match value {
                Some(value) => entries.insert(field.clone(), value.clone()),
                None => entries.remove(field),
            };
        }
        Value::map(entries)
    }
}

impl Work {
    /// Says what is done in the words of a plan; nothing for what has no effect.
    #[must_use]
    pub fn operation(&self) -> Option<Operation> {
        match self {
            Self::Resume(_) | Self::Create(_) | Self::Compute(_) => Some(Operation::Create),
            Self::Update(_) => Some(Operation::Update),
            Self::Delete { .. } => Some(Operation::Delete),
            Self::Depose | Self::Meet => None,
        }
    }
}

/// Steps and their order, as they are collected.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// The steps.
    pub(super) list: Vec<Step>,
    /// For each step, the steps it waits for.
    pub(super) after: Vec<Vec<StepIndex>>,
    /// The last step that makes or changes a resource.
    forward: HashMap<ResourceId, StepIndex>,
    /// The steps that make or change any instance of a resource.
    forward_of: HashMap<Arc<str>, Vec<StepIndex>>,
    /// The meeting point of these.
    met: HashMap<Arc<str>, StepIndex>,
}

impl Steps {
    /// Adds a step.
    pub(super) fn add(&mut self, resource: &ResourceId, work: Work, after: Vec<StepIndex>) -> StepIndex {
        self.list.push(Step {
            resource: resource.clone(),
            work,
        });
        self.after.push(after);
        self.list.len() - 1
    }

    /// Notes the step after which a resource is as it shall be.
    pub(super) fn set_forward(&mut self, resource: &ResourceId, step: StepIndex) {
        self.forward.insert(resource.clone(), step);
        if resource.key.is_some() {
            self.forward_of
                .entry(Arc::clone(&resource.name))
                .or_default()
                .push(step);
        }
    }

    /// Returns the step after which a resource is as it shall be, if there is anything to do for it.
    #[must_use]
    pub(super) fn forward(&self, resource: &ResourceId) -> Option<StepIndex> {
        self.forward.get(resource).copied()
    }

    /// Returns the steps after which all that is needed is as it shall be.
    ///
    /// What needs all instances of a resource waits at one meeting point, so that n users of m
    /// instances cost n + m edges, not n × m.
    pub(super) fn after_needs(&mut self, needs: &[ResourceId]) -> Vec<StepIndex> {
        let mut after = Vec::new();
        for need in needs {
            if let Some(step) = self.forward(need) {
                after.push(step);
            } else if need.key.is_none()
                && let Some(steps) = self.forward_of.get(&need.name)
            {
                let met = match self.met.get(&need.name) {
                    Some(met) => *met,
                    None => {
                        let steps = steps.clone();
                        let met = self.add(need, Work::Meet, steps);
                        self.met.insert(Arc::clone(&need.name), met);
                        met
                    }
                };
                after.push(met);
            }
        }
        after
    }

    /// Makes steps wait for others where that closes no circle: what goes is better gone after what
    /// stops using it, but a replacement elsewhere may need it gone before.
    ///
    /// Steps from `late` on are meeting points of deletions. The order that decides takes whatever makes or
    /// changes something as early as it can, and what takes away as late.
    pub(super) fn wish(&mut self, wishes: &[(StepIndex, StepIndex)], late: StepIndex) {
        if wishes.is_empty() {
            return;
        }
        let count = self.list.len();
        let mut users = vec![Vec::new(); count];
        let mut waiting = vec![0_usize; count];
        for (user, befores) in self.after.iter().enumerate() {
            waiting[user] = befores.len();
            for &before in befores {
                users[before].push(user);
            }
        }
        let takes_away = |step: StepIndex| step >= late || matches!(self.list[step].work, Work::Delete { .. });
        let (mut makes, mut takes) = (Vec::new(), Vec::new());
        let sort = |step: StepIndex, makes: &mut Vec<_>, takes: &mut Vec<_>| {
            if takes_away(step) {
                takes.push(step)
            } else {
                makes.push(step)
            }
        };
        for step in (0..count).filter(|&step| waiting[step] == 0) {
            sort(step, &mut makes, &mut takes);
        }
        let mut place = vec![usize::MAX; count];
        let mut next = 0;
        while let Some(step) = makes.pop().or_else(|| takes.pop()) {
            place[step] = next;
            next += 1;
            for &user in &users[step] {
                waiting[user] -= 1;
                if waiting[user] == 0 {
                    sort(user, &mut makes, &mut takes);
                }
            }
        }
        for &(step, first) in wishes {
            if place[first] < place[step] {
                self.after[step].push(first);
            }
        }
    }
}
