//! What every kind owes the engine: created twice with one token it is one, what it reads is what it was
//! made from, deleted twice it is gone, and then it reads as absent.
//!
//! The list of kinds is the engine's own: a new kind without a sample here fails.
#![allow(missing_docs)]
#![cfg(feature = "local")]

#[path = "local/world.rs"]
#[allow(dead_code, unreachable_pub)]
mod world;

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use wasmctl::id::{Lineage, Token};
use wasmctl::kind::{Role, Seen};
use wasmctl::plan::diff;
use wasmctl::providers::KINDS;
use wasmctl::value::{Seal, Value};

use world::World;

/// Inputs for a kind, given the outputs of those before it in the list.
fn sample(kind: &str, made: &BTreeMap<&str, Json>) -> Json {
    let of = |kind: &str, output: &str| made[kind][output].clone();
    let served = || json!({ "component": of("local/component", "path"), "folder": of("local/shared_folder", "path") });
    match kind {
        "std/value" => json!({ "value": { "a": [1, true, "x"] } }),
        "std/file" => json!({ "path": "out/deep/file", "content": "é\n", "mode": "0600" }),
        "std/template" => json!({ "template": "page", "vars": { "a": 1 } }),
        "std/command" => {
            json!({ "run": ["sh", "-c", "echo once >> log; echo $A"], "destroy": "echo gone >> log", "env": { "A": "b" } })
        }
        "std/random" => json!({ "length": 12 }),
        "std/wait_http" => json!({ "url": "http://127.0.0.1:9/", "timeout": "1s" }),
        "local/shared_folder" => json!({}),
        "local/component" => json!({ "source": "builtin:hello", "folder": of("local/shared_folder", "path") }),
        "local/instance" | "local/container" | "local/function" => served(),
        "local/load_balancer" => json!({
            "target_groups": [{ "name": "instance", "targets": [of("local/instance", "address")], "health": { "path": "/" } }]
        }),
        other => panic!("{other} has no sample: add one, so that it is held to the contract"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_keeps_the_contract() {
    let world = World::new();
    let seal = Seal::of(&Lineage::new("test"));
    let mut made: BTreeMap<&str, Json> = BTreeMap::new();
    let mut objects = Vec::new();
    for kind in KINDS.iter() {
        let inputs = sample(kind.name, &made);
        let inputs = kind.inputs.complete(Value::Known(inputs)).reveal().unwrap();
        let mut problems = Vec::new();
        kind.inputs.check(&Value::Known(inputs.clone()), "", &mut problems);
        problems.extend((kind.check)(&inputs).unwrap());
        assert_eq!(problems, [], "{}", kind.name);
        match &kind.role {
            Role::Computed { compute, .. } => {
                let token = Token::new("000000000000000000000001");
                let first = compute(world.providers(), &inputs, &token).unwrap();
                assert_eq!(
                    first,
                    compute(world.providers(), &inputs, &token).unwrap(),
                    "{}",
                    kind.name
                );
                made.insert(kind.name, first);
            }
            // A gate has no object: what it waits for is not ours.
            Role::Object { lasts: false, .. } => {}
            Role::Object { .. } => {
                let address = kind.name.split('/').nth(1).unwrap();
                let token = Token::new(format!("{:0>24}", made.len()));
                let id = world.try_create(kind.name, address, &token, &inputs).await.unwrap();
                let again = world.try_create(kind.name, address, &token, &inputs).await.unwrap();
                assert_eq!(id, again, "{}: one token, two objects", kind.name);
                let outputs = world.ready(kind.name, &id, &inputs).await;
                match world.kind(kind.name).read(&id, &inputs).await.unwrap() {
                    Seen::Ready { inputs: live, .. } => {
                        let changes = diff(&inputs, &Value::Known(live), &kind.inputs, &seal);
                        assert_eq!(
                            changes,
                            [],
                            "{}: what it reads differs from what it was made from",
                            kind.name
                        );
                    }
                    seen => panic!("{}: {seen:?}", kind.name),
                }
                made.insert(kind.name, outputs);
                objects.push((kind.name, id, inputs));
            }
        }
    }
    assert_eq!(std::fs::read_to_string(world.root().join("log")).unwrap(), "once\n");
    for (kind, id, inputs) in objects.iter().rev() {
        world.delete(kind, id, inputs).await;
        assert_eq!(world.kind(kind).read(id, inputs).await.unwrap(), Seen::Absent, "{kind}");
    }
    assert_eq!(world.sweep().await, Vec::<String>::new());
    assert_eq!(
        std::fs::read_to_string(world.root().join("log")).unwrap(),
        "once\ngone\n"
    );
    assert!(!world.root().join("out").exists());
}
