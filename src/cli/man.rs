//! `wasmctl man [COMMAND]`: manual pages.

use std::io::Write as _;

use super::{Context, Exit, Failure};
use crate::diagnostic::did_you_mean;

/// Print a manual page
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  wasmctl man > wasmctl.1
  wasmctl man deploy | man -l -")]
pub(super) struct ManArgs {
    /// The command the page is about; without it, wasmctl itself
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

impl ManArgs {
    pub(super) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let mut whole = super::command();
        whole.build();
        let subject = match &self.command {
            None => whole,
            Some(name) => match whole.find_subcommand(name) {
                Some(command) => {
                    let full = format!("wasmctl-{name}");
                    command.clone().name(full)
                }
                None => {
                    let near = did_you_mean(name, whole.get_subcommands().map(clap::Command::get_name));
                    return Err(Failure::usage(
                        format!("there is no command `{name}`"),
                        near.map_or_else(
                            || "`wasmctl --help` lists all commands".to_owned(),
                            |near| format!("did you mean `{near}`?"),
                        ),
                    ));
                }
            },
        };
        let mut page = Vec::new();
        clap_mangen::Man::new(subject).render(&mut page)?;
        let mut out = cx.printer.out();
        out.write_all(&page)?;
        out.finish()?;
        Ok(Exit::DONE)
    }
}
