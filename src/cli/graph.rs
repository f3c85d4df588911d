//! `wasmctl graph STACK`: the architecture as a picture.

use std::io::Write as _;
use std::path::PathBuf;

use super::args::{DeploymentArgs, write_file};
use super::{Context, Exit, Failure};
use crate::engine;
use crate::stack::Stack;
use crate::stack::expr::resource_of;
use crate::ui::picture::{Format, Node, Picture};
use crate::value::Value;

/// Draw the architecture of a stack
///
/// What is needed stands above what needs it, the outputs stand at the end. A fainter arrow says what
/// others already imply.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  wasmctl graph local-multi-compute --out picture.svg
  wasmctl graph local-multi-compute --format mermaid
  wasmctl graph local-multi-compute --format dot | dot -Tpng > picture.png")]
pub(super) struct GraphArgs {
    /// The stack: a name of `wasmctl stacks`, a folder or a file
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
        let request = self.deployment.request(cx, "graph", Some(&self.stack))?;
        let (stack, _) = engine::load(&request, false)?;
        let format = if cx.printer.is_json() {
            Format::Json
        } else {
            self.format
        };
        let text = picture(&stack).draw(format);
        match &self.out {
            Some(path) => {
                write_file(&cx.environment.working_dir.join(path), text.as_bytes(), 0o644)?;
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

/// Shows what a stack is made of.
fn picture(stack: &Stack) -> Picture {
    let nodes = stack.resources.values().map(|resource| Node {
        name: resource.name.value.to_string(),
        kind: resource.kind.name.to_owned(),
        instances: resource.for_each.as_ref().and_then(|each| match each.outline() {
            Value::Known(serde_json::Value::Array(items)) => Some(items.len()),
            Value::Known(serde_json::Value::Object(entries)) => Some(entries.len()),
            _ => None,
        }),
        conditional: resource.when.is_some(),
    });
    let edges =
        (0..stack.resources.len()).flat_map(|user| stack.graph.needs(user).iter().map(move |used| (user, *used)));
    let outputs = stack.outputs.iter().map(|(name, expr)| {
        let mut from = Vec::new();
        expr.references(&mut |reference, _| {
            from.extend(resource_of(reference).and_then(|name| stack.resources.get_index_of(name)));
        });
        from.dedup();
        (name.clone(), from)
    });
    Picture {
        title: stack.name.to_string(),
        subtitle: stack.description.clone(),
        nodes: nodes.collect(),
        edges: edges.collect(),
        outputs: outputs.collect(),
    }
}
