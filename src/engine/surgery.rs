//! `wasmctl state …`: looking at the record, and mending it by hand.

use std::sync::Arc;

use super::{Error, Request, connect, load};
use crate::apply::Fatal;
use crate::diagnostic::did_you_mean;
use crate::id::{ResourceId, Token};
use crate::kind::{Role, Seen};
use crate::state::file::{Folder, Holder};
use crate::state::{LastRun, Object, Phase, Record, State};
use crate::value::{Seal, Value};

fn not_deployed(stack: &str, env: &str) -> Error {
    Error::refused(
        format!("`{stack}` is not deployed in `{env}`"),
        "`wasmctl stacks` lists what can be deployed",
    )
}

/// Returns the folder of a request's state: by the stack's own name where its file can be read.
///
/// # Errors
/// Says why there is none.
pub fn folder(request: &Request) -> Result<Folder, Error> {
    let name = match load(request, false) {
        Ok((stack, _)) => stack.name.to_string(),
        Err(problems) => {
            let name = request
                .stack
                .trim_end_matches('/')
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned();
            let fits = crate::id::is_folder_name(&name) && crate::id::is_folder_name(&request.env);
            if !fits || Folder::of(&request.root, &name, &request.env).read()?.is_none() {
                return Err(problems.into());
            }
            name
        }
    };
    Ok(Folder::of(&request.root, &name, &request.env))
}

/// Reads the record.
///
/// # Errors
/// Says why it cannot be read, or that there is none.
pub fn read(request: &Request) -> Result<State, Error> {
    let opened = folder(request)?.read()?;
    opened
        .map(|opened| opened.state)
        .ok_or_else(|| not_deployed(&request.stack, &request.env))
}

/// Says who holds the lock.
///
/// # Errors
/// Says why that cannot be told.
pub fn holder(request: &Request) -> Result<Option<Holder>, Error> {
    Ok(folder(request)?.holder()?)
}

/// Gives a resource a new address in the record.
///
/// # Errors
/// Says why not; the record is then as it was.
pub fn rename(request: &Request, from: &ResourceId, to: &ResourceId) -> Result<(), Error> {
    change(request, |state| {
        recorded(state, from)?;
        if state.objects.contains_key(to) {
            return Err(Error::refused(
                format!("`{to}` is recorded already"),
                "take it away or move it first",
            ));
        }
        Ok(Record::Moved {
            from: from.clone(),
            to: to.clone(),
        })
    })
}

/// Forgets a resource: the object stays, and is no longer our business.
///
/// # Errors
/// Says why not; the record is then as it was.
pub fn forget(request: &Request, resource: &ResourceId) -> Result<(), Error> {
    change(request, |state| {
        recorded(state, resource)?;
        Ok(Record::Forgotten {
            resource: resource.clone(),
        })
    })
}

/// Takes an existing object into the record as a declared resource.
///
/// # Errors
/// Says why not; the record is then as it was.
pub async fn import(request: &Request, id: &ResourceId, name: &str) -> Result<(), Error> {
    let (stack, _) = load(request, true)?;
    let Some(resource) = stack.resources.get(&id.name) else {
        let near = did_you_mean(&id.name, stack.resources.keys().map(AsRef::as_ref));
        let help = near.map_or_else(
            || "declare it in the stack first: what is imported is compared with what is declared".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        return Err(Error::refused(format!("the stack declares no `{id}`"), help));
    };
    if resource.for_each.is_some() != id.key.is_some() {
        return Err(Error::refused(
            format!("`{id}` is no address of that resource"),
            if id.key.is_some() {
                "it has no `for_each`"
            } else {
                "it has `for_each`: name the instance, `name[key]`"
            },
        ));
    }
    let Role::Object { bind, lasts: true, .. } = &resource.kind.role else {
        return Err(Error::refused(
            format!("{} has no object to import", resource.kind.name),
            "deploy it instead",
        ));
    };
    let folder = Folder::of(&request.root, &stack.name, &stack.env);
    let lock = folder.lock(request.command, &request.now())?;
    let opened = match folder.read()? {
        Some(opened) => opened,
        None => crate::state::file::Opened::fresh(State::new(
            super::draw_lineage(request),
            Arc::clone(&stack.name),
            Arc::clone(&stack.env),
        )),
    };
    if opened.state.objects.contains_key(id) {
        return Err(Error::refused(
            format!("`{id}` is recorded already"),
            "`wasmctl state rm` forgets it",
        ));
    }
    let connected = connect(request, &stack, &opened.state, None).await?;
    let refused = |source: crate::kind::Error| Error::Provider {
        what: format!("cannot import `{name}`"),
        source: Box::new(source),
    };
    let Some(bound) = bind(&connected) else {
        return Err(Error::refused(
            format!("the provider of {} is not connected", resource.kind.name),
            "",
        ));
    };
    let remote = bound.import(name).await.map_err(refused)?;
    // What is declared is only a hint at how values are spelled; unknown parts are left out.
    let outputs = crate::stack::scope::Outputs::default();
    let stack_value = crate::plan::stack_value(&stack);
    let scope = crate::stack::scope::Scope {
        variables: &stack.values,
        stack: &stack_value,
        on: None,
        outputs: &outputs,
        each: None,
    };
    let declared = resource.inputs.eval(&scope, &mut Vec::new()).unwrap_or(Value::Unknown);
    let declared = resource.kind.inputs.complete(declared).reveal().ok_or_else(|| {
        Error::refused(
            format!("the inputs of `{id}` depend on other resources"),
            "import those first, or write the values out until it is imported",
        )
    })?;
    let (inputs, outputs) = match bound.read(&remote, &declared).await.map_err(refused)? {
        Seen::Ready { inputs, outputs } => (inputs, outputs),
        Seen::Absent => {
            return Err(Error::refused(
                format!("there is no `{name}`"),
                "look at its name or id again",
            ));
        }
        Seen::Pending { detail } | Seen::Broken { detail } => {
            return Err(Error::refused(
                format!("`{name}` is not ready: {detail}"),
                "import it when it is",
            ));
        }
    };
    let seal = Seal::of(&opened.state.lineage);
    let outputs = crate::plan::outputs_value(resource.kind.value, outputs, &serde_json::Value::Null);
    let object = Object {
        kind: resource.kind.name.into(),
        token: Token::draw(&mut request.random()),
        id: Some(remote),
        inputs: resource
            .kind
            .inputs
            .complete(Value::Known(inputs))
            .sealed(&seal)
            .unwrap_or_default(),
        outputs: outputs.sealed(&seal).unwrap_or_default(),
        needs: Vec::new(),
        protected: resource.prevent_destroy,
        phase: Phase::Settled,
    };
    let record = Record::Imported {
        resource: id.clone(),
        object: Box::new(object),
    };
    write(request, &folder, &lock, opened, &record)
}

fn recorded(state: &State, id: &ResourceId) -> Result<(), Error> {
    if state.objects.contains_key(id) {
        return Ok(());
    }
    let names: Vec<String> = state.objects.keys().map(ToString::to_string).collect();
    let help = did_you_mean(&id.to_string(), names.iter().map(String::as_str)).map_or_else(
        || "`wasmctl state list` shows what is recorded".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    Err(Error::refused(format!("`{id}` is not recorded"), help))
}

fn change(request: &Request, decide: impl FnOnce(&State) -> Result<Record, Error>) -> Result<(), Error> {
    let folder = folder(request)?;
    let lock = folder.lock(request.command, &request.now())?;
    let opened = folder
        .read()?
        .ok_or_else(|| not_deployed(&request.stack, &request.env))?;
    let record = decide(&opened.state)?;
    write(request, &folder, &lock, opened, &record)
}

fn write(
    request: &Request,
    folder: &Folder,
    lock: &crate::state::file::Lock,
    opened: crate::state::file::Opened,
    record: &Record,
) -> Result<(), Error> {
    let complete = opened.state.last_run == LastRun::Complete;
    let (mut state, mut journal) = folder.start(lock, opened, &request.now(), request.seam)?;
    journal.append(&mut state, record).map_err(Fatal::from)?;
    journal
        .append(
            &mut state,
            &Record::Ended {
                outputs: None,
                complete,
            },
        )
        .map_err(Fatal::from)?;
    super::sync(&mut journal)?;
    drop(journal);
    folder.rotate(lock, &mut state)?;
    Ok(())
}
