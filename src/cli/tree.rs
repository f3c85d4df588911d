//! The tree of commands, with what holds for all of it: every flag has an environment variable.

use std::ffi::OsString;

use clap::{ArgAction, CommandFactory as _, ValueEnum as _};

use super::{Cli, Environment};
use crate::ui::Color;

/// Returns the whole command line.
///
/// A flag without a variable of its own gets `WASMCTL_` and its name, and a switch takes `1` and `0`
/// as well as `true` and `false`.
#[must_use]
pub fn command() -> clap::Command {
    with_variables(Cli::command())
}

fn with_variables(command: clap::Command) -> clap::Command {
    command
        .mut_args(|arg| {
            let Some(long) = arg.get_long() else { return arg };
            if matches!(arg.get_id().as_str(), "help" | "version") {
                return arg;
            }
            let arg = match arg.get_env() {
                Some(_) => arg,
                None => {
                    let name = format!("WASMCTL_{}", long.to_uppercase().replace('-', "_"));
                    arg.env(name)
                }
            };
            let arg = arg.hide_env_values(true);
            match arg.get_action() {
                ArgAction::SetTrue => arg.value_parser(clap::builder::FalseyValueParser::new()),
                _ => arg,
            }
        })
        .mut_subcommands(with_variables)
}

/// Finds out about colour before the flags are read: usage errors have colour too.
pub(super) fn color_in(args: impl Iterator<Item = OsString>, environment: &Environment) -> Color {
    let mut args = args.take_while(|arg| arg != "--");
    let mut found = environment.color.clone();
    while let Some(arg) = args.next() {
        let arg = arg.to_string_lossy();
        if arg == "--color" {
            found = args.next().map(|value| value.to_string_lossy().into_owned());
        } else if let Some(value) = arg.strip_prefix("--color=") {
            found = Some(value.to_owned());
        }
    }
    found
        .and_then(|value| Color::from_str(&value, true).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(command: &clap::Command, path: &str, see: &mut dyn FnMut(&clap::Command, &str)) {
        see(command, path);
        for sub in command.get_subcommands() {
            walk(sub, &format!("{path} {}", sub.get_name()), see);
        }
    }

    #[test]
    fn the_tree_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_flag_has_a_variable() {
        walk(&command(), "wasmctl", &mut |command, path| {
            for arg in command.get_arguments().filter(|arg| arg.get_long().is_some()) {
                let id = arg.get_id().as_str();
                if matches!(id, "help" | "version") {
                    continue;
                }
                let name = arg.get_env().unwrap_or_default().to_string_lossy();
                assert!(name.starts_with("WASMCTL_"), "{path} --{id}: {name:?}");
            }
        });
    }

    #[test]
    fn every_command_teaches() {
        walk(&command(), "wasmctl", &mut |command, path| {
            if command.is_hide_set() {
                return;
            }
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(!about.is_empty() && !about.ends_with('.'), "{path}: {about:?}");
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(examples.starts_with("Example"), "{path} has no examples");
            assert!(examples.contains("wasmctl "), "{path}: {examples}");
            for arg in command.get_arguments() {
                assert!(arg.get_help().is_some(), "{path} {}", arg.get_id());
            }
        });
    }

    #[test]
    fn colour_is_known_before_the_flags_are() {
        let color = |args: &[&str]| color_in(args.iter().map(OsString::from), &Environment::default());
        assert_eq!(color(&["wasmctl", "--color", "always", "plan"]), Color::Always);
        assert_eq!(color(&["wasmctl", "plan", "--color=never"]), Color::Never);
        assert_eq!(color(&["wasmctl", "plan"]), Color::Auto);
    }
}
