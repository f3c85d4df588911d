//! `wasmctl doctor [STACK]`: what is missing, and the command that mends it.

use std::io::Write as _;
use std::path::Path;

use serde::Serialize;

use super::args::DeploymentArgs;
use super::{Context, Exit, Failure, run};
use crate::engine::{self, Request, surgery};
use crate::state::LastRun;
use crate::ui::{clean, plural};
use crate::{dotenv, providers};

/// Find out what is missing, and the command that mends it
///
/// Looks at the project folder, `.env`, the stack files, the recorded state, and whether every provider
/// that the stack needs can be used. Changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  wasmctl doctor
  wasmctl doctor local-multi-compute
  wasmctl doctor --json")]
pub(super) struct DoctorArgs {
    /// The stack [default: the active one of `.env`, if there is one]
    stack: Option<String>,
    #[command(flatten)]
    deployment: DeploymentArgs,
}

/// One thing that was looked at.
#[derive(Serialize)]
struct Finding {
    event: &'static str,
    what: String,
    ok: bool,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

impl Finding {
    fn good(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            event: "finding",
            what: what.into(),
            ok: true,
            found: found.into(),
            help: None,
        }
    }

    fn bad(what: impl Into<String>, found: impl Into<String>, help: Option<String>) -> Self {
        Self {
            ok: false,
            help,
            ..Self::good(what, found)
        }
    }
}

impl DoctorArgs {
    pub(super) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let root = self.deployment.project.root(cx)?;
        let mut findings = vec![Finding::good(
            "wasmctl",
            format!(
                "{} with {} of {}",
                env!("CARGO_PKG_VERSION"),
                plural(providers::KINDS.len(), "kind"),
                plural(providers::PROVIDERS.len(), "provider")
            ),
        )];
        findings.push(project(&root));
        findings.push(active(&root));
        if let Ok(request) = self.deployment.request(cx, "doctor", self.stack.as_deref()) {
            look_at(cx, &request, &mut findings);
        } else {
            let missing: Vec<&str> = ["sh"]
                .into_iter()
                .filter(|name| !cx.environment.has_command(name))
                .collect();
            if !missing.is_empty() {
                findings.push(missing_commands(&missing));
            }
        }
        tell(cx, &findings)?;
        Ok(if findings.iter().all(|finding| finding.ok) {
            Exit::DONE
        } else {
            Exit::NO
        })
    }
}

fn project(root: &Path) -> Finding {
    let name = root.display().to_string();
    match tempfile_in(root) {
        Ok(()) => Finding::good("project folder", format!("{name} can be written")),
        Err(error) => Finding::bad(
            "project folder",
            format!("{name} cannot be written: {}", crate::disk::plain(&error)),
            Some(format!("chown it to you, or name another with --dir: `ls -ld {name}`")),
        ),
    }
}

/// Makes a file and takes it away again.
fn tempfile_in(root: &Path) -> std::io::Result<()> {
    let probe = root.join(format!(".wasmctl-doctor-{}", std::process::id()));
    std::fs::File::create_new(&probe)?;
    std::fs::remove_file(&probe)
}

fn active(root: &Path) -> Finding {
    match dotenv::read(&root.join(".env")) {
        Err(error) => Finding::bad(".env", error.to_string(), None),
        Ok(None) => Finding::good(".env", "names no active stack"),
        Ok(Some(entries)) => {
            let find = |name: &str| {
                entries
                    .iter()
                    .find(|(key, _)| key == name)
                    .map(|(_, value)| value.as_str())
            };
            let stack = find("STACK").unwrap_or("(none)");
            match find("STACK_STATUS") {
                None => Finding::good(".env", format!("{stack} is active")),
                Some(status) => Finding::bad(
                    ".env",
                    format!("the last run of {stack} did not end well: {status}"),
                    Some(format!("carry on: `wasmctl deploy {stack}`")),
                ),
            }
        }
    }
}

fn look_at(cx: &Context, request: &Request, findings: &mut Vec<Finding>) {
    let what = format!("stack {}", request.stack);
    let stack = match engine::load(request, true) {
        Ok((stack, _)) => stack,
        Err(problems) => {
            let first = problems.0.first();
            findings.push(Finding::bad(
                what,
                first.map_or_else(String::new, |problem| problem.summary.clone()),
                Some(format!("see all of it: `wasmctl validate {}`", request.stack)),
            ));
            return;
        }
    };
    findings.push(Finding::good(
        what,
        format!("{} declared", plural(stack.resources.len(), "resource")),
    ));
    if let Ok(Some(holder)) = surgery::holder(request) {
        findings.push(Finding::bad(
            "lock",
            format!("{holder} is working on it"),
            Some(format!("wait for it, or stop it: `kill -INT {}`", holder.pid)),
        ));
    }
    match surgery::read(request) {
        Ok(state) if state.last_run == LastRun::Incomplete => findings.push(Finding::bad(
            "state",
            "the last run was not finished",
            Some(format!("carry on: `wasmctl deploy {}`", request.stack)),
        )),
        Ok(state) => findings.push(Finding::good(
            "state",
            format!(
                "serial {}, {} recorded",
                state.serial,
                plural(state.objects.len(), "resource")
            ),
        )),
        Err(engine::Error::Refused { .. }) => findings.push(Finding::good("state", "not deployed yet")),
        Err(error) => {
            findings.push(Finding::bad("state", error.to_string(), error.help()));
            return;
        }
    }
    let uses_commands = stack
        .resources
        .values()
        .any(|resource| resource.kind.value.name == "std/command");
    if uses_commands && !cx.environment.has_command("sh") {
        findings.push(missing_commands(&["sh"]));
    }
    let mut names: Vec<&str> = stack
        .resources
        .values()
        .map(|resource| resource.kind.value.provider)
        .collect();
    names.sort_unstable();
    names.dedup();
    let what = format!("providers {}", names.join(", "));
    findings.push(match run::plan_silently(cx, request) {
        Ok(_) => Finding::good(what, "can be used"),
        Err(failure) => {
            let help = failure.diagnostics.0.first().and_then(|first| first.help.clone());
            Finding::bad(what, failure.diagnostics.to_string(), help)
        }
    });
}

fn missing_commands(names: &[&str]) -> Finding {
    Finding::bad(
        "commands",
        format!("not on the PATH: {}", names.join(", ")),
        Some("install them, or set PATH".to_owned()),
    )
}

fn tell(cx: &Context, findings: &[Finding]) -> Result<(), Failure> {
    if cx.printer.is_json() {
        findings.iter().for_each(|finding| cx.json.line(finding));
        return Ok(());
    }
    let paint = cx.printer.out_look().paint;
    let mut out = cx.printer.out();
    for finding in findings {
        let word = if finding.ok {
            paint.green("ok     ").to_string()
        } else {
            paint.red("problem").to_string()
        };
        writeln!(
            out,
            "{word}  {}: {}",
            paint.bold(clean(&finding.what)),
            clean(&finding.found)
        )?;
        if let Some(help) = &finding.help {
            writeln!(out, "         {}: {}", paint.cyan("help"), clean(help))?;
        }
    }
    out.finish()?;
    Ok(())
}
