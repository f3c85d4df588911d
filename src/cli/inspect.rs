//! `wasmctl inspect APP.wasm`: what a component needs and where it can run.

use super::{Context, Exit, Failure};
use crate::serve::{self, Inspection};
use crate::units;
use clap::Args;
use std::io::Write;
use std::path::PathBuf;

/// Say what a component imports and where it can run
#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    /// The component, a .wasm file
    #[arg(value_name = "APP.wasm")]
    pub(super) app: PathBuf,
}

impl InspectArgs {
    /// Inspects and prints.
    pub(super) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let what = self.app.display().to_string();
        let bytes = std::fs::read(&self.app).map_err(|source| serve::Error::Read {
            path: self.app.clone(),
            source,
        })?;
        let inspection = serve::inspect(&what, &bytes)?;
        let mut out = cx.printer.out();
        if cx.printer.is_json() {
            serde_json::to_writer(&mut out, &inspection).map_err(std::io::Error::from)?;
            writeln!(out)?;
        } else {
            describe(&mut out, &what, &inspection)?;
        }
        out.finish()?;
        Ok(Exit::DONE)
    }
}

fn describe(out: &mut impl Write, what: &str, found: &Inspection) -> std::io::Result<()> {
    let http = if found.is_http {
        "answers HTTP requests"
    } else {
        "does not answer HTTP requests"
    };
    writeln!(out, "{what}: a component of {}, {http}", units::size(found.size as u64))?;
    writeln!(out, "sha256   {}", found.sha256)?;
    writeln!(out, "starts   with {} of memory", units::size(found.start.memory))?;
    for (title, names) in [
        ("needs", &found.needs),
        ("exports", &found.exports),
        ("imports", &found.imports),
    ] {
        for (index, name) in names.iter().enumerate() {
            writeln!(out, "{:<8} {name}", if index == 0 { title } else { "" })?;
        }
    }
    for (index, host) in found.hosts.iter().enumerate() {
        let title = if index == 0 { "runs on" } else { "" };
        if host.runs {
            writeln!(out, "{title:<8} {}", host.host)?;
        } else {
            writeln!(out, "{title:<8} not on {}: {}", host.host, host.missing.join(", "))?;
        }
    }
    Ok(())
}
