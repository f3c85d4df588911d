//! wasmctl: a declarative stack engine for WebAssembly on real infrastructure.
//!
//! This is the map. The way through is [`engine`]: read it top to bottom.
//!
//! # The way of the data
//!
//! ```text
//! stacks/x/stack.yaml ─document─▶ Node ─load, check─▶ Stack + Graph ──┐ desired
//! .wasmctl/x/default/{state.json,journal} ─fold─▶ State ──────────────┤ prior    ─plan─▶ Plan ─apply─▶ journal ─▶ State ─▶ .env
//!                       State ─kinds read, in bulk─▶ Actual ──────────┘ actual     (steps)       │
//!                                                                                               └─▶ Event ─▶ ui ─▶ screen
//! ```
//!
//! Each arrow is a function that takes the left and returns the right. Nothing reaches back: apply never plans again,
//! kinds never see YAML, nothing below [`ui`] and [`cli`] prints.
//!
//! # The rooms
//!
//! | module | holds |
//! |---|---|
//! | [`cli`] | arguments, one file per command; `main.rs` only calls it |
//! | [`engine`] | load → plan → apply → destroy; saved plans, status, surgery on the record |
//! | [`stack`], [`graph`] | from YAML with the place of each word to a checked `Stack` and what needs what in it |
//! | [`plan`] | desired × prior × actual → actions for people, steps for apply; pure |
//! | [`apply`] | the one loop that runs steps: order, retries, deadlines, Ctrl-C |
//! | [`state`] | what is recorded: journal, snapshot, lock, recovery |
//! | [`kind`] | what a kind of resource is: the trait, the shape of its inputs, its errors |
//! | [`providers`] | the list of kinds (`KINDS`), and one file per kind below it |
//! | [`dotenv`] | the block in `.env` |
//! | [`event`], [`ui`] | all that can be said about a run, and how it is said |
//! | `serve` | the host for `wasi:http` components (feature `serve`) |
//! | `balance`, `guard` | the load balancer; what keeps local processes alive (feature `local`) |
//! | [`value`] | values of which parts are secret or not known yet |
//! | [`id`], [`diagnostic`], [`disk`], [`units`] | names; messages with a place; whole files; sizes and durations |
//!
//! # Who may import whom
//!
//! `tests/layers.rs` reads every `crate::` path under `src/` and compares it with its table. In words:
//!
//! - `main → cli`; `cli` may import everything, because each command is a way in.
//! - `engine → apply, plan, state, stack, dotenv, providers`; nothing but `cli` imports `engine`.
//! - `apply → plan, state, stack, kind, event`; `plan → stack, graph, state, kind`. Steps hold expressions of the stack,
//!   which apply evaluates once more when what they refer to is known: that is why apply sees the stack.
//! - `stack` and `graph` are one room: a stack owns its graph, and the graph is made of resources. `stack → kind, dotenv`:
//!   `dotenv` says which names in `.env` are its own.
//! - `state` imports only names and the disk. What a step does (`Operation`) is defined with the record of it.
//! - `providers/* → kind` and the libraries `serve`, `balance`, `guard`. No provider imports another.
//! - The list itself, `providers::{kind, provider, KINDS, PROVIDERS}`, may be read by `stack`, `plan`, `apply`, `engine`, `cli`:
//!   they look kinds up by name. None of them names one kind.
//! - `serve`, `balance` and `guard` are libraries: they know nothing of stacks.
//! - Everyone may import `id`, `diagnostic`, `disk`, `units` and `value`.
//!
//! Only `ui` prints, and `cli` for the processes that serve, which have no run to tell about. Only these write files: `disk`
//! and `state`, which everyone else goes through; `providers/local`, `serve` (its cache and its key-value store), `guard` and
//! `balance` (its access log), whose files are theirs; `providers/std/{file,command}`, which make folders; and `cli/doctor`, which
//! tries whether it could.
//!
//! # Every file that wasmctl reads or writes
//!
//! Under the project folder, which is `--dir`, or the nearest parent with `stacks/`, `.wasmctl/` or `.env`:
//!
//! | file | who | what |
//! |---|---|---|
//! | `stacks/<name>/stack.yaml` | read | a stack; those shipped are compiled in, and a file of the same name wins |
//! | what `include:` names | read | fragments of stacks |
//! | `templates/**` | read | tera templates, for `std/template` |
//! | `env/<env>.yaml`, `--var-file` | read | values of variables |
//! | `.env` | read, written | the block between the two marks; all else in it is left as it is |
//! | `.wasmctl/<stack>/<env>/state.json` | written | the snapshot, mode 0600 as all of these |
//! | `…/journal` | written | all that happened since the snapshot |
//! | `…/state.previous.json`, `…/journal.previous` | written | the pair before, for a recovery |
//! | `…/state.json.new`, `…/state.previous.new` | written | for the moment of a rotation |
//! | `…/lock` | written | held by the run that works; says who |
//! | `…/commands/` | written | what a `std/command` printed, secrets taken out; there as long as the command counts as done |
//! | `…/shared/<token>/` | written | the folder of a `local/shared_folder` that names no path: components, the guests' own files |
//! | `…/cache/` | written | compiled code of components; safe to delete |
//! | `…/run/<name>-<token>/` | written | one local process: `spec.json`, `process.json`, `lock`, `log`, `log.1`, `balance.json`, the access log |
//! | `plan --out FILE`, `graph --out FILE` | written | what was asked for |
//! | what a `std/file` or a `local/shared_folder` names | written | inside the project folder, never through a link that leads out |
//!
//! `wasmctl serve` reads the component and what `--dir` names, and writes `--cache` and `--keyvalue` where they are given.
//! Outside the project folder nothing is written, and nothing is read but the root certificates and name resolution of
//! the system.

pub mod apply;
#[cfg(feature = "local")]
pub mod balance;
pub mod cli;
pub mod diagnostic;
pub mod disk;
pub mod dotenv;
pub mod engine;
pub mod event;
pub mod graph;
#[cfg(feature = "local")]
pub mod guard;
pub mod id;
pub mod kind;
pub mod plan;
pub mod providers;
#[cfg(feature = "serve")]
pub mod serve;
pub mod stack;
pub mod state;
pub mod ui;
pub mod units;
pub mod value;
