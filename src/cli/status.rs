//! `wasmctl status [STACK]`: how every resource stands.

use std::io::{self, Write};

use serde::Serialize;

use super::args::{DeploymentArgs, title};
use super::{Context, Exit, Failure, run};
use crate::engine::{Health, Planned, Row};
use crate::plan::Verb;
use crate::state::LastRun;
use crate::ui::{Look, clean, plural};

/// Show how every resource stands: declared, recorded, actual, drift, health
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  wasmctl status
  wasmctl status local-multi-compute --exit-code   exit 3 if something is not as it should be
  wasmctl status --json")]
pub(super) struct StatusArgs {
    /// The stack [default: the active one of `.env`]
    stack: Option<String>,
    /// Exit with 3 if something is not as it should be
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    deployment: DeploymentArgs,
}

#[derive(Serialize)]
struct Line<'a> {
    event: &'static str,
    #[serde(flatten)]
    row: &'a Row,
}

impl StatusArgs {
    pub(super) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let request = self.deployment.request(cx, "status", self.stack.as_deref())?;
        let planned = if cx.printer.is_json() {
            run::plan_silently(cx, &request)?
        } else {
            run::plan(cx, &request, false)?
        };
        let rows = planned.rows();
        if cx.printer.is_json() {
            cx.json.with(|out| {
                rows.iter().try_for_each(|row| {
                    serde_json::to_writer(&mut *out, &Line { event: "resource", row })?;
                    out.write_all(b"\n")
                })
            });
        } else {
            let mut out = cx.printer.out();
            write(&mut out, &planned, &rows, cx.printer.out_look())?;
            out.finish()?;
        }
        let well = !planned.has_changes() && rows.iter().all(|row| is_well(&row.health));
        Ok(if self.exit_code && !well {
            Exit::DIFFERENT
        } else {
            Exit::DONE
        })
    }
}

fn is_well(health: &Health) -> bool {
    matches!(health, Health::Ready | Health::Computed)
}

fn write(out: &mut impl Write, planned: &Planned, rows: &[Row], look: Look) -> io::Result<()> {
    let paint = look.paint;
    let name = title(&planned.stack.name, &planned.stack.env);
    let recorded = rows.iter().filter(|row| row.recorded).count();
    match &planned.state {
        None => writeln!(out, "{} is not deployed", paint.bold(&name))?,
        Some(state) => {
            let last = match state.last_run {
                LastRun::Never => "nothing was deployed yet",
                LastRun::Complete => "the last run was complete",
                LastRun::Incomplete => "the last run was not finished: the next deploy carries on",
            };
            writeln!(
                out,
                "{}: {} recorded, serial {}, {last}",
                paint.bold(&name),
                plural(recorded, "resource"),
                state.serial
            )?;
        }
    }
    let width = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
    let names = width(&mut rows.iter().map(|row| row.resource.to_string().chars().count()));
    let kinds = width(&mut rows.iter().map(|row| row.kind.chars().count()));
    for row in rows {
        let name = row.resource.to_string();
        write!(
            out,
            "  {}{}  {:kinds$}  ",
            paint.bold(clean(&name)),
            " ".repeat(names.saturating_sub(name.chars().count())),
            row.kind
        )?;
        let (word, detail) = health(&row.health, row.recorded);
        match &row.health {
            Health::Ready | Health::Computed => write!(out, "{}", paint.green(word))?,
            Health::Pending(_) | Health::Unseen => write!(out, "{}", paint.yellow(word))?,
            Health::Absent | Health::Broken(_) => write!(out, "{}", paint.red(word))?,
        }
        let pad = " ".repeat(8_usize.saturating_sub(word.len()));
        let mut facts: Vec<String> = Vec::new();
        facts.extend(detail.map(|detail| clean(detail).into_owned()));
        if !row.declared {
            facts.push("no longer declared".to_owned());
        }
        if !row.drift.is_empty() {
            let fields: Vec<&str> = row.drift.iter().map(|change| change.path.as_str()).collect();
            facts.push(format!("changed outside wasmctl: {}", clean(&fields.join(", "))));
        }
        facts.extend(next(row.next).map(str::to_owned));
        match facts.is_empty() {
            true => writeln!(out)?,
            false => writeln!(out, "{pad}  {}", facts.join("; "))?,
        }
    }
    Ok(())
}

fn health(health: &Health, recorded: bool) -> (&'static str, Option<&str>) {
    match health {
        Health::Ready => ("ready", None),
        Health::Computed => ("computed", None),
        Health::Absent if recorded => ("gone", None),
        Health::Absent => ("not yet", None),
        Health::Pending(detail) => ("pending", Some(detail)),
        Health::Broken(detail) => ("broken", Some(detail)),
        Health::Unseen => ("unseen", None),
    }
}

fn next(verb: Verb) -> Option<&'static str> {
    match verb {
        Verb::Keep => None,
        Verb::Create => Some("to be created"),
        Verb::Update => Some("to be updated"),
        Verb::Replace => Some("to be replaced"),
        Verb::Delete => Some("to be deleted"),
    }
}
