//! What the environment says, read once.

use std::env;
use std::path::PathBuf;

use crate::state::journal::Seam;

/// What wasmctl looks at in the environment, beside the variable of each flag.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// No colour: `NO_COLOR`, or `TERM=dumb`.
    pub no_color: bool,
    /// The locale says UTF-8.
    pub utf8: bool,
    /// This is a CI run: `CI=true` or `CI=1`.
    pub ci: bool,
    /// Variables of stacks: `WASMCTL_VAR_name=value`, by name.
    pub variables: Vec<(String, String)>,
    /// `WASMCTL_COLOR`, needed before the flags are read.
    pub color: Option<String>,
    /// Where commands are looked for.
    pub path: Vec<PathBuf>,
    /// The folder the command was started in.
    pub working_dir: PathBuf,
    /// What commands of a stack find in their environment: `PATH` and `HOME`.
    pub passed_on: Vec<(String, String)>,
    /// What only tests set.
    pub test: Test,
}

/// What tests set to make a run repeatable, or to end it at a chosen moment.
#[derive(Clone, Debug, Default)]
pub struct Test {
    /// `WASMCTL_TEST_STOP=12:after`: the process ends at this write of the journal.
    pub seam: Option<Seam>,
    /// `WASMCTL_TEST_SEED=1`: what is drawn repeats.
    pub seed: Option<u64>,
    /// `WASMCTL_TEST_NOW`: the time.
    pub now: Option<String>,
}

impl Environment {
    /// Reads the environment of this process.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn read() -> Self {
        let text = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let mut variables: Vec<(String, String)> = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter_map(|(name, value)| Some((name.strip_prefix("WASMCTL_VAR_")?.to_owned(), value)))
            .filter(|(name, _)| !name.is_empty())
            .collect();
        variables.sort_unstable();
        let locale = text("LC_ALL").or_else(|| text("LC_CTYPE")).or_else(|| text("LANG"));
        Self {
            no_color: text("NO_COLOR").is_some() || text("TERM").is_some_and(|term| term == "dumb"),
            utf8: locale.is_some_and(|locale| {
                let locale = locale.to_lowercase();
                locale.contains("utf-8") || locale.contains("utf8")
            }),
            ci: text("CI").is_some_and(|value| !matches!(value.to_lowercase().as_str(), "false" | "0" | "no")),
            variables,
            color: text("WASMCTL_COLOR"),
            path: env::var_os("PATH")
                .map(|path| env::split_paths(&path).collect())
                .unwrap_or_default(),
            working_dir: env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            passed_on: ["PATH", "HOME"]
                .into_iter()
                .filter_map(|name| Some((name.to_owned(), text(name)?)))
                .collect(),
            test: Test {
                seam: text("WASMCTL_TEST_STOP").and_then(|at| at.parse().ok()),
                seed: text("WASMCTL_TEST_SEED").and_then(|seed| seed.parse().ok()),
                now: text("WASMCTL_TEST_NOW"),
            },
        }
    }

    /// Whether a command is on the search path.
    #[must_use]
    pub fn has_command(&self, name: &str) -> bool {
        self.path.iter().any(|folder| folder.join(name).is_file())
    }
}
