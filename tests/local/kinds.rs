//! The kinds as the engine holds them: create, read, update, delete, twice where it matters.

use std::time::Instant;

use rustix::process::Signal;
use serde_json::{Value, json};
use wasmctl::id::{RemoteId, Token};
use wasmctl::kind::{Change, Role, Seen};

use super::targets::{client, get, tally};
use super::world::{World, until};

const HELLO: &[u8] = include_bytes!("../../samples/hello/hello.wasm");

/// The stack of the issue: folder, component, three primitives, balancer.
struct Stack {
    world: World,
    made: Vec<(&'static str, RemoteId, Value)>,
    endpoint: String,
    metrics: String,
}

impl Stack {
    async fn deploy(source: &str) -> Self {
        let world = World::new();
        if !source.contains(':') {
            std::fs::copy("samples/hello/hello.wasm", world.root().join(source)).unwrap();
        }
        let mut made = Vec::new();
        let inputs = json!({});
        let (id, folder) = world.create("local/shared_folder", "files", &inputs).await;
        made.push(("local/shared_folder", id, inputs));
        let inputs = json!({"source": source, "folder": folder["path"]});
        let (id, app) = world.create("local/component", "app", &inputs).await;
        made.push(("local/component", id, inputs));
        let mut groups = Vec::new();
        for kind in ["local/instance", "local/container", "local/function"] {
            let name = kind.trim_start_matches("local/");
            let mut inputs = json!({"component": app["path"], "folder": folder["path"], "drain": "2s"});
            if name == "function" {
                inputs["idle"] = json!("300ms");
            }
            let (id, outputs) = world.create(kind, name, &inputs).await;
            made.push((kind, id, inputs));
            let mut group = json!({"name": name, "targets": [outputs["address"]]});
            if name != "function" {
                group["health"] = json!({"interval": "200ms"});
            }
            groups.push(group);
        }
        let inputs = json!({"target_groups": groups, "drain": "2s", "access_log": true});
        let (id, outputs) = world.create("local/load_balancer", "balancer", &inputs).await;
        made.push(("local/load_balancer", id, inputs));
        Self {
            world,
            made,
            endpoint: outputs["endpoint"].as_str().unwrap().to_owned(),
            metrics: outputs["metrics"].as_str().unwrap().to_owned(),
        }
    }

    fn one(&self, kind: &str) -> (RemoteId, Value) {
        let (_, id, inputs) = self.made.iter().find(|(name, ..)| *name == kind).unwrap();
        (id.clone(), inputs.clone())
    }

    async fn destroy(mut self) -> World {
        while let Some((kind, id, inputs)) = self.made.pop() {
            self.world.delete(kind, &id, &inputs).await;
        }
        self.world
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_stack_serves_in_equal_parts_and_leaves_nothing() {
    let stack = Stack::deploy("builtin:hello").await;
    let client = client();
    let mut answers = Vec::new();
    for _ in 0..300 {
        answers.push(get(&client, &stack.endpoint).await.unwrap());
    }
    let tally = tally(&answers);
    assert_eq!(
        tally.into_iter().collect::<Vec<_>>(),
        [
            ("container".to_owned(), 100),
            ("function".to_owned(), 100),
            ("instance".to_owned(), 100),
        ]
    );
    for answer in &answers {
        assert_eq!(answer.status, 200);
        assert!(answer.body.starts_with("Hello, "), "{}", answer.body);
        assert!(answer.body.contains(&format!("primitive: {}", answer.by)), "{answer:?}");
    }
    let metrics = get(&client, &stack.metrics).await.unwrap().body;
    assert!(
        metrics.contains("wasmctl_balancer_requests_total{group=\"instance\",code=\"2xx\"} 100"),
        "{metrics}"
    );
    // The same again finds everything as it is.
    for (kind, id, inputs) in &stack.made {
        let seen = stack.world.kind(kind).read(id, inputs).await.unwrap();
        let Seen::Ready { inputs: there, .. } = seen else {
            panic!("{kind}: {seen:?}")
        };
        let Role::Object { change, .. } = &wasmctl::providers::kind(kind).unwrap().role else {
            panic!()
        };
        assert_eq!(change(&there, inputs).unwrap(), Change::None, "{kind}");
    }
    let processes: Vec<_> = stack
        .made
        .iter()
        .skip(2)
        .flat_map(|(_, id, _)| {
            let record = stack.world.record(id);
            [Some(record.guardian), record.worker]
        })
        .flatten()
        .collect();
    assert!(processes.iter().all(wasmctl::guard::ProcessId::is_alive));
    let world = stack.destroy().await;
    until("ended", String::new, async || {
        (!processes.iter().any(wasmctl::guard::ProcessId::is_alive)).then_some(())
    })
    .await;
    assert_eq!(world.sweep().await, [""; 0]);
    let left: Vec<_> = std::fs::read_dir(world.root().join(".wasmctl/test/default"))
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default();
    assert_eq!(left, [""; 0].map(std::path::PathBuf::from));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn creating_twice_with_one_token_gives_one_process() {
    let world = World::new();
    let (_, folder) = world.create("local/shared_folder", "files", &json!({})).await;
    let (_, app) = world
        .create(
            "local/component",
            "app",
            &json!({"source": "builtin:hello", "folder": folder["path"]}),
        )
        .await;
    let inputs = json!({"component": app["path"]});
    let token = Token::new("0123456789abcdef01234567");
    let (first, second) = tokio::join!(
        world.try_create("local/instance", "web", &token, &inputs),
        world.try_create("local/instance", "web", &token, &inputs),
    );
    let id = first.unwrap();
    assert_eq!(id, second.unwrap());
    let outputs = world.ready("local/instance", &id, &inputs).await;
    assert_eq!(
        world
            .try_create("local/instance", "web", &token, &inputs)
            .await
            .unwrap(),
        id
    );
    let again = world.ready("local/instance", &id, &inputs).await;
    assert_eq!(outputs, again);
    world.delete("local/instance", &id, &inputs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_source_is_drift_and_is_taken_over_under_load() {
    let stack = Stack::deploy("app.wasm").await;
    let (id, inputs) = stack.one("local/component");
    let kind = stack.world.kind("local/component");
    // A custom section changes the bytes and nothing else.
    let mut changed = HELLO.to_vec();
    changed.extend([0, 5, 4, b't', b'e', b's', b't']);
    std::fs::copy("samples/hello/hello.wasm", stack.world.root().join("app.wasm")).unwrap();
    let write = |bytes: &[u8]| {
        let path = stack.world.root().join("app.new");
        std::io::Write::write_all(&mut std::fs::File::create(&path).unwrap(), bytes).unwrap();
        std::fs::rename(path, stack.world.root().join("app.wasm")).unwrap();
    };
    write(&changed);
    let Seen::Ready { inputs: drifted, .. } = kind.read(&id, &inputs).await.unwrap() else {
        panic!()
    };
    assert!(drifted["sha256"].is_string());
    let Role::Object { change, .. } = &wasmctl::providers::kind("local/component").unwrap().role else {
        panic!()
    };
    assert_eq!(change(&drifted, &inputs).unwrap(), Change::Update);

    let load = load(&stack.endpoint, 2_000, 8);
    let update = async {
        kind.update(&id, &drifted, &inputs).await.unwrap();
        stack.world.ready("local/component", &id, &inputs).await
    };
    let (failures, outputs) = tokio::join!(load, update);
    assert_eq!(failures, [""; 0]);
    let wanted = outputs["sha256"].as_str().unwrap().to_owned();
    for kind in ["local/instance", "local/container"] {
        let (id, _) = stack.one(kind);
        until("swapped", String::new, async || {
            (stack.world.record(&id).swapped.as_deref() == Some(&wanted)).then_some(())
        })
        .await;
    }
    stack.destroy().await;
}

/// Sends requests over several connections and returns what failed.
async fn load(endpoint: &str, requests: usize, connections: usize) -> Vec<String> {
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let (client, endpoint) = (client(), endpoint.to_owned());
        tasks.push(tokio::spawn(async move {
            let mut failures = Vec::new();
            for _ in 0..requests / connections {
                match get(&client, &endpoint).await {
                    Ok(got) if got.status == 200 => {}
                    Ok(got) => failures.push(format!("{} {}", got.status, got.body)),
                    Err(error) => failures.push(error),
                }
            }
            failures
        }));
    }
    let mut failures = Vec::new();
    for task in tasks {
        failures.extend(task.await.unwrap());
    }
    failures
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_worker_or_guardian_is_back_within_two_seconds() {
    let stack = Stack::deploy("builtin:hello").await;
    for kind in [
        "local/instance",
        "local/container",
        "local/function",
        "local/load_balancer",
    ] {
        for victim in ["worker", "guardian"] {
            let (id, _) = stack.one(kind);
            // Wakes the function, so that there is a worker to kill.
            for _ in 0..3 {
                assert_eq!(
                    get(&client(), &stack.endpoint).await.unwrap().status,
                    200,
                    "{kind} {victim}"
                );
            }
            let before = stack.world.record(&id);
            let killed = match victim {
                "worker" => before.worker.clone().unwrap_or(before.guardian.clone()),
                _ => before.guardian.clone(),
            };
            let start = Instant::now();
            assert!(killed.signal(Signal::KILL).unwrap());
            until(
                "back",
                || format!("{:?}", stack.world.record(&id)),
                async || {
                    let now = stack.world.record(&id);
                    let fresh = now.guardian != killed && now.worker.as_ref() != Some(&killed);
                    let up = now.progress == wasmctl::guard::Progress::Ready && now.guardian.is_alive();
                    (fresh && up).then_some(())
                },
            )
            .await;
            let took = start.elapsed();
            assert!(took.as_millis() < 2_000, "{kind} {victim}: {took:?}");
            eprintln!("{kind} {victim}: back after {took:?}");
            assert_eq!(stack.world.record(&id).address, before.address);
        }
    }
    assert_eq!(load(&stack.endpoint, 300, 4).await, [""; 0]);
    stack.destroy().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_killed_as_a_whole_is_drift_and_mended_in_place() {
    let stack = Stack::deploy("builtin:hello").await;
    for kind in ["local/instance", "local/load_balancer"] {
        let (id, inputs) = stack.one(kind);
        let bound = stack.world.kind(kind);
        let before = stack.world.record(&id);
        // The worker first would be replaced, the guardian first would be healed: stopped, neither can act.
        before.guardian.signal(Signal::STOP).unwrap();
        before.worker.as_ref().unwrap().signal(Signal::KILL).unwrap();
        before.guardian.signal(Signal::KILL).unwrap();
        let drifted = until("down", String::new, async || {
            match bound.read(&id, &inputs).await.unwrap() {
                Seen::Ready { inputs, .. } if inputs["running"] == json!(false) => Some(inputs),
                _ => None,
            }
        })
        .await
        .unwrap();
        let wanted = inputs.clone();
        let Role::Object { change, .. } = &wasmctl::providers::kind(kind).unwrap().role else {
            panic!()
        };
        assert_eq!(change(&drifted, &wanted).unwrap(), Change::Update);
        bound.update(&id, &drifted, &wanted).await.unwrap();
        stack.world.ready(kind, &id, &inputs).await;
        assert_eq!(stack.world.record(&id).address, before.address);
    }
    assert_eq!(load(&stack.endpoint, 30, 1).await, [""; 0]);
    stack.destroy().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_in_place_drops_no_request() {
    let stack = Stack::deploy("builtin:hello").await;
    let change = async {
        for kind in ["local/instance", "local/container", "local/function"] {
            let (id, inputs) = stack.one(kind);
            let mut to = inputs.clone();
            to["env"] = json!({"GREETING": "again"});
            stack.world.kind(kind).update(&id, &inputs, &to).await.unwrap();
            stack.world.ready(kind, &id, &to).await;
        }
        let (id, inputs) = stack.one("local/load_balancer");
        let mut to = inputs.clone();
        to["target_groups"][0]["weight"] = json!(5);
        stack
            .world
            .kind("local/load_balancer")
            .update(&id, &inputs, &to)
            .await
            .unwrap();
        stack.world.ready("local/load_balancer", &id, &to).await;
    };
    let (failures, ()) = tokio::join!(load(&stack.endpoint, 4_000, 8), change);
    assert_eq!(failures, [""; 0]);
    let client = client();
    let mut answers = Vec::new();
    for _ in 0..70 {
        answers.push(get(&client, &stack.endpoint).await.unwrap());
    }
    assert_eq!(tally(&answers)["instance"], 50);
    stack.destroy().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_scales_to_zero_and_back() {
    let stack = Stack::deploy("builtin:hello").await;
    let (id, _) = stack.one("local/function");
    let address = stack.world.record(&id).address;
    let url = format!("http://{address}/");
    for _ in 0..3 {
        until("idle", String::new, async || {
            stack.world.record(&id).worker.is_none().then_some(())
        })
        .await;
        let start = Instant::now();
        assert_eq!(get(&client(), &url).await.unwrap().status, 200);
        eprintln!("cold start: {:?}", start.elapsed());
        assert!(stack.world.record(&id).worker.is_some());
    }
    stack.destroy().await;
}

#[tokio::test]
async fn what_cannot_be_served_is_refused_with_the_reason() {
    let world = World::new();
    let (_, folder) = world.create("local/shared_folder", "files", &json!({})).await;
    std::io::Write::write_all(&mut std::fs::File::create(world.root().join("x.wasm")).unwrap(), b"no").unwrap();
    let token = Token::new("0123456789abcdef01234567");
    for (inputs, field) in [
        (json!({"source": "x.wasm"}), "source"),
        (json!({"source": "missing.wasm"}), "source"),
        (json!({"source": "builtin:hello", "sha256": "0".repeat(64)}), "sha256"),
    ] {
        let mut inputs = inputs;
        inputs["folder"] = folder["path"].clone();
        let error = world
            .try_create("local/component", "app", &token, &inputs)
            .await
            .unwrap_err();
        assert_eq!(error.field.as_deref(), Some(field), "{error}");
    }
    assert_eq!(
        std::fs::read_dir(folder["absolute"].as_str().unwrap()).unwrap().count(),
        1,
        "only the marker"
    );
}

#[tokio::test]
async fn a_folder_that_is_not_ours_is_neither_taken_nor_removed() {
    let world = World::new();
    std::fs::create_dir_all(world.root().join("data/mine")).unwrap();
    let token = Token::new("0123456789abcdef01234567");
    let inputs = json!({"path": "data"});
    let error = world
        .try_create("local/shared_folder", "files", &token, &inputs)
        .await
        .unwrap_err();
    assert_eq!(error.class, wasmctl::kind::Class::Conflict);
    let inputs = json!({"path": "a/b"});
    let (id, _) = world.create("local/shared_folder", "files", &inputs).await;
    std::fs::remove_file(world.root().join("a/b/.wasmctl-folder")).unwrap();
    world.delete("local/shared_folder", &id, &inputs).await;
    assert!(world.root().join("a/b").is_dir());
    assert!(world.root().join("data/mine").is_dir());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_is_taken_is_reported() {
    let world = World::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let inputs = json!({"target_groups": [], "listen": taken.local_addr().unwrap().to_string()});
    let token = Token::new("0123456789abcdef01234567");
    let id = world
        .try_create("local/load_balancer", "lb", &token, &inputs)
        .await
        .unwrap();
    let bound = world.kind("local/load_balancer");
    let detail = until("broken", String::new, async || {
        match bound.read(&id, &inputs).await.unwrap() {
            Seen::Broken { detail } => Some(detail),
            _ => None,
        }
    })
    .await
    .unwrap();
    assert!(detail.contains("cannot listen on"), "{detail}");
    world.delete("local/load_balancer", &id, &inputs).await;
    assert_eq!(world.sweep().await, [""; 0]);
}
