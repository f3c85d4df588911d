//! `wasmctl state …`: the recorded state.

use std::io::Write as _;

use serde_json::{Value as Json, json};

use super::args::{DeploymentArgs, title};
use super::{Context, Exit, Failure, run};
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::engine::{Request, surgery};
use crate::id::{BadAddress, ResourceId};
use crate::state::{Object, Phase};
use crate::ui::clean;

/// Look at the recorded state, and mend it
///
/// The state says which objects are ours. It lies in .wasmctl/STACK/ENV/ and is written by `deploy` and
/// `destroy`; these commands are for the rare case that something must be said by hand.
#[derive(Debug, clap::Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Examples:
  wasmctl state list
  wasmctl state show app
  wasmctl state mv old_name new_name"
)]
pub(super) struct StateArgs {
    #[command(subcommand)]
    command: StateCommand,
}

#[derive(Debug, clap::Subcommand)]
enum StateCommand {
    /// List what is recorded
    #[command(after_help = "Examples:\n  wasmctl state list\n  wasmctl state list local-multi-compute --json")]
    List {
        /// The stack [default: the active one of `.env`]
        stack: Option<String>,
        #[command(flatten)]
        deployment: DeploymentArgs,
    },
    /// Show what is recorded of one resource, secrets left out
    #[command(
        override_usage = "wasmctl state show [OPTIONS] [STACK] ADDRESS",
        after_help = "Examples:\n  wasmctl state show app\n  wasmctl state show my-stack 'queue[express]'"
    )]
    Show {
        /// The address of the resource, after the stack if that is not the active one
        #[arg(num_args = 1..=2, required = true, value_name = "ADDRESS")]
        words: Vec<String>,
        #[command(flatten)]
        deployment: DeploymentArgs,
    },
    /// Give a resource a new address: nothing is touched but the record
    #[command(
        override_usage = "wasmctl state mv [OPTIONS] [STACK] FROM TO",
        after_help = "Examples:\n  wasmctl state mv old_name new_name\n  wasmctl state mv my-stack 'queue[a]' 'queue[b]'"
    )]
    Mv {
        /// The old and the new address, after the stack if that is not the active one
        #[arg(num_args = 2..=3, required = true, value_name = "FROM TO")]
        words: Vec<String>,
        #[command(flatten)]
        deployment: DeploymentArgs,
    },
    /// Forget a resource: the object stays and is no longer ours
    #[command(
        override_usage = "wasmctl state rm [OPTIONS] [STACK] ADDRESS",
        after_help = "Examples:\n  wasmctl state rm app\n  wasmctl state rm my-stack 'queue[express]'"
    )]
    Rm {
        /// The address of the resource, after the stack if that is not the active one
        #[arg(num_args = 1..=2, required = true, value_name = "ADDRESS")]
        words: Vec<String>,
        #[command(flatten)]
        deployment: DeploymentArgs,
    },
    /// Take an existing object into the record as a declared resource
    #[command(
        override_usage = "wasmctl state import [OPTIONS] [STACK] ADDRESS ID",
        after_help = "Examples:\n  wasmctl state import note out/note.txt\n  wasmctl state import my-stack network vpc-0a1b2c3d"
    )]
    Import {
        /// The address and what the provider calls the object, after the stack if that is not the active one
        #[arg(num_args = 2..=3, required = true, value_name = "ADDRESS ID")]
        words: Vec<String>,
        #[command(flatten)]
        deployment: DeploymentArgs,
    },
    /// Say who holds the lock: a lock ends with its process, so there is never one to clear
    #[command(after_help = "Examples:\n  wasmctl state unlock\n  wasmctl state unlock local-multi-compute --env ci")]
    Unlock {
        /// The stack [default: the active one of `.env`]
        stack: Option<String>,
        #[command(flatten)]
        deployment: DeploymentArgs,
    },
}

impl StateArgs {
    pub(super) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        match self.command {
            StateCommand::List { stack, deployment } => {
                list(cx, &deployment.request(cx, "state list", stack.as_deref())?)
            }
            StateCommand::Show { words, deployment } => {
                let (stack, [address]) = split(&words);
                show(cx, &deployment.request(cx, "state show", stack)?, &parse(address)?)
            }
            StateCommand::Mv { words, deployment } => {
                let (stack, [from, to]) = split(&words);
                let (from, to) = (parse(from)?, parse(to)?);
                surgery::rename(&deployment.request(cx, "state mv", stack)?, &from, &to)?;
                cx.printer.say(format_args!(
                    "`{from}` is now `{to}` in the record. A `moved:` entry in the stack says the same for everyone."
                ));
                Ok(Exit::DONE)
            }
            StateCommand::Rm { words, deployment } => {
                let (stack, [address]) = split(&words);
                let (request, address) = (deployment.request(cx, "state rm", stack)?, parse(address)?);
                let id = surgery::read(&request)?
                    .objects
                    .get(&address)
                    .and_then(|object| object.id.clone());
                surgery::forget(&request, &address)?;
                let rest = id
                    .map(|id| format!(" The object itself still exists: {}", clean(id.as_str())))
                    .unwrap_or_default();
                cx.printer.say(format_args!("`{address}` is forgotten.{rest}"));
                Ok(Exit::DONE)
            }
            StateCommand::Import { words, deployment } => {
                let (stack, [address, name]) = split(&words);
                let (request, address) = (deployment.request(cx, "state import", stack)?, parse(address)?);
                run::runtime()?.block_on(surgery::import(&request, &address, name))?;
                cx.printer.say(format_args!(
                    "`{}` is recorded as `{address}`. `wasmctl plan` says how it differs from what is declared.",
                    clean(name)
                ));
                Ok(Exit::DONE)
            }
            StateCommand::Unlock { stack, deployment } => {
                unlock(cx, &deployment.request(cx, "state unlock", stack.as_deref())?)
            }
        }
    }
}

/// Takes what a command is about off the end; what stands before it is the stack.
fn split<const N: usize>(words: &[String]) -> (Option<&str>, [&str; N]) {
    let (before, rest) = words.split_at(words.len().saturating_sub(N));
    let mut taken = [""; N];
    for (place, word) in taken.iter_mut().zip(rest) {
        *place = word;
    }
    (before.first().map(String::as_str), taken)
}

fn parse(word: &str) -> Result<ResourceId, Failure> {
    word.parse()
        .map_err(|error: BadAddress| Failure::usage(error.to_string(), "`wasmctl state list` lists all addresses"))
}

fn phase(object: &Object) -> &'static str {
    match object.phase {
        Phase::Settled => "settled",
        Phase::Creating => "creating",
        Phase::Updating { .. } => "updating",
        Phase::Deleting => "deleting",
    }
}

fn list(cx: &Context, request: &Request) -> Result<Exit, Failure> {
    let state = surgery::read(request)?;
    let current = state.objects.iter().map(|(id, object)| (id, object, phase(object)));
    let deposed = state.deposed.iter().map(|(id, object)| (id, object, "replaced"));
    let all: Vec<(String, &Object, &str)> = current
        .chain(deposed)
        .map(|(id, object, phase)| (id.to_string(), object, phase))
        .collect();
    let mut out = cx.printer.out();
    if cx.printer.is_json() {
        let list: Vec<Json> = all
            .iter()
            .map(|(id, object, phase)| json!({"resource": id, "kind": object.kind, "id": object.id, "phase": phase}))
            .collect();
        writeln!(out, "{}", Json::from(list))?;
    } else {
        let paint = cx.printer.out_look().paint;
        let names = all.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0);
        let kinds = all.iter().map(|(_, object, _)| object.kind.len()).max().unwrap_or(0);
        for (name, object, phase) in &all {
            let gap = " ".repeat(names - name.chars().count());
            let id = object.id.as_ref().map(|id| id.as_str()).unwrap_or_default();
            let phase = if *phase == "settled" {
                String::new()
            } else {
                format!("  ({phase})")
            };
            let rest = format!("{:kinds$}  {}{phase}", object.kind, clean(id));
            writeln!(out, "{}{gap}  {}", paint.bold(clean(name)), rest.trim_end())?;
        }
    }
    out.finish()?;
    Ok(Exit::DONE)
}

fn show(cx: &Context, request: &Request, address: &ResourceId) -> Result<Exit, Failure> {
    let state = surgery::read(request)?;
    let Some(object) = state.objects.get(address) else {
        let known: Vec<String> = state.objects.keys().map(ToString::to_string).collect();
        let instances: Vec<String> = state
            .objects
            .keys()
            .filter(|id| id.name == address.name)
            .map(|id| format!("`{id}`"))
            .collect();
        let near = match did_you_mean(&address.to_string(), known.iter().map(String::as_str)) {
            _ if !instances.is_empty() => format!("there are {}", instances.join(", ")),
            Some(near) => format!("did you mean `{near}`?"),
            None => "`wasmctl state list` lists all addresses".to_owned(),
        };
        return Err(
            Diagnostic::error("unknown-name", format!("nothing is recorded of `{address}`"))
                .help(near)
                .into(),
        );
    };
    let shown = json!({
        "resource": address,
        "kind": object.kind,
        "id": object.id,
        "phase": phase(object),
        "needs": object.needs,
        "protected": object.protected,
        "inputs": without_marks(&object.inputs),
        "outputs": without_marks(&object.outputs),
    });
    let mut out = cx.printer.out();
    if cx.printer.is_json() {
        writeln!(out, "{shown}")?;
    } else {
        writeln!(out, "{shown:#}")?;
    }
    out.finish()?;
    Ok(Exit::DONE)
}

/// Shows the marks of secrets for what they are.
pub(super) fn without_marks(json: &Json) -> Json {
    match json {
        Json::String(text) if crate::value::is_mark(text) => Json::from("(sensitive)"),
        Json::Array(items) => items.iter().map(without_marks).collect(),
        Json::Object(entries) => entries
            .iter()
            .map(|(key, value)| (key.clone(), without_marks(value)))
            .collect(),
        other => other.clone(),
    }
}

fn unlock(cx: &Context, request: &Request) -> Result<Exit, Failure> {
    match surgery::holder(request)? {
        None => {
            cx.printer.say(format_args!(
                "Nobody is working on {}: there is no lock to clear.",
                title(&request.stack, &request.env)
            ));
            Ok(Exit::DONE)
        }
        Some(holder) => Err(
            Diagnostic::error("locked", format!("{holder} is working on this deployment"))
                .help(format!(
                    "wait for it to end, or stop it with `kill -INT {}`; its lock ends with it",
                    holder.pid
                ))
                .into(),
        ),
    }
}
