//! `wasmctl inspect APP.wasm`: what a component needs and where it can run.

use crate::serve::{self, Inspection, units};
use clap::Args;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Say what a component imports and where it can run
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The component, a .wasm file
    #[arg(value_name = "APP.wasm")]
    pub app: PathBuf,
    /// Print one JSON object instead
    #[arg(long)]
    pub json: bool,
}

impl InspectArgs {
    /// Inspects and prints.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let what = self.app.display().to_string();
        let inspected = std::fs::read(&self.app)
            .map_err(|source| serve::Error::Read { path: self.app.clone(), source })
            .and_then(|bytes| serve::inspect(&what, &bytes));
        match inspected {
            Ok(inspection) => {
                let mut stdout = std::io::stdout().lock();
                let _ = if self.json {
                    serde_json::to_writer(&mut stdout, &inspection).map_err(Into::into).and_then(|()| writeln!(stdout))
                } else {
                    describe(&mut stdout, &what, &inspection)
                };
                ExitCode::SUCCESS
            }
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "error: {error}");
                ExitCode::FAILURE
            }
        }
    }
}

fn describe(out: &mut impl Write, what: &str, found: &Inspection) -> std::io::Result<()> {
    let http = if found.is_http { "answers HTTP requests" } else { "does not answer HTTP requests" };
    writeln!(out, "{what}: a component of {}, {http}", units::size(found.size as u64))?;
    writeln!(out, "sha256   {}", found.sha256)?;
    writeln!(out, "starts   with {} of memory", units::size(found.start.memory))?;
    for (title, names) in [("needs", &found.needs), ("exports", &found.exports), ("imports", &found.imports)] {
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
