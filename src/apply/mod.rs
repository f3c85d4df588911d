//! Runs the steps of a plan: one loop owns state, journal and schedule; workers say what happened.
//!
//! The loop never re-plans and never leaves while work is in flight. Ready steps that have an effect
//! begin together and share one sync of the journal.

mod retry;
mod schedule;
mod worker;

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

pub use retry::Stop;
pub(crate) use retry::{Tries, silence};
pub use schedule::{Circle, Schedule};
use worker::{Failure, Job, Message, Said, Worker};

use crate::event::{Event, Listener, Running, Tally};
use crate::id::{RemoteId, ResourceId, Token};
use crate::kind::{Error, Providers, Registration, Role};
use crate::plan::{Desired, Operation, Plan, Step, StepIndex, Work};
use crate::providers;
use crate::stack::scope::Scope;
use crate::stack::{Resource, Stack};
use crate::state::journal::{Accepted, Begun, Journal};
use crate::state::{Illegal, Object, Phase, Record, State};
use crate::value::{Seal, Value, without_secrets};

/// What a run needs.
pub struct Apply<'a> {
    /// What is declared.
    pub stack: &'a Stack,
    /// What is recorded; only the loop changes it.
    pub state: &'a mut State,
    /// Where it is recorded.
    pub journal: &'a mut Journal,
    /// How secrets are recorded.
    pub seal: &'a Seal,
    /// What the kinds work on.
    pub providers: &'a Providers,
    /// The outputs of the stack it stands on.
    pub on: Option<&'a Value>,
    /// Who wants to hear.
    pub listener: Listener<'a>,
    /// How many steps may be in flight.
    pub parallelism: usize,
    /// Draws tokens.
    pub random: &'a mut (dyn FnMut(&mut [u8]) + Send),
    /// Whether the run was asked to stop.
    pub stop: Stop,
}

/// How a run went.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What was done.
    pub tally: Tally,
    /// Whether it was asked to stop.
    pub interrupted: bool,
}

/// A run that could not go on: the record cannot be kept, or the plan is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// The journal cannot be written.
    #[error("cannot write the journal `{path}`: {}", crate::disk::plain(source))]
    Journal {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A bug: the journal would say something impossible.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// A bug: steps wait for each other.
    #[error(transparent)]
    Circle(#[from] Circle),
}

/// Nothing was said for so long: say what is running.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// What the journal may hold back before it is handed to the operating system.
const MOST_UNWRITTEN: usize = 512;

impl Apply<'_> {
    /// Runs the plan to its end: everything done, failed, skipped or left for the next run.
    ///
    /// # Errors
    /// Fails when the record cannot be kept; what was in flight is then begun on disk and the next run
    /// goes on with it.
    pub async fn run(self, plan: Plan) -> Result<(Outcome, Plan), Fatal> {
        let schedule = Schedule::new(&plan.after)?;
        let (say, heard) = unbounded_channel();
        let (halt, halted) = watch::channel(*self.stop.borrow());
        let mut run = Run {
            handles: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            spared: HashSet::new(),
            outcome: Outcome::default(),
            last_said: Instant::now(),
            pure_steps: 0,
            must_sync: false,
            halted,
            ask: self,
            schedule,
            say,
            plan,
        };
        let (ended, mut heard) = run.drive(heard, &halt).await;
        if ended.is_err() {
            // Nothing can be recorded any more. Calls in flight may return; what waits stops waiting.
            halt.send_replace(true);
        }
        let Run { outcome, plan, say, .. } = run;
        drop(say);
        while heard.recv().await.is_some() {}
        ended.map(|()| (outcome, plan))
    }
}

/// A step in flight, as its journal handle has it.
enum Handle {
    Begun(Begun),
    Accepted(Accepted),
}

struct InFlight {
    since: Instant,
    operation: Operation,
    detail: Option<String>,
    /// What it will be made from, if it is made or changed.
    inputs: Option<Value>,
}

struct Run<'a> {
    ask: Apply<'a>,
    plan: Plan,
    schedule: Schedule,
    say: UnboundedSender<Message>,
    handles: BTreeMap<StepIndex, Handle>,
    in_flight: BTreeMap<StepIndex, InFlight>,
    /// Objects that need not go after all.
    spared: HashSet<ResourceId>,
    outcome: Outcome,
    last_said: Instant,
    pure_steps: usize,
    must_sync: bool,
    /// Tells the workers to stop waiting.
    halted: Stop,
}

/// What came of preparing a step.
enum Prepared {
    /// It is done already.
    Done,
    /// A worker goes on with it, once its `begin` is on disk.
    Work(Box<Worker>),
    Failed(Error),
}

impl Run<'_> {
    async fn drive(
        &mut self,
        mut heard: UnboundedReceiver<Message>,
        halt: &watch::Sender<bool>,
    ) -> (Result<(), Fatal>, UnboundedReceiver<Message>) {
        let mut stop = self.ask.stop.clone();
        let mut stopping = *stop.borrow();
        loop {
            if let Err(fatal) = self.turn(stopping) {
                return (Err(fatal), heard);
            }
            if self.in_flight.is_empty() {
                break;
            }
            let quiet = HEARTBEAT.saturating_sub(self.last_said.elapsed());
            tokio::select! {
                message = heard.recv() => {
                    let mut next = message;
                    while let Some(message) = next {
                        if let Err(fatal) = self.hear(message) {
                            return (Err(fatal), heard);
                        }
                        next = heard.try_recv().ok();
                    }
                }
                _ = stop.wait_for(|stop| *stop), if !stopping => {
                    stopping = true;
                    halt.send_replace(true);
                    let in_flight = self.in_flight.len();
                    self.tell(Event::Interrupted { in_flight });
                }
                () = retry::silence(quiet) => self.heartbeat(),
            }
        }
        self.outcome.interrupted = stopping;
        for step in self.schedule.abandon() {
            self.skipped(step, None);
        }
        (self.sync(), heard)
    }

    /// Starts what is ready and puts on disk what must be there before anyone waits.
    fn turn(&mut self, stopping: bool) -> Result<(), Fatal> {
        if !stopping {
            self.start_ready()?;
        }
        if self.must_sync { self.sync() } else { self.flush() }
    }

    fn start_ready(&mut self) -> Result<(), Fatal> {
        let mut launch = Vec::new();
        while self.in_flight.len() < self.ask.parallelism {
            let Some(step) = self.schedule.pop() else { break };
            match self.prepare(step)? {
                Prepared::Done => self.schedule.finish(step),
                Prepared::Failed(error) => self.failed(step, &error),
                Prepared::Work(worker) => launch.push(worker),
            }
        }
        if launch.is_empty() {
            return self.flush();
        }
        // All that begins now shares this sync, which also covers what it builds on.
        self.sync()?;
        for worker in launch {
            let step = &self.plan.steps[worker.step];
            let resource = step.resource.clone();
            if let Some(flight) = self.in_flight.get(&worker.step) {
                let operation = flight.operation;
                self.tell(Event::Started { resource, operation });
            }
            tokio::spawn(worker.run());
        }
        Ok(())
    }

    fn prepare(&mut self, index: StepIndex) -> Result<Prepared, Fatal> {
        let Step { resource, work } = self.plan.steps[index].clone();
        match work {
            Work::Meet => Ok(Prepared::Done),
            Work::Depose => {
                self.append(&Record::Deposed { resource })?;
                Ok(Prepared::Done)
            }
            Work::Compute(desired) => self.compute(&resource, &desired),
            Work::Create(desired) => {
                if self.ask.state.objects.contains_key(&resource) && !self.spared.contains(&resource) {
                    // The world has it no more: its successor gets a token of its own.
                    self.append(&Record::Forgotten {
                        resource: resource.clone(),
                    })?;
                }
                self.make(index, &resource, &desired)
            }
            Work::Update(desired) => self.make(index, &resource, &desired),
            Work::Resume(desired) => self.resume(index, &resource, desired.as_deref()),
            Work::Delete { token, tentative } => self.delete(index, &resource, &token, tentative.as_deref()),
        }
    }

    /// Finds the inputs of a step now that all it needs is there.
    fn inputs(&self, desired: &Desired) -> Result<Value, Error> {
        let resource = self.declared(desired)?;
        if desired.inputs.is_known() {
            return Ok(desired.inputs.clone());
        }
        let stack = crate::plan::stack_value(self.ask.stack);
        let scope = Scope {
            variables: &self.ask.stack.values,
            stack: &stack,
            on: self.ask.on,
            outputs: &self.plan.outputs,
            each: desired.each.as_ref(),
        };
        let evaluated = resource
            .inputs
            .eval(&scope, &mut Vec::new())
            .map_err(|problem| Error::invalid(problem.summary.clone()).maybe_help(problem.help))?;
        let inputs = desired.settle(resource.kind.inputs.complete(evaluated));
        if !inputs.is_known() {
            return Err(Error::failed(
                "something it needs did not become known; this is a bug in wasmctl",
            ));
        }
        let problems = crate::plan::check(resource, &inputs, &resource.name.span);
        match problems.0.into_iter().next() {
            Some(problem) => Err(Error::invalid(problem.summary).maybe_help(problem.help)),
            None => Ok(inputs),
        }
    }

    fn declared(&self, desired: &Desired) -> Result<&Resource, Error> {
        self.ask
            .stack
            .resources
            .get_index(desired.declared)
            .map(|(_, resource)| resource)
            .ok_or_else(|| Error::failed("the plan belongs to another stack; this is a bug in wasmctl"))
    }

    fn compute(&mut self, id: &ResourceId, desired: &Desired) -> Result<Prepared, Fatal> {
        let (kind, inputs) = match self.declared(desired).and_then(|resource| {
            let kind = resource.kind.value;
            self.inputs(desired).map(|inputs| (kind, inputs))
        }) {
            Ok(found) => found,
            Err(error) => return Ok(Prepared::Failed(error)),
        };
        let Role::Computed { compute, draws } = &kind.role else {
            return Ok(Prepared::Failed(Error::failed(
                "it is not computed; this is a bug in wasmctl",
            )));
        };
        let sealed = inputs.sealed(self.ask.seal).unwrap_or_default();
        let prior = self.ask.state.objects.get(id).filter(|prior| {
            *prior.kind == *kind.name
                && !(*draws
                    && crate::plan::diff(&prior.inputs, &inputs, &kind.inputs, self.ask.seal)
                        .iter()
                        .any(|change| change.replaces))
        });
        let existed = self.ask.state.objects.contains_key(id);
        let token = match prior {
            Some(prior) => prior.token.clone(),
            None => Token::draw(&mut self.ask.random),
        };
        let secret = inputs.has_secret();
        // A value's outputs are its inputs: they are only cloned where a provider must see them whole.
        let revealed = inputs.reveal().unwrap_or_default();
        let outputs = match compute(self.ask.providers, &revealed, &token) {
            Ok(outputs) => Value::Known(outputs),
            Err(error) => return Ok(Prepared::Failed(error)),
        };
        let outputs = if secret { outputs.into_secret() } else { outputs };
        let record = Record::Computed {
            resource: id.clone(),
            token,
            kind: kind.name.into(),
            inputs: sealed,
            outputs: outputs.sealed(self.ask.seal).unwrap_or_default(),
            needs: desired.needs.clone(),
        };
        self.append(&record)?;
        self.plan.outputs.set(id, outputs);
        let operation = if existed { Operation::Update } else { Operation::Create };
        self.count(operation);
        self.tell(Event::Finished {
            resource: id.clone(),
            operation,
            elapsed: Duration::ZERO,
        });
        self.pure_steps += 1;
        if self.pure_steps.is_multiple_of(MOST_UNWRITTEN) {
            self.flush()?;
        }
        Ok(Prepared::Done)
    }

    /// Makes an object, or changes the one that is there.
    fn make(&mut self, index: StepIndex, id: &ResourceId, desired: &Desired) -> Result<Prepared, Fatal> {
        let (kind, timeout, inputs) = match self.declared(desired).and_then(|resource| {
            let (kind, timeout) = (resource.kind.value, resource.timeout);
            self.inputs(desired).map(|inputs| (kind, timeout, inputs))
        }) {
            Ok(found) => found,
            Err(error) => return Ok(Prepared::Failed(error)),
        };
        let revealed = inputs.reveal().unwrap_or_default();
        match self.ask.state.objects.get(id).cloned() {
            None => {
                let token = Token::draw(&mut self.ask.random);
                let job = Job::Create {
                    secrets: secrets_of(&inputs),
                    inputs: revealed,
                    token: token.clone(),
                    resumed: false,
                    address: id.to_string(),
                    accepted: None,
                };
                self.begin(index, id, kind, timeout, Operation::Create, token, inputs, desired, job)
            }
            Some(object) => self.change(index, id, kind, timeout, &object, inputs, desired),
        }
    }

    fn change(
        &mut self,
        index: StepIndex,
        id: &ResourceId,
        kind: &'static Registration,
        timeout: Option<Duration>,
        object: &Object,
        inputs: Value,
        desired: &Desired,
    ) -> Result<Prepared, Fatal> {
        let base = desired.base.as_ref().unwrap_or(&object.inputs);
        let changes = crate::plan::diff(base, &inputs, &kind.inputs, self.ask.seal);
        let from = self.ask.seal.restored(base, &inputs);
        let to = inputs.reveal().unwrap_or_default();
        let replaces = changes
            .iter()
            .find(|change| change.replaces)
            .map(|change| format!("`{}` changes", change.path));
        let verdict = match (&kind.role, replaces, changes.is_empty()) {
            (_, Some(because), _) => Ok(crate::kind::Change::Replace { because }),
            (_, None, true) => Ok(crate::kind::Change::None),
            (Role::Object { change, .. }, None, false) => change(&from, &to),
            (Role::Computed { .. }, None, false) => Ok(crate::kind::Change::Update),
        };
        let interrupted = matches!(object.phase, Phase::Updating { .. });
        match verdict {
            Err(error) => Ok(Prepared::Failed(error)),
            Ok(crate::kind::Change::Replace { because }) => Ok(Prepared::Failed(
                Error::failed(format!(
                    "it would have to be replaced, which the plan did not say: {because}"
                ))
                .help("run it again: the plan now knows the value and will show the replacement"),
            )),
            Ok(crate::kind::Change::None) if !interrupted => {
                if object.needs != desired.needs || object.protected != desired.protected {
                    let (needs, protected) = (desired.needs.clone(), desired.protected);
                    self.append(&Record::Described {
                        resource: id.clone(),
                        needs,
                        protected,
                    })?;
                }
                let outputs = crate::value::from_record(&object.outputs);
                self.plan.outputs.set(id, outputs);
                Ok(Prepared::Done)
            }
            Ok(crate::kind::Change::None | crate::kind::Change::Update) => {
                let Some(remote) = object.id.clone() else {
                    return Ok(Prepared::Failed(Error::failed(
                        "it has no id to update it by; this is a bug in wasmctl",
                    )));
                };
                let job = Job::Update { id: remote, from, to };
                let token = object.token.clone();
                self.begin(index, id, kind, timeout, Operation::Update, token, inputs, desired, job)
            }
        }
    }

    /// Ends a creation that an earlier run began.
    fn resume(&mut self, index: StepIndex, id: &ResourceId, desired: Option<&Desired>) -> Result<Prepared, Fatal> {
        let Some(object) = self.ask.state.objects.get(id).cloned() else {
            return Ok(Prepared::Done);
        };
        let Some(kind) = providers::kind(&object.kind) else {
            return Ok(Prepared::Failed(unknown_kind(&object)));
        };
        if matches!(kind.role, Role::Computed { .. }) {
            return Ok(Prepared::Done);
        }
        let wanted = desired.and_then(|desired| self.inputs(desired).ok());
        let inputs = match &wanted {
            Some(wanted) => self.ask.seal.restored(&object.inputs, wanted),
            None => object.inputs.clone(),
        };
        let value = match wanted {
            Some(wanted) if wanted.sealed(self.ask.seal).as_ref() == Some(&object.inputs) => wanted,
            _ => Value::Known(object.inputs.clone()),
        };
        let job = Job::Create {
            secrets: secrets_of(&value),
            inputs,
            token: object.token.clone(),
            resumed: true,
            address: id.to_string(),
            accepted: object.id.clone(),
        };
        let timeout = self
            .ask
            .stack
            .resources
            .get(&id.name)
            .and_then(|resource| resource.timeout);
        let record = Record::Begin {
            resource: id.clone(),
            token: object.token.clone(),
            operation: Operation::Create,
            kind: object.kind.clone(),
            inputs: object.inputs.clone(),
            needs: object.needs.clone(),
            protected: object.protected,
        };
        self.launch(index, kind, timeout, &record, Some(value), job, object.id.is_some())
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one step")]
    fn begin(
        &mut self,
        index: StepIndex,
        id: &ResourceId,
        kind: &'static Registration,
        timeout: Option<Duration>,
        operation: Operation,
        token: Token,
        inputs: Value,
        desired: &Desired,
        job: Job,
    ) -> Result<Prepared, Fatal> {
        let record = Record::Begin {
            resource: id.clone(),
            token,
            operation,
            kind: kind.name.into(),
            inputs: inputs.sealed(self.ask.seal).unwrap_or_default(),
            needs: desired.needs.clone(),
            protected: desired.protected,
        };
        let accepted = operation == Operation::Update;
        self.launch(index, kind, timeout, &record, Some(inputs), job, accepted)
    }

    fn launch(
        &mut self,
        index: StepIndex,
        kind: &'static Registration,
        timeout: Option<Duration>,
        record: &Record,
        inputs: Option<Value>,
        job: Job,
        accepted: bool,
    ) -> Result<Prepared, Fatal> {
        let Role::Object {
            bind,
            timeout: usual,
            lasts,
            ..
        } = &kind.role
        else {
            return Ok(Prepared::Failed(Error::failed(
                "it is computed; this is a bug in wasmctl",
            )));
        };
        let Some(bound) = bind(self.ask.providers) else {
            return Ok(Prepared::Failed(Error::failed(format!(
                "the provider of {} is not connected",
                kind.name
            ))));
        };
        let of = match &job {
            Job::Create { inputs, .. } => inputs,
            Job::Update { to, .. } => to,
            Job::Delete { last, .. } => last,
        };
        // Inputs of an older version may not fit any more: the usual time then serves.
        let timeout = timeout.or_else(|| usual(of).ok()).unwrap_or(Duration::from_secs(600));
        let begun = self.ask.journal.begin(self.ask.state, record)?;
        let handle = if accepted {
            Handle::Accepted(begun.accepted_before())
        } else {
            Handle::Begun(begun)
        };
        self.handles.insert(index, handle);
        let operation = self.plan.steps[index].work.operation().unwrap_or(Operation::Update);
        let operation = match record {
            Record::Begin { operation, .. } => *operation,
            _ => operation,
        };
        self.in_flight.insert(
            index,
            InFlight {
                since: Instant::now(),
                operation,
                detail: None,
                inputs,
            },
        );
        Ok(Prepared::Work(Box::new(Worker {
            step: index,
            kind: bound,
            job,
            timeout,
            lasts: *lasts,
            stop: self.halted.clone(),
            say: self.say.clone(),
        })))
    }

    fn delete(
        &mut self,
        index: StepIndex,
        id: &ResourceId,
        token: &Token,
        tentative: Option<&Desired>,
    ) -> Result<Prepared, Fatal> {
        let current = self.ask.state.objects.get(id).filter(|object| object.token == *token);
        let put_aside = || {
            self.ask
                .state
                .deposed
                .iter()
                .find(|(_, object)| object.token == *token)
                .map(|(_, object)| object)
        };
        let Some(object) = current.or_else(put_aside).cloned() else {
            // A creation that was resumed and found nothing leaves nothing to take away.
            return Ok(Prepared::Done);
        };
        if let Some(desired) = tentative {
            match self.must_go(&object, desired) {
                Ok(true) => {}
                Ok(false) => {
                    self.spared.insert(id.clone());
                    return Ok(Prepared::Done);
                }
                Err(error) => return Ok(Prepared::Failed(error)),
            }
        }
        let Some(kind) = providers::kind(&object.kind) else {
            return Ok(Prepared::Failed(unknown_kind(&object)));
        };
        let gone = match (&kind.role, &object.id) {
            (Role::Computed { .. }, _) | (_, None) => true,
            (Role::Object { lasts, .. }, Some(_)) => !lasts,
        };
        let record = Record::Begin {
            resource: id.clone(),
            token: token.clone(),
            operation: Operation::Delete,
            kind: object.kind.clone(),
            inputs: Json::Null,
            needs: Vec::new(),
            protected: false,
        };
        if gone {
            if matches!(kind.role, Role::Computed { .. }) {
                self.append(&Record::Forgotten { resource: id.clone() })?;
            } else {
                let begun = self.ask.journal.begin(self.ask.state, &record)?;
                self.ask
                    .journal
                    .settled(self.ask.state, begun.accepted_before(), None, None)?;
            }
            self.count(Operation::Delete);
            self.tell(Event::Finished {
                resource: id.clone(),
                operation: Operation::Delete,
                elapsed: Duration::ZERO,
            });
            self.pure_steps += 1;
            if self.pure_steps.is_multiple_of(MOST_UNWRITTEN) {
                self.flush()?;
            }
            return Ok(Prepared::Done);
        }
        let last = match self.plan.wanted.get(id) {
            Some(wanted) => self.ask.seal.restored(&object.inputs, wanted),
            None => object.inputs.clone(),
        };
        if matches!(
            kind.role,
            Role::Object {
                deletes_by_inputs: true,
                ..
            }
        ) && crate::value::holds_mark(&last)
        {
            return Ok(Prepared::Failed(
                Error::failed("taking it away needs a secret that is not recorded")
                    .help("give the sensitive variables the values they had, for example `WASMCTL_VAR_name=…`"),
            ));
        }
        let remote = object.id.clone().unwrap_or_else(|| RemoteId::new(""));
        let timeout = self
            .ask
            .stack
            .resources
            .get(&id.name)
            .and_then(|resource| resource.timeout);
        self.launch(
            index,
            kind,
            timeout,
            &record,
            None,
            Job::Delete { id: remote, last },
            true,
        )
    }

    /// Decides about a replacement that rested on a value known only now.
    fn must_go(&self, object: &Object, desired: &Desired) -> Result<bool, Error> {
        let resource = self.declared(desired)?;
        let inputs = self.inputs(desired)?;
        let base = desired.base.as_ref().unwrap_or(&object.inputs);
        let changes = crate::plan::diff(base, &inputs, &resource.kind.inputs, self.ask.seal);
        if changes.iter().any(|change| change.replaces) {
            return Ok(true);
        }
        let Role::Object { change, .. } = &resource.kind.role else {
            return Ok(true);
        };
        let from = self.ask.seal.restored(base, &inputs);
        let to = inputs.reveal().unwrap_or_default();
        Ok(matches!(change(&from, &to)?, crate::kind::Change::Replace { .. }))
    }

    fn hear(&mut self, message: Message) -> Result<(), Fatal> {
        let step = message.step;
        let resource = self.plan.steps[step].resource.clone();
        let Some(flight) = self.in_flight.get_mut(&step) else {
            return Ok(());
        };
        let (operation, since) = (flight.operation, flight.since);
        match message.what {
            Said::Accepted(id) => {
                if let Some(Handle::Begun(begun)) = self.handles.remove(&step) {
                    let accepted = self.ask.journal.accepted(self.ask.state, begun, &id)?;
                    self.handles.insert(step, Handle::Accepted(accepted));
                    self.must_sync = true;
                }
                self.tell(Event::Accepted { resource, id });
            }
            Said::Pending(detail) => {
                flight.detail = Some(detail.clone());
                self.tell(Event::Pending {
                    resource,
                    operation,
                    detail,
                    elapsed: since.elapsed(),
                });
            }
            Said::Retrying { error, attempt, after } => {
                let error = without_secrets(&error, &self.plan.secrets);
                flight.detail = Some(error.clone());
                self.tell(Event::Retrying {
                    resource,
                    operation,
                    error,
                    attempt,
                    after,
                });
            }
            Said::Done(result) => {
                let flight = self.in_flight.remove(&step);
                let handle = self.handles.remove(&step);
                self.must_sync = false;
                match (result, handle) {
                    (Ok(outputs), Some(Handle::Accepted(accepted))) => {
                        self.settle(&resource, accepted, flight.and_then(|flight| flight.inputs), outputs)?;
                        self.count(operation);
                        self.tell(Event::Finished {
                            resource,
                            operation,
                            elapsed: since.elapsed(),
                        });
                        self.schedule.finish(step);
                    }
                    (Err(Failure::Left), handle) => {
                        handle.into_iter().for_each(Handle::leave);
                        self.skipped(step, None);
                        for waiting in self.schedule.fail(step) {
                            self.skipped(waiting, None);
                        }
                    }
                    (Err(Failure::Refused(error)), Some(Handle::Begun(begun))) => {
                        let said = without_secrets(&error.chain(), &self.plan.secrets);
                        self.ask.journal.failed(self.ask.state, begun, said)?;
                        if matches!(self.plan.steps[step].work, Work::Resume(_)) {
                            // What an earlier run began never came to be: what follows makes it anew.
                            self.schedule.finish(step);
                        } else {
                            self.failed(step, &error);
                        }
                    }
                    (Err(Failure::Refused(error) | Failure::Open(error)), handle) => {
                        handle.into_iter().for_each(Handle::leave);
                        self.failed(step, &error);
                    }
                    (Ok(_), handle) => {
                        handle.into_iter().for_each(Handle::leave);
                        self.failed(
                            step,
                            &Error::failed("it was done before it was accepted; this is a bug in wasmctl"),
                        );
                    }
                }
            }
        }
        Ok(())
    }

    fn settle(
        &mut self,
        id: &ResourceId,
        accepted: Accepted,
        inputs: Option<Value>,
        outputs: Option<Json>,
    ) -> Result<(), Fatal> {
        let (Some(inputs), Some(outputs)) = (inputs, outputs) else {
            self.ask.journal.settled(self.ask.state, accepted, None, None)?;
            return Ok(());
        };
        let secrets = secrets_of(&inputs);
        let kind = self
            .ask
            .state
            .objects
            .get(id)
            .and_then(|object| providers::kind(&object.kind));
        let outputs = match kind {
            Some(kind) => crate::plan::outputs_value(kind, outputs, &Json::Null),
            None => Value::Known(outputs),
        };
        let outputs = outputs.tainted(&secrets);
        let sealed = outputs.sealed(self.ask.seal);
        self.ask.journal.settled(self.ask.state, accepted, None, sealed)?;
        self.plan.outputs.set(id, outputs);
        Ok(())
    }

    fn failed(&mut self, step: StepIndex, error: &Error) {
        let Step { resource, work } = &self.plan.steps[step];
        let resource = resource.clone();
        let operation = work.operation().unwrap_or(Operation::Update);
        let place = self
            .ask
            .stack
            .resources
            .get(&resource.name)
            .map(|declared| match &error.field {
                Some(field) => declared.inputs.part(field).span.to_string(),
                None => declared.name.span.to_string(),
            });
        self.outcome.tally.failed += 1;
        self.tell(Event::Failed {
            resource: resource.clone(),
            operation,
            error: without_secrets(&error.chain(), &self.plan.secrets),
            help: error.help.clone(),
            place,
        });
        for waiting in self.schedule.fail(step) {
            self.skipped(waiting, Some(resource.clone()));
        }
    }

    fn skipped(&mut self, step: StepIndex, because: Option<ResourceId>) {
        let Step { resource, work } = &self.plan.steps[step];
        let Some(operation) = work.operation() else { return };
        self.outcome.tally.skipped += 1;
        let resource = resource.clone();
        self.tell(Event::Skipped {
            resource,
            operation,
            because,
        });
    }

    fn count(&mut self, operation: Operation) {
        match operation {
            Operation::Create => self.outcome.tally.created += 1,
            Operation::Update => self.outcome.tally.updated += 1,
            Operation::Delete => self.outcome.tally.deleted += 1,
        }
    }

    fn heartbeat(&mut self) {
        let running = self
            .in_flight
            .iter()
            .map(|(step, flight)| Running {
                resource: self.plan.steps[*step].resource.clone(),
                operation: flight.operation,
                detail: flight.detail.clone(),
                elapsed: flight.since.elapsed(),
            })
            .collect();
        self.tell(Event::Waiting { running });
    }

    fn tell(&mut self, event: Event) {
        self.last_said = Instant::now();
        (self.ask.listener)(&event);
    }

    fn append(&mut self, record: &Record) -> Result<(), Fatal> {
        self.ask.journal.append(self.ask.state, record)?;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Fatal> {
        self.ask
            .journal
            .flush()
            .map_err(|source| journal_error(self.ask.journal, source))
    }

    fn sync(&mut self) -> Result<(), Fatal> {
        self.must_sync = false;
        self.ask
            .journal
            .sync()
            .map_err(|source| journal_error(self.ask.journal, source))
    }
}

impl Handle {
    fn leave(self) {
        match self {
            Self::Begun(begun) => begun.leave(),
            Self::Accepted(accepted) => accepted.leave(),
        }
    }
}

fn secrets_of(inputs: &Value) -> Vec<String> {
    let mut secrets = Vec::new();
    inputs.secrets_into(&mut secrets);
    secrets
}

fn journal_error(journal: &Journal, source: io::Error) -> Fatal {
    Fatal::Journal {
        path: journal.path().display().to_string(),
        source,
    }
}

fn unknown_kind(object: &Object) -> Error {
    let error = Error::failed(format!("this wasmctl does not know the kind {}", object.kind));
    let family = object.kind.split('/').next().unwrap_or_default();
    match providers::left_out(family) {
        Some(feature) => error.help(format!(
            "it was built without `{family}`; build it with `--features {feature}`"
        )),
        None => error.help("use the version of wasmctl that made it"),
    }
}
