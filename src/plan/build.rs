//! From desired, prior and actual to a plan: one walk over what is declared, one over what must go. Pure.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value as Json;

use super::decide::{self, Decision, Resume};
use super::steps::{Desired, StepIndex, Steps, Work};
use super::{Action, Counts, Plan, Verb, diff};
use crate::diagnostic::{Diagnostic, Diagnostics, Span};
use crate::id::{ResourceId, Token};
use crate::kind::{Providers, Registration, Role, Seen, Type};
use crate::providers;
use crate::stack::scope::{Each, Outputs, Scope};
use crate::stack::{Resource, Stack};
use crate::state::{Object, Phase, Record, State};
use crate::value::{Seal, Value, from_record, holds_mark};

/// What was found in the world, by the token of each object that was looked at.
pub type Actual = HashMap<Token, Seen>;

/// What a plan is made of.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// What is declared.
    pub stack: &'a Stack,
    /// What is recorded.
    pub state: &'a State,
    /// What was found.
    pub actual: &'a Actual,
    /// The outputs of the stack it stands on.
    pub on: Option<&'a Value>,
    /// For kinds that are computed.
    pub providers: &'a Providers,
    /// How secrets are recorded.
    pub seal: &'a Seal,
    /// The only resources that are to be touched, with what they need; all if empty.
    pub targets: &'a [ResourceId],
    /// Whether everything shall go.
    pub destroy: bool,
}

/// Makes the plan.
///
/// # Errors
/// Returns all that stands against it.
pub fn build(ask: &Ask<'_>) -> Result<Plan, Diagnostics> {
    let state = moved(ask)?;
    let stack_value = stack_value(ask.stack);
    let mut walk = Walk {
        ask,
        state: &state.0,
        stack_value: &stack_value,
        problems: Diagnostics::default(),
        steps: Steps::default(),
        actions: Vec::new(),
        counts: Counts::default(),
        outputs: Outputs::default(),
        desired: HashSet::new(),
        going: BTreeMap::new(),
        create_first: BTreeSet::new(),
        replaced: HashSet::new(),
        records: state.1,
        secrets: Vec::new(),
        keep: Vec::new(),
        wanted: HashMap::new(),
    };
    for value in ask.stack.values.values() {
        value.secrets_into(&mut walk.secrets);
    }
    let (targets, scope) = targets(ask, &mut walk.problems);
    if ask.destroy {
        walk.restore_wanted();
    } else {
        walk.declared(&targets, &scope);
        walk.refuse_missing_targets();
    }
    walk.leaving(&targets, &scope);
    walk.deletions();
    if walk.problems.has_errors() {
        return Err(walk.problems);
    }
    let Walk {
        steps,
        actions,
        counts,
        outputs,
        records,
        problems,
        secrets,
        keep,
        wanted,
        ..
    } = walk;
    Ok(Plan {
        actions,
        counts,
        steps: steps.list,
        after: steps.after,
        outputs,
        records,
        secrets,
        warnings: problems.0,
        keep,
        wanted,
    })
}

/// Says `{{ stack.name }}` and `{{ stack.env }}`.
#[must_use]
pub fn stack_value(stack: &Stack) -> Value {
    Value::Known(serde_json::json!({ "name": &*stack.name, "env": &*stack.env }))
}

/// Takes `moved:` into account.
fn moved<'a>(ask: &Ask<'a>) -> Result<(Cow<'a, State>, Vec<Record>), Diagnostics> {
    let mut state = Cow::Borrowed(ask.state);
    let mut records = Vec::new();
    let mut problems = Diagnostics::default();
    for moved in &ask.stack.moved {
        let whole = moved.from.key.is_none() && moved.to.key.is_none();
        let from: Vec<ResourceId> = state
            .objects
            .keys()
            .filter(|id| **id == moved.from.value || (whole && id.name == moved.from.name))
            .cloned()
            .collect();
        for from in from {
            let to = if whole {
                ResourceId {
                    name: Arc::clone(&moved.to.name),
                    key: from.key.clone(),
                }
            } else {
                moved.to.value.clone()
            };
            if state.objects.contains_key(&to) {
                problems.push(
                    Diagnostic::error("moved", format!("`{from}` cannot move to `{to}`: both exist"))
                        .at(&moved.to.span, "already there")
                        .help("take one of them away first, or end this entry of `moved`"),
                );
                continue;
            }
            let record = Record::Moved { from, to };
            if state.to_mut().apply(&record).is_ok() {
                records.push(record);
            }
        }
    }
    if problems.has_errors() {
        Err(problems)
    } else {
        Ok((state, records))
    }
}

/// Finds the instances that are aimed at, and the declared resources that this drags in.
fn targets(ask: &Ask<'_>, problems: &mut Diagnostics) -> (Vec<ResourceId>, BTreeSet<usize>) {
    let resources = &ask.stack.resources;
    let mut wanted = Vec::new();
    for target in ask.targets {
        let recorded = ask.state.objects.keys().any(|id| id.name == target.name);
        match resources.get_index_of(&target.name) {
            Some(index) => wanted.push(index),
            None if recorded => {}
            None => {
                let known = resources.keys().map(AsRef::as_ref);
                let help =
                    crate::diagnostic::did_you_mean(&target.name, known).map(|word| format!("did you mean `{word}`?"));
                problems.push(
                    Diagnostic::error("target", format!("there is no resource `{target}` to aim at")).maybe_help(help),
                );
            }
        }
    }
    (ask.targets.to_vec(), ask.stack.graph.with_needs(wanted))
}

struct Walk<'a> {
    ask: &'a Ask<'a>,
    state: &'a State,
    stack_value: &'a Value,
    problems: Diagnostics,
    steps: Steps,
    actions: Vec<Action>,
    counts: Counts,
    outputs: Outputs,
    /// Addresses that are declared.
    desired: HashSet<ResourceId>,
    /// Objects that go: their step, and whether a successor comes first.
    going: BTreeMap<(ResourceId, Token), (StepIndex, bool)>,
    /// Resources whose replacement must come first.
    create_first: BTreeSet<usize>,
    /// Resources that are being replaced or made anew.
    replaced: HashSet<ResourceId>,
    records: Vec<Record>,
    secrets: Vec<String>,
    keep: Vec<ResourceId>,
    wanted: HashMap<ResourceId, Value>,
}

impl<'a> Walk<'a> {
    fn scope<'s>(&'s self, each: Option<&'s Each>) -> Scope<'s> {
        Scope {
            variables: &self.ask.stack.values,
            stack: self.stack_value,
            on: self.ask.on,
            outputs: &self.outputs,
            each,
        }
    }

    fn declared(&mut self, targets: &[ResourceId], scope: &BTreeSet<usize>) {
        let stack = self.ask.stack;
        self.spread_create_first();
        for (name, resource) in &stack.resources {
            self.outputs.declare(name, resource.for_each.is_some());
        }
        for &index in stack.graph.order() {
            let Some((name, resource)) = stack.resources.get_index(index) else {
                continue;
            };
            let outside = !targets.is_empty() && !scope.contains(&index);
            let instances = match self.instances(name, resource) {
                Ok(instances) => instances,
                Err(problem) => {
                    self.problems.push(problem);
                    // What refers to it is not also at fault.
                    self.outputs.set(&ResourceId::plain(Arc::clone(name)), Value::Unknown);
                    continue;
                }
            };
            for (id, each) in instances {
                let aimed = targets.is_empty()
                    || !targets.iter().any(|target| target.name == id.name)
                    || targets
                        .iter()
                        .any(|target| target.name == id.name && (target.key.is_none() || *target == id));
                if outside || !aimed {
                    self.outside(id);
                } else {
                    self.instance(index, resource, id, each);
                }
            }
        }
    }

    /// An instance to aim at must be declared or recorded.
    fn refuse_missing_targets(&mut self) {
        for target in self.ask.targets {
            let declared = self.ask.stack.resources.get(&target.name);
            let found = self.desired.contains(target) || self.state.objects.contains_key(target);
            if target.key.is_none() || found || declared.is_none_or(|resource| resource.when.is_some()) {
                continue;
            }
            self.problems.push(
                Diagnostic::error("target", format!("there is no instance `{target}` to aim at"))
                    .help(self.instances_help(&target.name)),
            );
        }
    }

    fn instances_help(&self, name: &str) -> String {
        let mut keys: Vec<&str> = self
            .desired
            .iter()
            .filter(|id| &*id.name == name)
            .filter_map(|id| id.key.as_deref())
            .collect();
        keys.sort_unstable();
        let more = if keys.len() > 8 { ", …" } else { "" };
        match keys.as_slice() {
            [] => format!("`{name}` has no instances"),
            some => format!("`{name}` has {}{more}", some[..some.len().min(8)].join(", ")),
        }
    }

    /// A replacement that comes first needs what it needs first too.
    fn spread_create_first(&mut self) {
        let stack = self.ask.stack;
        let own = stack
            .resources
            .values()
            .enumerate()
            .filter(|(_, resource)| resource.create_before_destroy);
        self.create_first = stack.graph.with_needs(own.map(|(index, _)| index));
    }

    /// What a target leaves alone keeps what is recorded of it.
    fn outside(&mut self, id: ResourceId) {
        let outputs = match self.state.objects.get(&id) {
            Some(object) if object.phase.is_settled() => from_record(&object.outputs),
            _ => Value::Unknown,
        };
        self.outputs.set(&id, outputs);
        self.desired.insert(id);
    }

    fn instances(&self, name: &Arc<str>, resource: &Resource) -> Result<Vec<(ResourceId, Option<Each>)>, Diagnostic> {
        let Some(for_each) = &resource.for_each else {
            return Ok(vec![(ResourceId::plain(Arc::clone(name)), None)]);
        };
        let value = for_each.eval(&self.scope(None), &mut Vec::new())?;
        let secret = value.has_secret();
        let Some(json) = value.reveal() else {
            return Err(Diagnostic::error(
                "for-each-unknown",
                format!("`for_each` of `{name}` is known only after apply"),
            )
            .at(&for_each.span, "not known yet")
            .help(
                "the keys must be known at plan: use a variable, or deploy what it refers to first with `--target`",
            ));
        };
        if secret {
            return Err(
                Diagnostic::error("for-each-secret", format!("`for_each` of `{name}` holds a secret"))
                    .at(&for_each.span, "its keys would show it"),
            );
        }
        let wrong_at = |what: &str, part: &str| {
            Diagnostic::error("for-each", format!("`for_each` of `{name}` {what}"))
                .at(&for_each.part(part).span, "this value")
                .help("it takes a list of different strings, or a map such as `{ key: value }`")
        };
        let wrong = |what: &str| wrong_at(what, "");
        let each = |key: &str, value: Json| {
            let key: Arc<str> = key.into();
            let id = ResourceId {
                name: Arc::clone(name),
                key: Some(Arc::clone(&key)),
            };
            (
                id,
                Some(Each {
                    key,
                    value: Value::Known(value),
                }),
            )
        };
        match json {
            Json::Object(entries) => Ok(entries.into_iter().map(|(key, value)| each(&key, value)).collect()),
            Json::Array(items) => {
                let mut seen = HashSet::new();
                let mut found = Vec::with_capacity(items.len());
                for (index, item) in items.into_iter().enumerate() {
                    let wrong = |what: &str| wrong_at(what, &format!("[{index}]"));
                    let key = match &item {
                        Json::String(text) => text.clone(),
                        Json::Number(number) => number.to_string(),
                        other => {
                            let what = crate::value::json_type_name(other);
                            return Err(wrong(&format!("has a {what} in its list, which gives no key")));
                        }
                    };
                    if !seen.insert(key.clone()) {
                        return Err(wrong(&format!("has `{key}` twice")));
                    }
                    found.push(each(&key, item));
                }
                Ok(found)
            }
            Json::Null => Err(wrong("has no value")),
            other => Err(wrong(&format!("is a {}", crate::value::json_type_name(&other)))),
        }
    }

    fn instance(&mut self, index: usize, resource: &Resource, id: ResourceId, each: Option<Each>) {
        match self.exists(resource, each.as_ref()) {
            Ok(true) => {}
            Ok(false) => return,
            Err(problem) => return self.problems.push(problem),
        }
        self.desired.insert(id.clone());
        // Whatever is found wrong below, what refers to it is not also at fault.
        self.outputs.set(&id, Value::Unknown);
        let mut needs = Vec::new();
        let inputs = match resource.inputs.eval(&self.scope(each.as_ref()), &mut needs) {
            Ok(inputs) => resource.kind.inputs.complete(inputs),
            Err(problem) => return self.problems.push(problem),
        };
        for need in &resource.depends_on {
            let other = self.ask.stack.resources.get(&need.name);
            let repeated = other.is_some_and(|other| other.for_each.is_some() && other.when.is_none());
            if need.key.is_some() && repeated && self.outputs.get(&need.value).is_none() {
                let problem = Diagnostic::error("no-instances", format!("there is no instance `{}`", need.value))
                    .at(&need.span, "needed here")
                    .help(self.instances_help(&need.name));
                return self.problems.push(problem);
            }
        }
        needs.extend(resource.depends_on.iter().map(|need| need.value.clone()));
        needs.sort_unstable();
        needs.dedup();
        let place = resource.name.span.clone();
        let found = check(resource, &inputs, &place);
        let wrong = found.has_errors();
        self.problems.extend(found.0);
        if wrong {
            return;
        }
        inputs.secrets_into(&mut self.secrets);
        let desired = Desired {
            declared: index,
            each,
            inputs,
            base: None,
            ignored: BTreeMap::new(),
            needs,
            protected: resource.prevent_destroy,
        };
        match &resource.kind.role {
            Role::Computed { compute, draws } => self.computed(resource, &id, desired, *compute, *draws, &place),
            Role::Object { .. } => self.object(resource, &id, desired, &place),
        }
    }

    fn exists(&self, resource: &Resource, each: Option<&Each>) -> Result<bool, Diagnostic> {
        let Some(when) = &resource.when else { return Ok(true) };
        match when.eval(&self.scope(each), &mut Vec::new())? {
            Value::Known(Json::Bool(exists)) | Value::Secret(Json::Bool(exists)) => Ok(exists),
            // A template gives text, also where it says a bool.
            Value::Known(Json::String(text)) if text == "true" || text == "false" => Ok(text == "true"),
            Value::Unknown => Err(Diagnostic::error(
                "when-unknown",
                format!("`when` of `{}` is known only after apply", resource.name.value),
            )
            .at(&when.span, "not known yet")
            .help("use a variable: whether something exists must be known at plan")),
            other => Err(Diagnostic::error(
                "when",
                format!(
                    "`when` of `{}` must be `true` or `false`, not {}",
                    resource.name.value,
                    match &other {
                        Value::Known(Json::String(text)) =>
                            format!("the text `{}`", crate::diagnostic::shortened(text.clone(), 40)),
                        Value::Known(Json::Null) => "nothing".to_owned(),
                        other => format!("a {}", other.type_name()),
                    }
                ),
            )
            .at(&when.span, "this value")),
        }
    }

    fn computed(
        &mut self,
        resource: &Resource,
        id: &ResourceId,
        desired: Desired,
        compute: fn(&Providers, &Json, &Token) -> crate::kind::Result<Json>,
        draws: bool,
        place: &Span,
    ) {
        let prior = self
            .state
            .objects
            .get(id)
            .filter(|object| *object.kind == *resource.kind.name);
        let changes = match prior {
            Some(prior) => diff::diff(&prior.inputs, &desired.inputs, &resource.kind.inputs, self.ask.seal),
            None => diff::all_new(&desired.inputs, self.ask.seal),
        };
        let drawn_again = draws && changes.iter().any(|change| change.replaces);
        let token = prior.filter(|_| !drawn_again).map(|object| &object.token);
        let none = Token::new("");
        let outputs = match (desired.inputs.reveal(), token) {
            (None, _) => Value::Unknown,
            (Some(_), None) if draws => Value::Unknown,
            (Some(inputs), token) => match compute(self.ask.providers, &inputs, token.unwrap_or(&none)) {
                Ok(outputs) => {
                    let outputs = Value::Known(outputs);
                    if desired.inputs.has_secret() {
                        outputs.into_secret()
                    } else {
                        outputs
                    }
                }
                Err(error) => {
                    return self.problems.push(kind_error(resource, &error, place));
                }
            },
        };
        let verb = match prior {
            None => Verb::Create,
            Some(_) if drawn_again => Verb::Replace,
            Some(_) if !changes.is_empty() => Verb::Update,
            // What it reads may have changed although what it is made from did not.
            Some(prior) if outputs.sealed(self.ask.seal).as_ref() == Some(&prior.outputs) => Verb::Keep,
            Some(_) => Verb::Update,
        };
        let because =
            (verb == Verb::Update && changes.is_empty()).then(|| "what it is computed from changed".to_owned());
        self.outputs.set(id, outputs);
        self.describe(id, prior, &desired, verb);
        self.act(id, resource.kind.name, verb, because, changes, Vec::new());
        if verb == Verb::Keep {
            return;
        }
        if prior.is_none() && self.state.objects.contains_key(id) {
            // Its type changed: the object it was has to go first.
            self.replace_kind(resource, id, desired);
            return;
        }
        let after = self.steps.after_needs(&desired.needs);
        let step = self.steps.add(id, Work::Compute(Box::new(desired)), after);
        self.steps.set_forward(id, step);
    }

    /// Takes away the object of another kind that has this address, then goes on.
    fn replace_kind(&mut self, resource: &Resource, id: &ResourceId, desired: Desired) {
        let Some(object) = self.state.objects.get(id) else {
            return;
        };
        self.refuse_protected(id, object, Some(&resource.name.span));
        let gone = self.delete(id, object, false, None, Vec::new());
        let mut after = self.steps.after_needs(&desired.needs);
        after.push(gone);
        let work = match resource.kind.role {
            Role::Computed { .. } => Work::Compute(Box::new(desired)),
            Role::Object { .. } => Work::Create(Box::new(desired)),
        };
        let step = self.steps.add(id, work, after);
        self.steps.set_forward(id, step);
    }

    fn object(&mut self, resource: &Resource, id: &ResourceId, desired: Desired, place: &Span) {
        let prior = self.state.objects.get(id);
        let seen = prior.and_then(|object| self.ask.actual.get(&object.token));
        let ignore: Vec<&str> = resource
            .ignore_changes
            .iter()
            .map(|field| field.value.as_str())
            .collect();
        let decided = decide::decide(
            resource.kind.value,
            &desired.inputs,
            &ignore,
            prior,
            seen,
            self.ask.seal,
        );
        let decision = match decided {
            Ok(decision) => decision,
            Err(error) => return self.problems.push(kind_error(resource, &error, place)),
        };
        let mut desired = desired;
        if let Some(prior) = prior {
            let left = |field: &&str| {
                let value = decision.base.get(*field).or_else(|| prior.inputs.get(*field));
                ((*field).to_owned(), value.map(from_record))
            };
            desired.ignored = ignore.iter().map(left).collect();
            desired.inputs = desired.settle(desired.inputs.clone());
            desired.base =
                (decision.base != Json::Null && decision.base != prior.inputs).then(|| decision.base.clone());
        }
        let outputs = self.outputs_after(resource, prior, seen, &decision);
        self.outputs.set(id, outputs);
        self.describe(id, prior, &desired, decision.verb);
        if let (Verb::Keep, Some(prior), Some(Seen::Ready { outputs, .. })) = (decision.verb, prior, seen) {
            self.note_observed(id, prior, &decision.base, outputs, &desired);
        }
        let Decision {
            verb,
            because,
            changes,
            drift,
            resume,
            tentative,
            ..
        } = decision;
        if verb == Verb::Replace
            && let Some(prior) = prior
        {
            self.refuse_protected(id, prior, Some(&resource.name.span));
        }
        let create_first = verb == Verb::Replace
            && self.create_first.contains(&desired.declared)
            && resume == Resume::Nothing
            && prior.is_some_and(|prior| prior.id.is_some());
        self.act(id, resource.kind.name, verb, because, changes, drift);
        if create_first && let Some(action) = self.actions.last_mut() {
            action.create_first = true;
        }
        self.object_steps(id, prior, desired, verb, resume, tentative, create_first);
    }

    fn object_steps(
        &mut self,
        id: &ResourceId,
        prior: Option<&Object>,
        desired: Desired,
        verb: Verb,
        resume: Resume,
        tentative: bool,
        create_first: bool,
    ) {
        let needs = self.steps.after_needs(&desired.needs);
        let needs_replaced = desired.needs.iter().any(|need| self.replaced.contains(need));
        let step = match (verb, prior) {
            (Verb::Keep | Verb::Delete, _) => return,
            (Verb::Update, _) => self.steps.add(id, Work::Update(Box::new(desired)), needs),
            (Verb::Create, Some(_)) if resume == Resume::Create => {
                let resumed = self
                    .steps
                    .add(id, Work::Resume(Some(Box::new(desired.clone()))), Vec::new());
                let mut after = needs;
                after.push(resumed);
                self.steps.add(id, Work::Update(Box::new(desired)), after)
            }
            (Verb::Create, _) => self.steps.add(id, Work::Create(Box::new(desired)), needs),
            (Verb::Replace, None) => self.steps.add(id, Work::Create(Box::new(desired)), needs),
            (Verb::Replace, Some(prior)) if create_first => {
                self.replaced.insert(id.clone());
                let aside = self.steps.add(id, Work::Depose, needs);
                let made = self.steps.add(id, Work::Create(Box::new(desired)), vec![aside]);
                self.delete(id, prior, true, None, vec![made]);
                made
            }
            (Verb::Replace, Some(prior)) => {
                let mut before = Vec::new();
                if resume == Resume::Create {
                    before.push(
                        self.steps
                            .add(id, Work::Resume(Some(Box::new(desired.clone()))), Vec::new()),
                    );
                }
                // It may turn out that it need not go: only if nothing it needs goes before it.
                let wait = tentative && resume == Resume::Nothing && !needs_replaced;
                if wait {
                    before.extend(&needs);
                } else {
                    self.replaced.insert(id.clone());
                }
                let may_stay = wait.then(|| Box::new(desired.clone()));
                let gone = self.delete(id, prior, false, may_stay, before);
                let mut after = needs;
                after.push(gone);
                self.steps.add(id, Work::Create(Box::new(desired)), after)
            }
        };
        self.steps.set_forward(id, step);
    }

    /// Tells what others will be able to refer to, as far as it is known.
    fn outputs_after(
        &self,
        resource: &Resource,
        prior: Option<&Object>,
        seen: Option<&Seen>,
        decision: &Decision,
    ) -> Value {
        let known = || {
            let prior = prior?;
            Some(match seen {
                Some(Seen::Ready { outputs, .. }) => {
                    outputs_value(resource.kind.value, outputs.clone(), &prior.outputs)
                }
                _ => from_record(&prior.outputs),
            })
        };
        match decision.verb {
            Verb::Keep => known().unwrap_or(Value::Unknown),
            Verb::Update => {
                let (Some(Type::Struct(fields)), Some(now)) = (Some(&resource.kind.outputs.ty), known()) else {
                    return Value::Unknown;
                };
                let after = fields.iter().map(|(name, field)| {
                    let value = if field.stable {
                        now.member(name).unwrap_or(Value::Unknown)
                    } else {
                        Value::Unknown
                    };
                    (name.clone(), value)
                });
                Value::map(after.collect())
            }
            Verb::Create | Verb::Replace | Verb::Delete => Value::Unknown,
        }
    }

    /// Takes up what the world says of an object that is kept.
    fn note_observed(&mut self, id: &ResourceId, prior: &Object, base: &Json, outputs: &Json, desired: &Desired) {
        let mut secrets = Vec::new();
        desired.inputs.secrets_into(&mut secrets);
        let Some(kind) = providers::kind(&prior.kind) else {
            return;
        };
        let outputs = outputs_value(kind, outputs.clone(), &prior.outputs).tainted(&secrets);
        let outputs = outputs.sealed(self.ask.seal).unwrap_or_default();
        let inputs = (*base != prior.inputs).then(|| base.clone());
        if inputs.is_some() || outputs != prior.outputs {
            self.records.push(Record::Observed {
                resource: id.clone(),
                token: prior.token.clone(),
                inputs,
                outputs,
            });
        }
    }

    /// Takes up what the stack says of an object without changing the object.
    fn describe(&mut self, id: &ResourceId, prior: Option<&Object>, desired: &Desired, verb: Verb) {
        if let Some(prior) = prior
            && verb == Verb::Keep
            && (prior.needs != desired.needs || prior.protected != desired.protected)
        {
            self.records.push(Record::Described {
                resource: id.clone(),
                needs: desired.needs.clone(),
                protected: desired.protected,
            });
        }
    }

    fn act(
        &mut self,
        id: &ResourceId,
        kind: &str,
        verb: Verb,
        because: Option<String>,
        changes: Vec<super::FieldChange>,
        drift: Vec<super::FieldChange>,
    ) {
        self.counts.add(verb);
        if verb == Verb::Keep && drift.is_empty() {
            self.keep.push(id.clone());
            return;
        }
        self.actions.push(Action {
            resource: id.clone(),
            kind: kind.into(),
            verb,
            because,
            create_first: false,
            changes,
            drift,
        });
    }

    fn refuse_protected(&mut self, id: &ResourceId, object: &Object, at: Option<&Span>) {
        if !object.protected {
            return;
        }
        let declared = self.ask.stack.resources.get(&id.name);
        if declared.is_some_and(|resource| !resource.prevent_destroy) {
            return;
        }
        let diagnostic = Diagnostic::error(
            "prevent-destroy",
            format!("the plan would take away `{id}`, which is protected"),
        )
        .help("take `prevent_destroy` from it and deploy that first, if it really shall go");
        self.problems
            .push(match at.or(declared.map(|resource| &resource.name.span)) {
                Some(span) => diagnostic.at(span, "`prevent_destroy` is set"),
                None => diagnostic,
            });
    }

    fn delete(
        &mut self,
        id: &ResourceId,
        object: &Object,
        successor_first: bool,
        tentative: Option<Box<Desired>>,
        after: Vec<StepIndex>,
    ) -> StepIndex {
        let work = Work::Delete {
            token: object.token.clone(),
            tentative,
        };
        let step = self.steps.add(id, work, after);
        self.going
            .insert((id.clone(), object.token.clone()), (step, successor_first));
        step
    }

    /// Plans away what is recorded and not declared, and what was put aside.
    fn leaving(&mut self, targets: &[ResourceId], scope: &BTreeSet<usize>) {
        let stays = self.untouched(targets, scope);
        let state = self.state;
        for (id, object) in &state.objects {
            if self.desired.contains(id) || stays.contains(id) {
                continue;
            }
            self.refuse_protected(id, object, None);
            let seen = self.ask.actual.get(&object.token);
            let because = match (seen, self.ask.destroy) {
                (Some(Seen::Absent), _) => Some("it is already gone".to_owned()),
                (_, true) => None,
                _ if self.ask.stack.resources.contains_key(&id.name) => {
                    Some("it is no longer among the instances".to_owned())
                }
                _ => Some("it is no longer in the stack".to_owned()),
            };
            self.act(
                id,
                &object.kind,
                Verb::Delete,
                because,
                diff::all_gone(&object.inputs),
                Vec::new(),
            );
            let mut before = Vec::new();
            if object.phase == Phase::Creating && object.id.is_none() {
                before.push(self.steps.add(id, Work::Resume(None), Vec::new()));
            }
            self.delete(id, object, false, None, before);
        }
        for (id, object) in &state.deposed {
            self.act(
                id,
                &object.kind,
                Verb::Delete,
                Some("its successor is there already".to_owned()),
                diff::all_gone(&object.inputs),
                Vec::new(),
            );
            self.delete(id, object, true, None, Vec::new());
        }
    }

    /// Finds what a target leaves alone although it is not declared.
    fn untouched(&self, targets: &[ResourceId], scope: &BTreeSet<usize>) -> HashSet<ResourceId> {
        if targets.is_empty() {
            return HashSet::new();
        }
        let aimed = |id: &ResourceId| {
            targets
                .iter()
                .any(|target| target.name == id.name && (target.key.is_none() || target == id))
        };
        let mut going: HashSet<&ResourceId> = HashSet::new();
        if self.ask.destroy {
            // What uses it must go before it.
            let mut waiting: Vec<&ResourceId> = self.state.objects.keys().filter(|id| aimed(id)).collect();
            let mut users: HashMap<&str, Vec<(&ResourceId, &ResourceId)>> = HashMap::new();
            for (user, object) in &self.state.objects {
                for need in &object.needs {
                    users.entry(&need.name).or_default().push((need, user));
                }
            }
            while let Some(id) = waiting.pop() {
                if going.insert(id) {
                    let of = users.get(&*id.name).map(Vec::as_slice).unwrap_or_default();
                    waiting.extend(
                        of.iter()
                            .filter(|(need, _)| need.key.is_none() || *need == id)
                            .map(|(_, user)| *user),
                    );
                }
            }
        } else {
            let in_scope = |id: &ResourceId| {
                self.ask
                    .stack
                    .resources
                    .get_index_of(&id.name)
                    .is_some_and(|index| scope.contains(&index))
            };
            going.extend(
                self.state
                    .objects
                    .keys()
                    .filter(|id| aimed(id) || (in_scope(id) && !targets.iter().any(|t| t.name == id.name))),
            );
        }
        self.state
            .objects
            .keys()
            .filter(|id| !going.contains(id))
            .cloned()
            .collect()
    }

    /// Orders what goes: users before what they use; and, where nothing stands against it, after what
    /// stops using it.
    fn deletions(&mut self) {
        if self.going.is_empty() {
            return;
        }
        let mut by_address: HashMap<ResourceId, Vec<(StepIndex, bool)>> = HashMap::new();
        let mut by_name: HashMap<Arc<str>, Vec<(StepIndex, bool)>> = HashMap::new();
        for ((id, _), going) in &self.going {
            by_address.entry(id.clone()).or_default().push(*going);
            by_name.entry(Arc::clone(&id.name)).or_default().push(*going);
        }
        let before = self.steps.list.len();
        let mut met: HashMap<Arc<str>, StepIndex> = HashMap::new();
        let mut wishes = Vec::new();
        let state = self.state;
        let all = state
            .objects
            .iter()
            .chain(state.deposed.iter().map(|(id, object)| (id, object)));
        for (user, object) in all {
            let gone = self
                .going
                .get(&(user.clone(), object.token.clone()))
                .map(|(step, _)| *step);
            let forward = self.steps.forward(user);
            for need in &object.needs {
                let whole = need.key.is_none() && !by_address.contains_key(need);
                let going = if whole {
                    by_name.get(&need.name)
                } else {
                    by_address.get(need)
                };
                let Some(going) = going else { continue };
                // What needs all instances waits for them at one meeting point.
                let waiting: Vec<StepIndex> = if whole {
                    let steps = &mut self.steps;
                    let point = *met.entry(Arc::clone(&need.name)).or_insert_with(|| {
                        let point = steps.add(&ResourceId::plain(Arc::clone(&need.name)), Work::Meet, Vec::new());
                        going.iter().for_each(|(step, _)| steps.after[*step].push(point));
                        point
                    });
                    vec![point]
                } else {
                    going.iter().map(|(step, _)| *step).collect()
                };
                match (gone, forward) {
                    (Some(gone), _) => {
                        for step in waiting {
                            if step != gone {
                                self.steps.after[step].push(gone);
                            }
                        }
                    }
                    (None, Some(forward)) => {
                        // It stops using what goes for good; where a successor comes, it comes after that.
                        let replaced_here = self.desired.contains(need) && going.iter().any(|(_, first)| !first);
                        if !replaced_here {
                            wishes.extend(waiting.into_iter().map(|step| (step, forward)));
                        }
                    }
                    (None, None) => {}
                }
            }
        }
        self.steps.wish(&wishes, before);
    }

    /// Evaluates what is declared, only to learn its secrets: deletions may need them.
    fn restore_wanted(&mut self) {
        let needed = self.state.objects.values().any(|object| {
            holds_mark(&object.inputs)
                && providers::kind(&object.kind).is_some_and(|kind| {
                    matches!(
                        kind.role,
                        Role::Object {
                            deletes_by_inputs: true,
                            ..
                        }
                    )
                })
        });
        if !needed {
            return;
        }
        let stack = self.ask.stack;
        for (name, resource) in &stack.resources {
            self.outputs.declare(name, resource.for_each.is_some());
        }
        for (id, object) in &self.state.objects {
            self.outputs.set(id, from_record(&object.outputs));
        }
        for (name, resource) in &stack.resources {
            // Where something cannot be told any more, the step that needs it says so.
            for (id, each) in self.instances(name, resource).unwrap_or_default() {
                if let Ok(inputs) = resource.inputs.eval(&self.scope(each.as_ref()), &mut Vec::new()) {
                    inputs.secrets_into(&mut self.secrets);
                    self.wanted.insert(id, resource.kind.inputs.complete(inputs));
                }
            }
        }
    }
}

/// Marks as secret what the type says is, and what the record holds sealed.
pub(crate) fn outputs_value(kind: &Registration, live: Json, recorded: &Json) -> Value {
    let Type::Struct(fields) = &kind.outputs.ty else {
        return Value::Known(live);
    };
    let Json::Object(entries) = live else {
        return Value::Known(live);
    };
    let marked = |name: &str| {
        fields.get(name).is_some_and(|field| field.sensitive) || recorded.get(name).is_some_and(holds_mark)
    };
    let entries = entries.into_iter().map(|(name, value)| {
        let value = if marked(&name) {
            Value::Secret(value)
        } else {
            Value::Known(value)
        };
        (name, value)
    });
    Value::map(entries.collect())
}

/// Finds what is wrong with inputs, as far as they are known.
pub(crate) fn check(resource: &Resource, inputs: &Value, place: &Span) -> Diagnostics {
    let mut found = Vec::new();
    resource.kind.inputs.check(inputs, "", &mut found);
    if found.is_empty()
        && let Some(json) = inputs.reveal()
    {
        match (resource.kind.check)(&json) {
            Ok(problems) => found.extend(problems),
            Err(error) => return kind_error(resource, &error, place).into(),
        }
    }
    let problems = found
        .iter()
        .map(|problem| crate::stack::problem(resource.kind.name, &resource.inputs, place, problem));
    Diagnostics(problems.collect())
}

/// Puts what a kind says to its place in the file.
pub(crate) fn kind_error(resource: &Resource, error: &crate::kind::Error, place: &Span) -> Diagnostic {
    let (span, label) = match &error.field {
        Some(field) => (resource.inputs.part(field).span.clone(), String::new()),
        None => (place.clone(), String::new()),
    };
    Diagnostic::error("input", error.chain())
        .at(&span, label)
        .maybe_help(error.help.clone())
}
