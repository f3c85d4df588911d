//! `wasmctl completions SHELL`: completion for the shell.

use std::io::Write as _;

use super::{Context, Exit, Failure};

/// Print completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  wasmctl completions bash > /etc/bash_completion.d/wasmctl
  wasmctl completions fish > ~/.config/fish/completions/wasmctl.fish")]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

impl CompletionsArgs {
    pub(super) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::command(), "wasmctl", &mut script);
        let mut out = cx.printer.out();
        out.write_all(&script)?;
        out.finish()?;
        Ok(Exit::DONE)
    }
}
