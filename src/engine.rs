//! Load → plan → apply → destroy, top to bottom. Start reading here.
//!
//! ```text
//! stack.yaml ─load─▶ Stack ────────────┐ desired
//! state.json + journal ─read─▶ State ──┤ prior    ─plan::build─▶ Plan ─apply─▶ journal ─▶ State ─▶ .env
//!            State ─look─▶ Actual ─────┘ actual                    │
//!                                                                  └─▶ Event ─▶ ui
//! ```

mod look;
mod report;
mod saved;
pub mod surgery;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value as Json;

pub use report::{Health, Report, Row};
pub use saved::SavedPlan;

use crate::apply::{Apply, Fatal, Outcome, Stop};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::dotenv;
use crate::event::{Event, Listener, Tally};
use crate::id::{Lineage, ResourceId, Serial, hex};
use crate::kind::{Error as KindError, Project, Providers};
use crate::plan::{self, Actual, Ask, Plan};
use crate::providers;
use crate::stack::catalog::TemplateFiles;
use crate::stack::scope::{Outputs, Scope};
use crate::stack::{self, Load, Stack};
use crate::state::file::{self, Folder, Lock, Opened};
use crate::state::journal::{Journal, Seam};
use crate::state::{LastRun, Record, State};
use crate::value::{Seal, Value, from_record};

/// What a command asks the engine for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The command, for the lock and the events.
    pub command: &'static str,
    /// The project folder, absolute.
    pub root: PathBuf,
    /// A name, a folder or a file.
    pub stack: String,
    /// The environment.
    pub env: String,
    /// Files of variables.
    pub var_files: Vec<PathBuf>,
    /// Variables from the environment.
    pub ambient: Vec<(String, String)>,
    /// Variables from the command line.
    pub vars: Vec<(String, String)>,
    /// The only resources to touch, with what they need; all if empty.
    pub targets: Vec<ResourceId>,
    /// Whether to look at the world before planning.
    pub refresh: bool,
    /// How many steps may be in flight.
    pub parallelism: usize,
    /// The `.env` to write; the project's if not set.
    pub dotenv: Option<PathBuf>,
    /// What commands of a stack find in their environment.
    pub passed_on: Vec<(String, String)>,
    /// Where a test stops the process.
    pub seam: Option<Seam>,
    /// Makes what is drawn repeatable, for tests.
    pub seed: Option<u64>,
    /// The time, in tests.
    pub now: Option<String>,
}

impl Request {
    fn dotenv(&self) -> PathBuf {
        self.dotenv
            .as_ref()
            .map_or_else(|| self.root.join(".env"), |path| self.root.join(path))
    }

    fn now(&self) -> String {
        self.now.clone().unwrap_or_else(|| {
            let now = jiff::Timestamp::now();
            now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
        })
    }

    fn random(&self) -> impl FnMut(&mut [u8]) + Send + use<> {
        let mut seed = self.seed;
        move |bytes: &mut [u8]| match &mut seed {
            Some(seed) => {
                // Splitmix64: repeatable, and good enough to tell tokens apart in a test.
                for byte in bytes {
                    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
                    let mut mixed = *seed;
                    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                    *byte = (mixed >> 56) as u8;
                }
            }
            // Without random numbers tokens would repeat, and objects be taken for others.
            None => getrandom::fill(bytes).expect("the operating system gives random numbers"),
        }
    }
}

/// Why a command could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something in the files, or the plan, is wrong.
    #[error(transparent)]
    Diagnostics(#[from] Diagnostics),
    /// The state cannot be used.
    #[error(transparent)]
    State(#[from] file::Error),
    /// A provider cannot be used, or an object cannot be looked at.
    #[error("{what}: {}", source.chain())]
    Provider {
        /// What was tried.
        what: String,
        /// Why not.
        source: Box<KindError>,
    },
    /// The run broke off.
    #[error(transparent)]
    Fatal(#[from] Fatal),
    /// `.env` cannot be used.
    #[error(transparent)]
    Dotenv(#[from] dotenv::Error),
    /// It is not allowed, or makes no sense.
    #[error("{summary}")]
    Refused {
        /// What is wrong.
        summary: String,
        /// What to do.
        help: Option<String>,
    },
}

impl Error {
    fn refused(summary: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Refused {
            summary: summary.into(),
            help: Some(help.into()),
        }
    }

    /// Says what to do.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::State(error) => error.help(),
            Self::Provider { source, .. } => source.help.clone(),
            Self::Refused { help, .. } => help.clone(),
            Self::Fatal(Fatal::Journal { source, .. }) if source.kind() == std::io::ErrorKind::StorageFull => Some(
                "free some space and run it again: what is recorded is intact, and the next run goes on".to_owned(),
            ),
            Self::Fatal(Fatal::Journal { .. }) => {
                Some("what is recorded is intact, and the next run goes on".to_owned())
            }
            Self::Fatal(_) => Some("this is a bug in wasmctl; what is recorded is intact".to_owned()),
            Self::Dotenv(_) | Self::Diagnostics(_) => None,
        }
    }

    /// Whether it can only be a mistake in wasmctl.
    #[must_use]
    pub fn is_bug(&self) -> bool {
        matches!(self, Self::Fatal(Fatal::Illegal(_) | Fatal::Circle(_)))
    }
}

/// A plan and what it was made from.
pub struct Planned {
    /// What is declared.
    pub stack: Stack,
    /// What would be done.
    pub plan: Plan,
    /// What is recorded; `None` before the first deploy.
    pub state: Option<State>,
    /// What was found in the world.
    pub actual: Actual,
    /// What is worth knowing: warnings and recoveries.
    pub notices: Vec<Diagnostic>,
    /// Whether everything shall go.
    pub destroy: bool,
    seal: Seal,
    providers: Providers,
    on: Option<Value>,
}

impl Planned {
    /// Whether applying it changes nothing, not even the record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.plan.is_empty() && self.plan.records.is_empty()
    }

    /// Whether it differs from what is: the exit code of `plan --detailed-exitcode`.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        !self.plan.is_empty() || self.plan.actions.iter().any(|action| !action.drift.is_empty())
    }

    /// Evaluates the outputs of the stack as far as they are known.
    #[must_use]
    pub fn outputs(&self) -> BTreeMap<String, Value> {
        evaluate_outputs(&self.stack, &self.plan.outputs, self.on.as_ref())
    }

    /// Returns the outputs of a resource as far as they are known.
    #[must_use]
    pub fn resource_outputs(&self, id: &ResourceId) -> Option<&Value> {
        self.plan.outputs.get(id)
    }
}

/// Loads the stack of a request.
///
/// # Errors
/// Returns all that is wrong with it.
pub fn load(request: &Request, need_values: bool) -> Result<(Stack, Diagnostics), Diagnostics> {
    stack::load(&Load {
        root: &request.root,
        stack: &request.stack,
        env: &request.env,
        var_files: &request.var_files,
        ambient: &request.ambient,
        vars: &request.vars,
        need_values,
    })
}

/// Plans a deploy or a destroy without changing anything, neither on disk nor in the world.
///
/// # Errors
/// Returns all that stands against it.
pub async fn plan(request: &Request, destroy: bool, listener: Listener<'_>) -> Result<Planned, Error> {
    let (stack, warnings) = load_for(request, destroy)?;
    let folder = Folder::of(&request.root, &stack.name, &stack.env);
    let opened = folder.read()?;
    make_plan(request, stack, warnings, opened.as_ref(), destroy, listener).await
}

/// Brings the world to what the stack declares.
///
/// `approve` is shown the plan; nothing is changed unless it agrees.
///
/// # Errors
/// Says why it cannot be done. What was done until then is recorded, and the next run goes on.
pub async fn deploy(
    request: &Request,
    saved: Option<&SavedPlan>,
    listener: Listener<'_>,
    stop: Stop,
    approve: &mut (dyn FnMut(&Planned) -> bool + Send),
) -> Result<Report, Error> {
    run(request, saved, false, listener, stop, approve).await
}

/// Takes away all that was deployed.
///
/// # Errors
/// As [`deploy`].
pub async fn destroy(
    request: &Request,
    listener: Listener<'_>,
    stop: Stop,
    approve: &mut (dyn FnMut(&Planned) -> bool + Send),
) -> Result<Report, Error> {
    run(request, None, true, listener, stop, approve).await
}

async fn run(
    request: &Request,
    saved: Option<&SavedPlan>,
    destroy: bool,
    listener: Listener<'_>,
    stop: Stop,
    approve: &mut (dyn FnMut(&Planned) -> bool + Send),
) -> Result<Report, Error> {
    let begun = Instant::now();
    // Bad input changes nothing: the files are read before anything is locked or made.
    let (stack, warnings) = load_for(request, destroy)?;
    let folder = Folder::of(&request.root, &stack.name, &stack.env);
    if destroy && folder.read()?.is_none() {
        return nothing_to_destroy(request, &stack, begun);
    }
    if destroy {
        refuse_while_stood_on(request, &stack)?;
    }
    let lock = folder.lock(request.command, &request.now())?;
    let opened = match folder.read()? {
        Some(opened) => opened,
        None => Opened::fresh(State::new(
            draw_lineage(request),
            Arc::clone(&stack.name),
            Arc::clone(&stack.env),
        )),
    };
    let planned = make_plan(request, stack, warnings, Some(&opened), destroy, listener).await;
    let planned = match planned {
        Ok(planned) => planned,
        Err(error) => {
            leave_no_trace(&folder, &request.root, &opened, lock);
            return Err(error);
        }
    };
    if let Some(saved) = saved
        && let Err(error) = saved.check(&planned)
    {
        leave_no_trace(&folder, &request.root, &opened, lock);
        return Err(error);
    }
    if !approve(&planned) {
        leave_no_trace(&folder, &request.root, &opened, lock);
        return Ok(Report::declined(planned, begun));
    }
    if !destroy && planned.is_empty() && opened.state.last_run == LastRun::Complete && !opened.needs_writing() {
        let serial = opened.state.serial;
        write_dotenv(request, &planned.stack, &planned.outputs_for_env()?, serial, None)?;
        return Ok(Report::unchanged(planned, serial, begun));
    }
    apply(request, &folder, lock, opened, planned, listener, stop, begun).await
}

async fn apply(
    request: &Request,
    folder: &Folder,
    lock: Lock,
    opened: Opened,
    planned: Planned,
    listener: Listener<'_>,
    stop: Stop,
    begun: Instant,
) -> Result<Report, Error> {
    let (mut state, mut journal) = folder.start(&lock, opened, &request.now(), request.seam)?;
    let Planned {
        stack,
        plan,
        notices,
        destroy,
        seal,
        providers,
        on,
        ..
    } = planned;
    begin_run(&mut state, &mut journal, &stack, &plan, &providers)?;
    let serial = state.serial + 1;
    let status = if destroy { "destroying" } else { "deploying" };
    if !destroy || is_active(request, &stack)? {
        write_dotenv(request, &stack, &[], serial, Some(status))?;
    }
    let mut random = request.random();
    let ended = Apply {
        stack: &stack,
        state: &mut state,
        journal: &mut journal,
        seal: &seal,
        providers: &providers,
        on: on.as_ref(),
        listener,
        parallelism: request.parallelism,
        random: &mut random,
        stop,
    }
    .run(plan)
    .await;
    let (outcome, plan) = match ended {
        Ok(ended) => ended,
        Err(fatal) => {
            // The disk may be full; what is wrong with the journal is the better message.
            let _ = write_dotenv(request, &stack, &[], serial, Some("failed"));
            return Err(fatal.into());
        }
    };
    let outputs = evaluate_outputs(&stack, &plan.outputs, on.as_ref());
    let complete = outcome.tally.failed == 0 && !outcome.interrupted;
    let sealed = outputs
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), value.sealed(&seal)?)))
        .collect();
    let ended = Record::Ended {
        outputs: (!destroy).then_some(sealed),
        complete,
    };
    journal.append(&mut state, &ended).map_err(Fatal::from)?;
    sync(&mut journal)?;
    if destroy && complete && state.is_empty() {
        drop(journal);
        return finish_destroy(request, folder, lock, &stack, providers, outcome, notices, begun).await;
    }
    drop(journal);
    folder.rotate(&lock, &mut state)?;
    if destroy {
        if is_active(request, &stack)? {
            write_dotenv(request, &stack, &[], state.serial, Some("failed"))?;
        }
    } else if complete {
        let entries = evaluate_env(&stack, &plan.outputs, on.as_ref())?;
        write_dotenv(request, &stack, &entries, state.serial, None)?;
    } else {
        write_dotenv(request, &stack, &[], state.serial, Some("failed"))?;
    }
    Ok(Report::done(
        request.command,
        outcome,
        outputs,
        state.serial,
        notices,
        begun,
    ))
}

/// Records what stands before the first step: the run itself, accounts, moves, what was observed.
fn begin_run(
    state: &mut State,
    journal: &mut Journal,
    stack: &Stack,
    plan: &Plan,
    connected: &Providers,
) -> Result<(), Error> {
    let on = stack.on.as_ref().map(|on| on.value.clone());
    let mut append = |record: &Record| journal.append(state, record).map_err(Fatal::from);
    append(&Record::Started { on })?;
    for record in &plan.records {
        append(record)?;
    }
    for (name, provider) in connected {
        if let Some(account) = provider.account() {
            append(&Record::Account {
                provider: (*name).to_owned(),
                account,
            })?;
        }
    }
    sync(journal)
}

fn sync(journal: &mut Journal) -> Result<(), Error> {
    journal.sync().map_err(|source| {
        Error::Fatal(Fatal::Journal {
            path: journal.path().display().to_string(),
            source,
        })
    })
}

async fn finish_destroy(
    request: &Request,
    folder: &Folder,
    lock: Lock,
    stack: &Stack,
    connected: Providers,
    outcome: Outcome,
    notices: Vec<Diagnostic>,
    begun: Instant,
) -> Result<Report, Error> {
    let mut left = Vec::new();
    for (name, provider) in &connected {
        match provider.sweep().await {
            Ok(found) => left.extend(found),
            Err(error) => left.push(format!("{name}: could not be swept: {}", error.chain())),
        }
    }
    if is_active(request, stack)? {
        dotenv::remove(&request.dotenv())?;
    }
    drop(connected);
    folder.remove(&request.root, lock)?;
    Ok(Report::destroyed(request.command, outcome, left, notices, begun))
}

fn nothing_to_destroy(request: &Request, stack: &Stack, begun: Instant) -> Result<Report, Error> {
    if is_active(request, stack)? {
        dotenv::remove(&request.dotenv())?;
    }
    let notice = Diagnostic::warning(
        "not-deployed",
        format!("`{}` is not deployed in `{}`", stack.name, stack.env),
    );
    Ok(Report::destroyed(
        request.command,
        Outcome::default(),
        Vec::new(),
        vec![notice],
        begun,
    ))
}

/// A run that did nothing leaves no folder behind where there was none.
fn leave_no_trace(folder: &Folder, root: &Path, opened: &Opened, lock: Lock) {
    if opened.is_fresh() {
        let _ = folder.remove(root, lock);
    }
}

fn load_for(request: &Request, destroy: bool) -> Result<(Stack, Diagnostics), Error> {
    match load(request, !destroy) {
        Ok(loaded) => Ok(loaded),
        Err(problems) if destroy => {
            // What is deployed can be taken away from its record alone.
            let name = request
                .stack
                .trim_end_matches('/')
                .rsplit('/')
                .next()
                .unwrap_or_default();
            let recorded = crate::id::is_folder_name(name)
                && crate::id::is_folder_name(&request.env)
                && Folder::of(&request.root, name, &request.env).read()?.is_some();
            if !recorded {
                return Err(problems.into());
            }
            let why = problems
                .0
                .first()
                .map(|problem| problem.summary.clone())
                .unwrap_or_default();
            let warning = Diagnostic::warning("stack-unusable", format!("the stack file cannot be used ({why})"))
                .help("everything is taken away by what is recorded");
            Ok((Stack::only_recorded(name, &request.env), warning.into()))
        }
        Err(problems) => Err(problems.into()),
    }
}

async fn make_plan(
    request: &Request,
    stack: Stack,
    warnings: Diagnostics,
    opened: Option<&Opened>,
    destroy: bool,
    listener: Listener<'_>,
) -> Result<Planned, Error> {
    let state = match opened {
        Some(opened) => Cow::Borrowed(&opened.state),
        None => Cow::Owned(State::new(
            Lineage::new("new"),
            Arc::clone(&stack.name),
            Arc::clone(&stack.env),
        )),
    };
    let mut notices = warnings.0;
    for text in opened.map(|opened| opened.notices.as_slice()).unwrap_or_default() {
        notices.push(Diagnostic::warning("state", text.clone()));
    }
    let seal = Seal::of(&state.lineage);
    let on = lower_outputs(request, &stack, destroy)?;
    let providers = connect(request, &stack, &state, on.as_ref()).await?;
    refuse_other_accounts(&state, &providers)?;
    let actual = if request.refresh {
        look::at_the_world(&state, &providers, listener).await?
    } else {
        Actual::new()
    };
    let mut plan = plan::build(&Ask {
        stack: &stack,
        state: &state,
        actual: &actual,
        on: on.as_ref(),
        providers: &providers,
        seal: &seal,
        targets: &request.targets,
        destroy,
    })?;
    notices.append(&mut plan.warnings);
    listener(&Event::Planned { counts: plan.counts });
    let state = opened.map(|opened| opened.state.clone());
    let planned = Planned {
        stack,
        plan,
        state,
        actual,
        notices,
        destroy,
        seal,
        providers,
        on,
    };
    if !destroy {
        // What cannot be told or written is better known before anything is made.
        let mut problems = Diagnostics::default();
        problems.extend(planned.wrong_outputs());
        if let Err(Error::Diagnostics(more)) = planned.outputs_for_env() {
            problems.extend(more.0);
        }
        problems.sort(&planned.stack.sources);
        problems.into_result(())?;
    }
    Ok(planned)
}

impl Planned {
    /// Finds the outputs of the stack that lead nowhere.
    fn wrong_outputs(&self) -> Vec<Diagnostic> {
        let stack_value = plan::stack_value(&self.stack);
        let scope = Scope {
            variables: &self.stack.values,
            stack: &stack_value,
            on: self.on.as_ref(),
            outputs: &self.plan.outputs,
            each: None,
        };
        let outputs = self.stack.outputs.values();
        outputs
            .filter_map(|expr| expr.eval(&scope, &mut Vec::new()).err())
            .collect()
    }

    fn outputs_for_env(&self) -> Result<dotenv::Entries, Error> {
        evaluate_env(&self.stack, &self.plan.outputs, self.on.as_ref())
    }
}

/// Connects the providers that the stack and the record need.
async fn connect(request: &Request, stack: &Stack, state: &State, on: Option<&Value>) -> Result<Providers, Error> {
    let project = Project {
        root: request.root.clone(),
        stack: Arc::clone(&stack.name),
        env: Arc::clone(&stack.env),
        lineage: state.lineage.clone(),
        passed_on: request.passed_on.clone(),
        templates: Arc::new(TemplateFiles::new(&request.root)),
    };
    let mut needed: Vec<&str> = stack
        .resources
        .values()
        .map(|resource| resource.kind.provider)
        .collect();
    let recorded = state
        .objects
        .values()
        .chain(state.deposed.iter().map(|(_, object)| object));
    needed.extend(
        recorded
            .filter_map(|object| providers::kind(&object.kind))
            .map(|kind| kind.provider),
    );
    needed.sort_unstable();
    needed.dedup();
    if !request.refresh && request.command == "plan" {
        // Neither network nor credentials: only what computes on this machine.
        needed.retain(|name| *name == "std");
    }
    let mut connected = Providers::new();
    for name in needed {
        let Some(provider) = providers::provider(name) else {
            continue;
        };
        let config = match stack.providers.get(name) {
            Some(expr) => {
                let outputs = Outputs::default();
                let stack_value = plan::stack_value(stack);
                let scope = Scope {
                    variables: &stack.values,
                    stack: &stack_value,
                    on,
                    outputs: &outputs,
                    each: None,
                };
                let value = expr.eval(&scope, &mut Vec::new()).map_err(Diagnostics::from)?;
                value.reveal().unwrap_or_default()
            }
            None => Json::Object(serde_json::Map::new()),
        };
        let made = (provider.connect)(config, project.clone())
            .await
            .map_err(|source| Error::Provider {
                what: format!("cannot connect the provider `{name}`"),
                source: Box::new(source),
            })?;
        connected.insert(provider.name, made);
    }
    Ok(connected)
}

fn refuse_other_accounts(state: &State, connected: &Providers) -> Result<(), Error> {
    for (name, provider) in connected {
        if let (Some(recorded), Some(now)) = (state.accounts.get(*name), provider.account())
            && *recorded != now
        {
            return Err(Error::refused(
                format!(
                    "`{}` was deployed to {recorded}, but the credentials in use belong to {now}",
                    state.stack
                ),
                "use the credentials it was deployed with, or another `--env` for another account",
            ));
        }
    }
    Ok(())
}

/// Reads the outputs of the stack that this one stands on.
fn lower_outputs(request: &Request, stack: &Stack, destroy: bool) -> Result<Option<Value>, Error> {
    let Some(on) = &stack.on else { return Ok(None) };
    let lower = Folder::of(&request.root, &on.value, &stack.env).read()?;
    match lower {
        Some(opened) if opened.state.last_run == LastRun::Complete => {
            Ok(Some(from_record(&Json::Object(opened.state.outputs.clone()))))
        }
        _ if destroy => Ok(Some(Value::Unknown)),
        Some(_) => Err(Diagnostics::from(
            Diagnostic::error("on", format!("the last deploy of `{}` did not end well", on.value))
                .at(&on.span, "this stack stands on it")
                .help(format!("run `wasmctl deploy {}` again first", on.value)),
        )
        .into()),
        None => Err(Diagnostics::from(
            Diagnostic::error("on", format!("`{}` is not deployed in `{}`", on.value, stack.env))
                .at(&on.span, "this stack stands on it")
                .help(format!("run `wasmctl deploy {} --env {}` first", on.value, stack.env)),
        )
        .into()),
    }
}

/// A stack that others stand on goes last.
fn refuse_while_stood_on(request: &Request, stack: &Stack) -> Result<(), Error> {
    let top = request.root.join(".wasmctl");
    let mut standing = Vec::new();
    for entry in std::fs::read_dir(&top).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == *stack.name || !crate::id::is_folder_name(&name) {
            continue;
        }
        if let Some(opened) = Folder::of(&request.root, &name, &stack.env).read()?
            && opened.state.on.as_deref() == Some(&*stack.name)
            && !opened.state.is_empty()
        {
            standing.push(name);
        }
    }
    if standing.is_empty() {
        return Ok(());
    }
    standing.sort_unstable();
    Err(Error::refused(
        format!("`{}` cannot go: {} stands on it", stack.name, standing.join(", ")),
        format!("run `wasmctl destroy {}` first", standing[0]),
    ))
}

fn draw_lineage(request: &Request) -> Lineage {
    let mut bytes = [0_u8; 16];
    // The lineage is drawn from another place of the seed than the tokens.
    let mut random = Request {
        seed: request.seed.map(|seed| seed ^ 0x5eed),
        ..request.clone()
    }
    .random();
    random(&mut bytes);
    Lineage::new(hex(&bytes))
}

fn evaluate_outputs(stack: &Stack, outputs: &Outputs, on: Option<&Value>) -> BTreeMap<String, Value> {
    let stack_value = plan::stack_value(stack);
    let scope = Scope {
        variables: &stack.values,
        stack: &stack_value,
        on,
        outputs,
        each: None,
    };
    // What failed has no outputs; what refers to it says nothing.
    stack
        .outputs
        .iter()
        .filter_map(|(name, expr)| Some((name.clone(), expr.eval(&scope, &mut Vec::new()).ok()?)))
        .collect()
}

/// Evaluates what `.env` says of a stack, as far as it is known.
fn evaluate_env(stack: &Stack, outputs: &Outputs, on: Option<&Value>) -> Result<dotenv::Entries, Error> {
    let stack_value = plan::stack_value(stack);
    let scope = Scope {
        variables: &stack.values,
        stack: &stack_value,
        on,
        outputs,
        each: None,
    };
    let mut entries = Vec::new();
    let mut problems = Diagnostics::default();
    for (name, expr) in &stack.env_entries {
        let value = match expr.eval(&scope, &mut Vec::new()) {
            Ok(value) => value,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        if value.has_secret() {
            problems.push(
                Diagnostic::error("env-secret", format!("the entry `{name}` of `env` holds a secret"))
                    .at(&expr.span, "secret")
                    .help("`.env` never holds secrets; read it with `wasmctl output NAME --show-secrets` where it is needed"),
            );
            continue;
        }
        let text = match value.reveal() {
            None => continue,
            Some(Json::String(text)) => text,
            Some(Json::Null) => String::new(),
            Some(other) => other.to_string(),
        };
        let upper = name.to_ascii_uppercase();
        match dotenv::line(&upper, &text) {
            Ok(_) => entries.push((upper, text)),
            Err(error) => problems.push(
                Diagnostic::error("env-value", error.to_string())
                    .at(&expr.span, "this entry")
                    .help("make it an output instead: `wasmctl output NAME` prints any value as it is"),
            ),
        }
    }
    problems
        .into_result(entries)
        .map(|(entries, _)| entries)
        .map_err(Error::from)
}

/// Whether `.env` says that this deployment is the active one.
fn is_active(request: &Request, stack: &Stack) -> Result<bool, Error> {
    let entries = dotenv::read(&request.dotenv())?.unwrap_or_default();
    let says = |name: &str| {
        entries
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    Ok(says("STACK") == Some(&stack.name) && says("STACK_ENV").unwrap_or("default") == &*stack.env)
}

fn write_dotenv(
    request: &Request,
    stack: &Stack,
    more: &[(String, String)],
    serial: Serial,
    status: Option<&str>,
) -> Result<(), Error> {
    let mut entries: dotenv::Entries = vec![
        ("INFRA_FOLDER".to_owned(), stack.folder.clone()),
        ("STACK".to_owned(), stack.name.to_string()),
        ("STACK_ENV".to_owned(), stack.env.to_string()),
        ("STACK_SERIAL".to_owned(), serial.to_string()),
    ];
    entries.extend(status.map(|status| ("STACK_STATUS".to_owned(), status.to_owned())));
    entries.extend(more.iter().cloned());
    dotenv::write(&request.dotenv(), &entries)?;
    Ok(())
}

/// Adds up what runs did, for commands that make several.
#[must_use]
pub fn exit_code(tally: &Tally, interrupted: bool) -> u8 {
    if interrupted { 130 } else { u8::from(tally.failed > 0) }
}
