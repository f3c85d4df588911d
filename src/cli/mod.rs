//! The command line: one file per command, each an `Args` and a `run`.
//!
//! What all of them share is here: the flags of every command, the way from an error to an exit code,
//! and the one place where the environment is read ([`environment`]).

mod args;
#[cfg(feature = "local")]
mod balance;
mod completions;
mod deploy;
mod destroy;
mod doctor;
mod env;
mod environment;
mod failure;
mod graph;
#[cfg(feature = "local")]
mod guard;
#[cfg(feature = "serve")]
mod inspect;
mod kinds;
mod man;
mod output;
mod plan;
mod render;
mod run;
mod schema;
#[cfg(feature = "serve")]
mod serve;
mod stacks;
mod state;
mod status;
mod tree;
mod validate;
#[cfg(feature = "serve")]
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{FromArgMatches as _, Parser, Subcommand};

pub use environment::Environment;
pub use failure::{Exit, Failure};
pub use tree::command;

use crate::ui::json::JsonLines;
use crate::ui::{Color, Printer, Verbosity, printer::Wishes, report};

/// Deploys WebAssembly stacks and takes them away again, whatever was killed on the way
///
/// A stack is a YAML file that says what there should be: `wasmctl` plans the way there, shows the
/// plan, goes it, and records each step before it is taken, so that whatever is killed on the way,
/// the next run carries on.
#[derive(Debug, Parser)]
#[command(
    name = "wasmctl",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = "Examples:
  wasmctl deploy local-multi-compute   run a component on this machine, behind a load balancer
  wasmctl status                       what there is, and whether it is as it should be
  wasmctl destroy                      take it away again

Every flag has an environment variable, as in WASMCTL_YES=1.
Exit codes: 0 done, 1 the stack or the cloud said no, 2 usage, 3 differences found, 130 interrupted,
255 a bug in wasmctl."
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    /// The project folder
    #[arg(id = "root_dir", long = "dir", value_name = "DIR", help_heading = "Global options")]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

/// Flags of every command.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Print JSON: one event a line for runs, one document for data
    #[arg(long, global = true)]
    json: bool,
    /// Print data and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Print more of what happens
    #[arg(short, long, global = true)]
    verbose: bool,
    /// When to use colour; NO_COLOR is honoured
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = Color::Auto)]
    color: Color,
}

#[derive(Debug, Subcommand)]
enum Command {
    Deploy(deploy::DeployArgs),
    Destroy(destroy::DestroyArgs),
    Plan(plan::PlanArgs),
    Status(status::StatusArgs),
    Output(output::OutputArgs),
    Render(render::RenderArgs),
    Graph(graph::GraphArgs),
    Validate(validate::ValidateArgs),
    Stacks(stacks::StacksArgs),
    Kinds(kinds::KindsArgs),
    Schema(schema::SchemaArgs),
    Env(env::EnvArgs),
    State(state::StateArgs),
    Doctor(doctor::DoctorArgs),
    #[cfg(feature = "serve")]
    #[command(after_help = "Examples:
  wasmctl serve hello.wasm
  wasmctl serve hello.wasm --listen 127.0.0.1:9000 --dir ./data::/data:ro")]
    Serve(Box<serve::ServeArgs>),
    #[cfg(feature = "serve")]
    #[command(after_help = "Examples:
  wasmctl inspect hello.wasm
  wasmctl inspect hello.wasm --json | jq .imports")]
    Inspect(inspect::InspectArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

impl Command {
    /// The name on the command line.
    fn name(&self) -> &'static str {
        match self {
            Self::Deploy(_) => "deploy",
            Self::Destroy(_) => "destroy",
            Self::Plan(_) => "plan",
            Self::Status(_) => "status",
            Self::Output(_) => "output",
            Self::Render(_) => "render",
            Self::Graph(_) => "graph",
            Self::Validate(_) => "validate",
            Self::Stacks(_) => "stacks",
            Self::Kinds(_) => "kinds",
            Self::Schema(_) => "schema",
            Self::Env(_) => "env",
            Self::State(_) => "state",
            Self::Doctor(_) => "doctor",
            #[cfg(feature = "serve")]
            Self::Serve(_) => "serve",
            #[cfg(feature = "serve")]
            Self::Inspect(_) => "inspect",
            Self::Completions(_) => "completions",
            Self::Man(_) => "man",
        }
    }

    /// Runs to the end and says how it went. What hosts others talks for itself.
    fn run(self, cx: &Context) -> ExitCode {
        let ended = match self {
            Self::Deploy(args) => args.run(cx),
            Self::Destroy(args) => args.run(cx),
            Self::Plan(args) => args.run(cx),
            Self::Status(args) => args.run(cx),
            Self::Output(args) => args.run(cx),
            Self::Render(args) => args.run(cx),
            Self::Graph(args) => args.run(cx),
            Self::Validate(args) => args.run(cx),
            Self::Stacks(args) => args.run(cx),
            Self::Kinds(args) => args.run(cx),
            Self::Schema(args) => args.run(cx),
            Self::Env(args) => args.run(cx),
            Self::State(args) => args.run(cx),
            Self::Doctor(args) => args.run(cx),
            #[cfg(feature = "serve")]
            Self::Serve(args) => args.run(cx),
            #[cfg(feature = "serve")]
            Self::Inspect(args) => args.run(cx),
            Self::Completions(args) => args.run(cx),
            Self::Man(args) => args.run(cx),
        };
        let exit = ended.unwrap_or_else(|failure| failure.tell(cx));
        if cx.printer.is_json() {
            cx.json.close(exit.0);
        }
        ExitCode::from(exit.0)
    }
}

/// What a command is given beside its own flags.
#[derive(Debug)]
pub struct Context {
    /// Prints.
    pub printer: Printer,
    /// What the environment says.
    pub environment: Environment,
    /// The events of this command, for `--json`.
    pub json: JsonLines,
    /// `--dir` before the command.
    dir: Option<PathBuf>,
}

/// Runs the command line of this process and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    report::install_panic_hook();
    #[cfg(feature = "serve")]
    if let Some(exit) = worker::run() {
        return exit;
    }
    // The hook has said all there is to say.
    std::panic::catch_unwind(run).unwrap_or(ExitCode::from(Exit::BUG))
}

fn run() -> ExitCode {
    let environment = Environment::read();
    let color = tree::color_in(std::env::args_os(), &environment);
    let parsed = command()
        .color(match color {
            Color::Auto => clap::ColorChoice::Auto,
            Color::Always => clap::ColorChoice::Always,
            Color::Never => clap::ColorChoice::Never,
        })
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // Help and usage errors; a reader that has gone needs neither.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::USAGE));
        }
    };
    let cx = Context {
        printer: Printer::new(Wishes {
            verbosity: match cli.global {
                Global { quiet: true, .. } => Verbosity::Quiet,
                Global { verbose: true, .. } => Verbosity::Verbose,
                Global { .. } => Verbosity::Default,
            },
            color,
            no_color: environment.no_color,
            utf8: environment.utf8,
            json: cli.global.json,
        }),
        json: JsonLines::new(cli.command.name()),
        environment,
        dir: cli.dir,
    };
    cli.command.run(&cx)
}
