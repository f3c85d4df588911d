//! From files to a stack: reads all of them, finds all that is wrong, then fails.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value as Json;

use super::document::{Content, Document, Key, Node};
use super::fields::{Fields, mismatch, span};
use super::reference::Root;
use super::variable::{self, Setting};
use super::{Expr, Moved, Resource, Stack, catalog, check};
use crate::diagnostic::{Diagnostic, Diagnostics, Source, Span, Spanned, did_you_mean};
use crate::graph::Graph;
use crate::id::{ResourceId, is_folder_name, is_name};
use crate::providers;

/// What is to be loaded.
#[derive(Clone, Debug)]
pub struct Load<'a> {
    /// The project folder.
    pub root: &'a Path,
    /// A name, a folder or a file.
    pub stack: &'a str,
    /// The environment.
    pub env: &'a str,
    /// Files of variables, after the environment's own.
    pub var_files: &'a [PathBuf],
    /// Variables from the environment (`WASMCTL_VAR_…`); names nobody knows are fine.
    pub ambient: &'a [(String, String)],
    /// Variables from the command line, last.
    pub vars: &'a [(String, String)],
    /// Whether variables must have values: not for looking at a stack.
    pub need_values: bool,
}

const TOP: &[&str] = &[
    "name",
    "description",
    "include",
    "variables",
    "providers",
    "resources",
    "outputs",
    "env",
    "moved",
    "on",
];
const FRAGMENT: &[&str] = &[
    "include",
    "variables",
    "providers",
    "resources",
    "outputs",
    "env",
    "moved",
];

/// The words of the engine in a resource; a kind that has an input of the same name wins.
pub(super) const ENGINE: &[&str] = &[
    "type",
    "for_each",
    "when",
    "depends_on",
    "prevent_destroy",
    "ignore_changes",
    "create_before_destroy",
    "timeout",
];

/// How many files one stack may be made of.
const MOST_FILES: usize = 200;

/// Loads a stack with its fragments and the values of its variables.
///
/// # Errors
/// Returns everything that is wrong, each with its place; warnings come with the stack.
pub fn load(ask: &Load<'_>) -> Result<(Stack, Diagnostics), Diagnostics> {
    let found = catalog::find(ask.root, ask.stack)?;
    if !is_folder_name(ask.env) {
        return Err(Diagnostic::error(
            "env-name",
            format!("`{}` cannot be the name of an environment", ask.env),
        )
        .help("names have letters, digits, `-`, `_` and `.`")
        .into());
    }
    let mut reader = Reader {
        root: ask.root,
        chain: Vec::new(),
        problems: Diagnostics::default(),
        parts: Parts::default(),
    };
    reader.file(&found.file, None);
    let settings = reader.settings(ask);
    let Reader {
        mut problems, parts, ..
    } = reader;

    let missing_values = !ask.need_values || parts.unread_settings;
    let before = problems.0.len();
    let values = if parts.read {
        variable::resolve(&parts.variables, &parts.broken.variables, &settings, &mut problems)
    } else {
        BTreeMap::new()
    };
    if missing_values {
        let mut index = 0;
        problems.0.retain(|problem| {
            index += 1;
            index <= before || problem.code != "variable-missing"
        });
    }
    if !parts.read {
        // Without the stack file itself everything else would be missing too.
        return Err(problems);
    }
    // A name that is missing or wrong was said to be; the rest is checked all the same.
    let name = parts.name.clone().map_or_else(String::new, |name| name.value);
    let graph = Graph::of(&parts.resources, &mut problems);
    let stack = Stack {
        name: name.as_str().into(),
        description: parts.description,
        folder: found.folder,
        sources: parts.sources,
        env: ask.env.into(),
        variables: parts.variables,
        values,
        providers: parts.providers,
        resources: parts.resources,
        outputs: parts.outputs,
        env_entries: parts.env_entries,
        on: parts.on,
        moved: parts.moved,
        graph,
    };
    check::stack(&stack, &parts.broken, &mut problems);
    problems.sort(&stack.sources);
    problems.into_result(stack)
}

/// What the files of a stack add up to.
#[derive(Default)]
struct Parts {
    /// Whether the stack file could be read.
    read: bool,
    /// Whether a file of variables could not be read: it may have had the values that are missing.
    unread_settings: bool,
    /// Resources and variables that are declared, but not rightly: what refers to them is not at fault.
    broken: Broken,
    name: Option<Spanned<String>>,
    description: Option<String>,
    sources: Vec<Arc<Source>>,
    variables: IndexMap<String, super::Variable>,
    providers: BTreeMap<String, Expr>,
    resources: IndexMap<Arc<str>, Resource>,
    outputs: IndexMap<String, Expr>,
    env_entries: IndexMap<String, Expr>,
    on: Option<Spanned<String>>,
    moved: Vec<Moved>,
}

/// Names that are declared, but not rightly.
#[derive(Default)]
pub(super) struct Broken {
    pub(super) resources: BTreeSet<String>,
    pub(super) variables: BTreeSet<String>,
}

struct Reader<'a> {
    root: &'a Path,
    /// The files that are being read, each included by the one before.
    chain: Vec<String>,
    problems: Diagnostics,
    parts: Parts,
}

impl Reader<'_> {
    /// Reads one file and what it includes. `from` is where an include stands.
    fn file(&mut self, name: &str, from: Option<&Span>) {
        let source = match catalog::read(self.root, name) {
            Ok(source) => source,
            Err(problem) => {
                self.problems.push(match from {
                    Some(span) => problem.at(span, "included here").maybe_help(self.near_file(name)),
                    None => problem,
                });
                return;
            }
        };
        self.parts.sources.push(Arc::clone(&source));
        let document = match Document::parse(source) {
            Ok(document) => document,
            Err(problem) => return self.problems.push(problem),
        };
        self.chain.push(name.to_owned());
        self.top(&document, name, from.is_none());
        self.chain.pop();
    }

    /// Finds a file of nearly this name beside it.
    fn near_file(&self, name: &str) -> Option<String> {
        let path = Path::new(name);
        let folder = path.parent().unwrap_or(Path::new(""));
        let names: Vec<String> = std::fs::read_dir(self.root.join(folder))
            .ok()?
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        let near = did_you_mean(&path.file_name()?.to_string_lossy(), names.iter().map(String::as_str))?;
        let near = folder.join(near);
        (near != path).then(|| format!("did you mean `{}`?", near.display()))
    }

    fn top(&mut self, document: &Document, file: &str, main: bool) {
        let problems = &mut self.problems;
        if document.root.is_nothing() {
            // A fragment may be empty: all of it may be commented out.
            if main {
                problems.push(
                    Diagnostic::error("empty", format!("`{file}` is empty"))
                        .help("a stack has at least `name` and `resources`"),
                );
            }
            return;
        }
        let what = if main { "a stack file" } else { "a fragment" };
        let Some(mut fields) = Fields::open(document, &document.root, what, problems) else {
            return;
        };
        if main {
            self.parts.read = true;
            let named = fields.has("name");
            self.parts.name = fields.text("name", problems);
            if let Some(name) = &self.parts.name {
                if !is_folder_name(name) {
                    problems.push(
                        Diagnostic::error("bad-name", format!("`{}` cannot be the name of a stack", name.value))
                            .at(&name.span, "this name")
                            .help(FOLDER_NAMES),
                    );
                }
            } else if !named {
                problems.push(
                    Diagnostic::error("no-name", "the stack has no `name`")
                        .at(
                            &document.span(document.root.range().start..document.root.range().start),
                            "",
                        )
                        .help("start the file with `name: …`"),
                );
            }
            self.parts.description = fields.text("description", problems).map(|text| text.value);
            self.parts.on = fields.text("on", problems);
            if let Some(on) = &self.parts.on {
                check_on(on, self.parts.name.as_ref(), problems);
            }
        }
        // A heading with nothing under it is fine: all of it may be commented out.
        let mut section = |name: &str| fields.take(name).filter(|node| !node.is_nothing());
        if let Some(node) = section("variables") {
            let broken = &mut self.parts.broken.variables;
            variable::read_all(document, node, &mut self.parts.variables, broken, problems);
        }
        if let Some(node) = section("providers") {
            self.parts.read_providers(document, node, problems);
        }
        if let Some(node) = section("resources") {
            self.parts.read_resources(document, node, problems);
        }
        if let Some(node) = section("outputs") {
            read_exprs(
                document,
                node,
                "outputs",
                "an output",
                &mut self.parts.outputs,
                problems,
            );
        }
        if let Some(node) = section("env") {
            read_exprs(
                document,
                node,
                "env",
                "an entry of `env`",
                &mut self.parts.env_entries,
                problems,
            );
        }
        for node in fields.list("moved", problems).unwrap_or_default() {
            self.parts.read_moved(document, node, problems);
        }
        let includes = fields.texts("include", problems);
        fields.finish(if main { TOP } else { FRAGMENT }, problems);
        for include in includes {
            if self.parts.sources.len() == MOST_FILES {
                let problem =
                    Diagnostic::error("too-many-files", format!("the stack has more than {MOST_FILES} files"));
                return self.problems.push(
                    problem
                        .at(&include.span, "one too many")
                        .help("join some of them; `for_each` repeats a resource without a file of its own"),
                );
            }
            self.include(file, &include);
        }
    }

    fn include(&mut self, file: &str, include: &Spanned<String>) {
        let folder = Path::new(file).parent().unwrap_or(Path::new(""));
        let written = folder.join(&include.value).to_string_lossy().into_owned();
        let inside = match include.value.as_str() {
            "" => Err("the path is empty".to_owned()),
            _ => crate::kind::inside(self.root, &written),
        };
        let name = match inside {
            Ok(path) => path
                .strip_prefix(self.root)
                .unwrap_or(&path)
                .to_string_lossy()
                .into_owned(),
            Err(reason) => {
                return self.problems.push(
                    Diagnostic::error("outside", format!("cannot include it: {reason}"))
                        .at(&include.span, "included here")
                        .help("name a file inside the project folder, as seen from the file that includes it"),
                );
            }
        };
        if let Some(at) = self.chain.iter().position(|one| *one == name) {
            let mut ring: Vec<String> = self.chain[at..].iter().map(|one| format!("`{one}`")).collect();
            ring.push(format!("`{name}`"));
            return self.problems.push(
                Diagnostic::error(
                    "include-circle",
                    format!("files include each other in a circle: {}", ring.join(" → ")),
                )
                .at(&include.span, "this closes the circle")
                .help("take this entry away"),
            );
        }
        if self.parts.sources.iter().any(|source| source.name == name) {
            return self.problems.push(
                Diagnostic::error("include-twice", format!("`{name}` is included twice"))
                    .at(&include.span, "included here again")
                    .help("a fragment belongs to a stack once; two fragments that need it leave it to the stack file"),
            );
        }
        self.file(&name, Some(&include.span));
    }

    fn settings(&mut self, ask: &Load<'_>) -> Vec<Setting> {
        let mut settings = Vec::new();
        let own = format!("env/{}.yaml", ask.env);
        let mut files = Vec::new();
        if ask.root.join(&own).is_file() || catalog::compiled_in(&own).is_some() {
            files.push((catalog::read(ask.root, &own), false));
        }
        for file in ask.var_files {
            let path = ask.root.join(file);
            files.push((catalog::read_file(&path, &file.to_string_lossy()), true));
        }
        let (own_files, flag_files): (Vec<_>, Vec<_>) = files.into_iter().partition(|(_, strict)| !strict);
        for (read, _) in own_files {
            self.settings_file(read, false, &mut settings);
        }
        settings.extend(ask.ambient.iter().map(|(name, text)| Setting {
            name: name.clone(),
            given: variable::Given::Text {
                text: text.clone(),
                from: format!("`WASMCTL_VAR_{name}`"),
                strict: false,
            },
        }));
        for (read, _) in flag_files {
            self.settings_file(read, true, &mut settings);
        }
        settings.extend(ask.vars.iter().map(|(name, text)| Setting {
            name: name.clone(),
            given: variable::Given::Text {
                text: text.clone(),
                from: "`--var`".to_owned(),
                strict: true,
            },
        }));
        settings
    }

    fn settings_file(&mut self, read: Result<Arc<Source>, Diagnostic>, strict: bool, settings: &mut Vec<Setting>) {
        match read.and_then(|source| {
            self.parts.sources.push(Arc::clone(&source));
            Document::parse(source)
        }) {
            Ok(document) => variable::read_settings(&document, strict, settings, &mut self.problems),
            Err(problem) => {
                self.parts.unread_settings = true;
                self.problems.push(problem);
            }
        }
    }
}

impl Parts {
    fn read_providers(&mut self, document: &Document, node: &Node, problems: &mut Diagnostics) {
        let Some(mut fields) = Fields::open(document, node, "`providers`", problems) else {
            return;
        };
        for (key, node) in fields.rest() {
            let at = document.span(key.range());
            let Some(provider) = providers::provider(&key.text) else {
                let known = providers::PROVIDERS.iter().map(|provider| provider.name);
                let help = match did_you_mean(&key.text, known.clone()) {
                    Some(word) => format!("did you mean `{word}`?"),
                    None => format!("there are {}", known.collect::<Vec<_>>().join(", ")),
                };
                problems.push(
                    Diagnostic::error("unknown-provider", format!("there is no provider `{}`", key.text))
                        .at(&at, "unknown")
                        .help(help),
                );
                continue;
            };
            let config = Expr::read(document, node, problems);
            let mut found = Vec::new();
            provider.config.check(&config.outline(), "", &mut found);
            for problem in found {
                problems.push(check::problem(
                    &format!("the provider `{}`", key.text),
                    &config,
                    &at,
                    &problem,
                ));
            }
            if self.providers.insert(key.text.clone(), config).is_some() {
                problems.push(
                    Diagnostic::error("twice", format!("the provider `{}` is set twice", key.text))
                        .at(&at, "again here"),
                );
            }
        }
    }

    fn read_resources(&mut self, document: &Document, node: &Node, problems: &mut Diagnostics) {
        let Content::Map(entries) = &node.content else {
            if !matches!(node.content, Content::Scalar(Json::Null)) {
                problems.push(mismatch(document, node, "`resources`", "map"));
            }
            return;
        };
        self.resources.reserve(entries.len());
        for (key, node) in entries {
            let at = document.span(key.range());
            self.broken.resources.insert(key.text.clone());
            if !is_name(&key.text) {
                problems.push(bad_name("a resource", &key.text, &at));
            } else if Root::IN_TEMPLATES.contains(&key.text.as_str()) {
                problems.push(
                    Diagnostic::error("reserved", format!("`{}` cannot name a resource", key.text))
                        .at(&at, "reserved")
                        .help("the word has a meaning of its own in templates"),
                );
            } else if Root::RESERVED.contains(&key.text.as_str()) {
                problems.push(
                    Diagnostic::error("reserved", format!("`{}` cannot name a resource", key.text))
                        .at(&at, "reserved")
                        .help(format!(
                            "{} have a meaning of their own in references",
                            Root::RESERVED.join(", ")
                        )),
                );
            } else if let Some(other) = self.resources.get(key.text.as_str()) {
                problems.push(twice("a resource", &key.text, &at, &other.name.span));
            } else if let Some(resource) = read_resource(document, key, node, problems) {
                self.broken.resources.remove(key.text.as_str());
                self.resources.insert(Arc::clone(&resource.name.value), resource);
            }
        }
    }

    fn read_moved(&mut self, document: &Document, node: &Node, problems: &mut Diagnostics) {
        let Some(mut fields) = Fields::open(document, node, "an entry of `moved`", problems) else {
            return;
        };
        let mut address = |name: &str, problems: &mut Diagnostics| {
            let there = fields.has(name);
            let text = fields.text(name, problems);
            if !there {
                problems.push(
                    Diagnostic::error("moved", format!("an entry of `moved` needs `{name}`"))
                        .at(&span(document, node), "here"),
                );
            }
            read_address(text?, problems)
        };
        let from = address("from", problems);
        let to = address("to", problems);
        fields.finish(&["from", "to"], problems);
        if let (Some(from), Some(to)) = (from, to) {
            self.moved.push(Moved { from, to });
        }
    }
}

fn read_resource(document: &Document, key: &Key, node: &Node, problems: &mut Diagnostics) -> Option<Resource> {
    let at = document.span(key.range());
    let Content::Map(entries) = &node.content else {
        problems.push(mismatch(document, node, &format!("the resource `{}`", key.text), "map"));
        return None;
    };
    let Some((_, type_node)) = entries.iter().find(|(entry, _)| entry.text == "type") else {
        problems.push(
            Diagnostic::error("no-type", format!("the resource `{}` has no `type`", key.text))
                .at(&at, "this resource")
                .help("`wasmctl kinds` lists what a resource can be"),
        );
        return None;
    };
    let Content::Scalar(Json::String(kind_name)) = &type_node.content else {
        problems.push(mismatch(document, type_node, "`type`", "string"));
        return None;
    };
    let type_span = span(document, type_node);
    let Some(kind) = providers::kind(kind_name) else {
        problems.push(unknown_kind(kind_name, &type_span));
        return None;
    };
    let own = |name: &str| kind.inputs.fields().is_some_and(|fields| fields.contains_key(name));
    let is_engine = |name: &str| name == "type" || (ENGINE.contains(&name) && !own(name));
    let mut fields = Fields::open(document, node, "a resource", problems)?;
    let mut expr = |name: &str, problems: &mut Diagnostics| {
        if is_engine(name) {
            fields.take(name).map(|node| Expr::read(document, node, problems))
        } else {
            None
        }
    };
    let for_each = expr("for_each", problems);
    let when = expr("when", problems);
    let depends_on = if own("depends_on") {
        Vec::new()
    } else {
        fields.texts("depends_on", problems)
    };
    let depends_on = depends_on
        .into_iter()
        .filter_map(|text| read_address(text, problems))
        .collect();
    let prevent_destroy = !own("prevent_destroy") && fields.flag("prevent_destroy", problems);
    let create_before_destroy = !own("create_before_destroy") && fields.flag("create_before_destroy", problems);
    let ignore_changes = if own("ignore_changes") {
        Vec::new()
    } else {
        fields.texts("ignore_changes", problems)
    };
    let timeout = if own("timeout") {
        None
    } else {
        fields.duration("timeout", problems)
    };
    let misspelled: Vec<&str> = entries
        .iter()
        .filter(|(entry, _)| !is_engine(&entry.text) && !own(&entry.text))
        .filter_map(|(entry, _)| {
            let word = misspelled_engine_word(&entry.text, kind)?;
            problems.push(
                Diagnostic::error(
                    "unknown-field",
                    format!("unknown field `{}` of {}", entry.text, kind.name),
                )
                .at(&document.span(entry.range()), "unknown")
                .help(format!("did you mean `{word}`?")),
            );
            Some(entry.text.as_str())
        })
        .collect();
    let inputs = entries
        .iter()
        .filter(|(entry, _)| !is_engine(&entry.text) && !misspelled.contains(&entry.text.as_str()))
        .map(|(entry, value)| {
            let place = super::expr::Entry {
                key: entry.text.as_str().into(),
                span: document.span(entry.range()),
            };
            (place, Expr::read(document, value, problems))
        })
        .collect();
    Some(Resource {
        name: Spanned::new(key.text.as_str().into(), at.clone()),
        kind: Spanned::new(kind, type_span),
        for_each,
        when,
        depends_on,
        prevent_destroy,
        ignore_changes,
        create_before_destroy,
        timeout,
        inputs: Expr {
            span: at,
            form: super::expr::Form::Map(inputs),
        },
    })
}

/// Finds the word of the engine that a field nobody knows was meant to be, unless an input of the kind is nearer.
fn misspelled_engine_word(word: &str, kind: &crate::kind::Registration) -> Option<&'static str> {
    let inputs = kind
        .inputs
        .fields()
        .into_iter()
        .flat_map(|fields| fields.keys().map(String::as_str));
    let nearest = did_you_mean(word, ENGINE.iter().copied().chain(inputs))?;
    ENGINE.iter().copied().find(|engine| *engine == nearest)
}

fn unknown_kind(name: &str, at: &Span) -> Diagnostic {
    let diagnostic = Diagnostic::error("unknown-kind", format!("there is no kind `{name}`")).at(at, "unknown kind");
    let family = name.split('/').next().unwrap_or_default();
    if let Some(feature) = providers::left_out(family) {
        return diagnostic.help(format!(
            "this wasmctl was built without `{family}`; build it with `--features {feature}`"
        ));
    }
    if name.contains("{{") {
        return diagnostic.help("the type must be plain: what a resource is cannot come from a template");
    }
    match did_you_mean(name, providers::KINDS.iter().map(|kind| kind.name)) {
        Some(word) => diagnostic.help(format!("did you mean `{word}`?")),
        None => diagnostic.help("`wasmctl kinds` lists them"),
    }
}

fn read_exprs(
    document: &Document,
    node: &Node,
    section: &str,
    what: &'static str,
    into: &mut IndexMap<String, Expr>,
    problems: &mut Diagnostics,
) {
    let Content::Map(entries) = &node.content else {
        return problems.push(mismatch(document, node, &format!("`{section}`"), "map"));
    };
    for (key, node) in entries {
        let at = document.span(key.range());
        if !is_name(&key.text) {
            problems.push(bad_name(what, &key.text, &at));
        } else if let Some(other) = into.get(&key.text) {
            problems.push(twice(what, &key.text, &at, &other.span));
        } else {
            into.insert(key.text.clone(), Expr::read(document, node, problems));
        }
    }
}

const FOLDER_NAMES: &str = "names have up to 64 letters, digits, `-`, `_` and `.`, and start with a letter, a digit or `_`: they become folder names";

/// Checks the name of the stack that this one stands on.
fn check_on(on: &Spanned<String>, name: Option<&Spanned<String>>, problems: &mut Diagnostics) {
    if !is_folder_name(on) {
        problems.push(
            Diagnostic::error("bad-name", format!("`{}` cannot be the name of a stack", on.value))
                .at(&on.span, "this name")
                .help(FOLDER_NAMES),
        );
    } else if name.is_some_and(|name| name.value == on.value) {
        problems.push(
            Diagnostic::error("on", "a stack cannot stand on itself")
                .at(&on.span, "its own name")
                .help("name the stack below it, or take `on` away"),
        );
    }
}

fn read_address(text: Spanned<String>, problems: &mut Diagnostics) -> Option<Spanned<ResourceId>> {
    match text.value.parse() {
        Ok(id) => Some(Spanned::new(id, text.span)),
        Err(error) => {
            problems.push(Diagnostic::error("address", error.to_string()).at(&text.span, "this address"));
            None
        }
    }
}

/// Refuses a name.
pub(super) fn bad_name(what: &str, name: &str, at: &Span) -> Diagnostic {
    const FORM: &str = "names start with a letter or `_` and go on with letters, digits and `_`, without accents";
    let better: String = name
        .chars()
        .map(|c| if matches!(c, '-' | ' ' | '.' | '/') { '_' } else { c })
        .collect();
    let help = if is_name(&better) {
        format!("write `{better}`: {FORM}")
    } else {
        FORM.to_owned()
    };
    Diagnostic::error("bad-name", format!("`{name}` cannot be the name of {what}"))
        .at(at, "this name")
        .help(help)
}

/// Refuses a second one of the same name.
pub(super) fn twice(what: &str, name: &str, at: &Span, other: &Span) -> Diagnostic {
    let what = what.split_once(' ').map_or(what, |(_, noun)| noun);
    let diagnostic = Diagnostic::error("twice", format!("the {what} `{name}` is there twice"));
    if Arc::ptr_eq(&at.source, &other.source) {
        diagnostic.at(at, "the second").at(other, "the first")
    } else {
        diagnostic
            .at(at, "the second")
            .help(format!("the first is at {other}; give one of them another name"))
    }
}
