//! `wasmctl stacks`: what can be deployed.

use std::io::Write as _;

use serde_json::json;

use super::args::ProjectArgs;
use super::{Context, Exit, Failure};
use crate::stack::{self, Load, catalog};
use crate::ui::clean;

/// List the stacks that can be deployed
///
/// Stacks lie in the folder `stacks/` of the project; those that come with wasmctl are listed too, and
/// can be deployed from any folder. A folder of the same name wins.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  wasmctl stacks
  wasmctl stacks --json | jq -r '.[].name'")]
pub(super) struct StacksArgs {
    #[command(flatten)]
    project: ProjectArgs,
}

impl StacksArgs {
    pub(super) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let root = self.project.root(cx)?;
        let stacks: Vec<(String, catalog::Found, Result<String, usize>)> = catalog::all(&root)
            .into_iter()
            .map(|(name, found)| {
                let about = about(&root, &found.file);
                (name, found, about)
            })
            .collect();
        let mut out = cx.printer.out();
        if cx.printer.is_json() {
            let list: Vec<_> = stacks
                .iter()
                .map(|(name, found, about)| {
                    json!({
                        "name": name,
                        "description": about.as_ref().ok(),
                        "folder": found.folder,
                        "compiled_in": found.compiled_in,
                        "valid": about.is_ok(),
                    })
                })
                .collect();
            writeln!(out, "{}", serde_json::Value::from(list))?;
        } else if stacks.is_empty() {
            cx.printer
                .say("There is no stack here yet: write one to stacks/NAME/stack.yaml.");
        } else {
            let paint = cx.printer.out_look().paint;
            let width = stacks.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0);
            for (name, found, about) in &stacks {
                let gap = " ".repeat(width - name.chars().count() + 2);
                let about = match about {
                    Ok(about) => clean(about).into_owned(),
                    Err(1) => "(has a problem: see `wasmctl validate`)".to_owned(),
                    Err(count) => format!("(has {count} problems: see `wasmctl validate`)"),
                };
                let origin = if found.compiled_in { "" } else { "  [this project]" };
                writeln!(out, "{}{gap}{about}{}", paint.bold(name), paint.dim(origin))?;
            }
        }
        out.finish()?;
        Ok(Exit::DONE)
    }
}

/// Returns a stack's description, or how many problems it has.
fn about(root: &std::path::Path, file: &str) -> Result<String, usize> {
    let load = Load {
        root,
        stack: file,
        env: "default",
        var_files: &[],
        ambient: &[],
        vars: &[],
        need_values: false,
    };
    match stack::load(&load) {
        Ok((stack, _)) => Ok(stack.description.unwrap_or_default()),
        Err(problems) => Err(problems.0.len()),
    }
}
