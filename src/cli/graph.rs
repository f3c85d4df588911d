//! `wasmctl graph`: the architecture as a picture.

use std::io::Write as _;
use std::path::PathBuf;

use super::args::{DeploymentArgs, write_file};
use super::{Context, Exit, Failure};
use crate::stack::expr::{Expr, Form, resource_of};
use crate::stack::{self, Stack};
use crate::ui::picture::{Format, Node, Picture};

/// Draw the architecture of a stack
///
/// What is needed stands above what needs it, the outputs stand at the end. A fainter arrow says what
/// others already imply.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  wasmctl graph local-multi-compute --out picture.svg
  wasmctl graph aws-spin-multi-compute --format mermaid
  wasmctl graph local-multi-compute --format dot | dot -Tpng > picture.png")]
pub(super) struct GraphArgs {
    /// The stack
    stack: String,
    /// How the picture is written
    #[arg(long, value_enum, default_value_t = Format::Svg, env = "WASMCTL_GRAPH_FORMAT")]
    format: Format,
    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE", env = "WASMCTL_GRAPH_OUT")]
    out: Option<PathBuf>,
    #[command(flatten)]
    deployment: DeploymentArgs,
}

impl GraphArgs {
    pub(super) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let root = self.deployment.project.root(cx)?;
        let (stack, _) = stack::load(&self.deployment.load(cx, &root, &self.stack))?;
        let format = if cx.printer.is_json() {
            Format::Json
        } else {
            self.format
        };
        let text = picture(&stack).draw(format);
        match &self.out {
            Some(path) => {
                write_file(&cx.environment.working_dir.join(path), text.as_bytes())?;
                cx.printer.say(format_args!("The picture is in {}.", path.display()));
            }
            None => {
                let mut out = cx.printer.out();
                out.write_all(text.as_bytes())?;
                out.finish()?;
            }
        }
        Ok(Exit::DONE)
    }
}

/// Turns a stack into what a picture shows.
fn picture(stack: &Stack) -> Picture {
    let from = |expr: &Expr| {
        let mut nodes = Vec::new();
        expr.references(&mut |reference, _| {
            nodes.extend(resource_of(reference).and_then(|name| stack.resources.get_index_of(name)));
        });
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    };
    Picture {
        title: stack.name.to_string(),
        subtitle: stack.description.clone(),
        nodes: stack
            .resources
            .values()
            .map(|resource| Node {
                name: resource.name.value.to_string(),
                kind: resource.kind.value.name.to_owned(),
                instances: resource.for_each.as_ref().and_then(instances),
                conditional: resource.when.is_some(),
            })
            .collect(),
        edges: (0..stack.resources.len())
            .flat_map(|index| stack.graph.needs(index).iter().map(move |needed| (index, *needed)))
            .collect(),
        outputs: stack
            .outputs
            .iter()
            .map(|(name, expr)| (name.clone(), from(expr)))
            .collect(),
    }
}

/// Counts what a resource is repeated over, where the file itself says it.
fn instances(expr: &Expr) -> Option<usize> {
    match &expr.form {
        Form::List(items) => Some(items.len()),
        Form::Map(entries) => Some(entries.len()),
        Form::Literal(serde_json::Value::Array(items)) => Some(items.len()),
        Form::Literal(serde_json::Value::Object(entries)) => Some(entries.len()),
        _ => None,
    }
}
