//! Plan, deploy, empty plan, drift, update, destroy, nothing left.

use crate::project::{Project, actions, show};

const STACK: &str = r#"
variables:
  greeting: { type: string, default: hello }
  names: { type: list, default: [a, b] }
resources:
  word:
    type: std/value
    value: "{{ var.greeting }}"
  file:
    type: std/file
    for_each: "{{ var.names }}"
    path: "out/{{ each.key }}.txt"
    content: "{{ word.value }} {{ each.value }}\n"
  id:
    type: std/random
  all:
    type: std/file
    path: out/all.txt
    content: "{% for k in file %}{{ k }},{% endfor %} {{ file['a'].sha256 }} {{ id.value | length }}"
  ran:
    type: std/command
    run: [sh, -c, "cat out/all.txt; echo made >> made.log"]
    destroy: "echo gone >> made.log"
    triggers: { all: "{{ all.sha256 }}" }
outputs:
  all: "{{ all.sha256 }}"
  said: "{{ ran.stdout }}"
env:
  greeting: "{{ word.value }}"
"#;

/// Says in full what a plan would change; nothing, where all is as it should be.
async fn changes(project: &Project) -> String {
    let planned = project.plan().await;
    let actions: Vec<_> = planned
        .plan
        .actions
        .iter()
        .map(|action| format!("{action:?}\n"))
        .collect();
    actions.concat()
}

#[tokio::test]
async fn a_whole_life() {
    let project = Project::new(STACK);
    let planned = project.plan().await;
    assert_eq!(
        actions(&planned),
        ["+ all", "+ file[a]", "+ file[b]", "+ id", "+ ran", "+ word"]
    );
    assert_eq!(project.files(), Vec::<String>::new());

    let report = project.deploy().await;
    assert_eq!(report.tally.created, 6);
    assert_eq!(project.read("out/a.txt").unwrap(), "hello a\n");
    let env = project.read(".env").unwrap();
    assert!(
        env.contains("INFRA_FOLDER=stacks/s\nSTACK=s\nSTACK_ENV=default\nSTACK_SERIAL=1\nGREETING=hello\n"),
        "{env}"
    );
    assert_eq!(project.read("made.log").unwrap(), "made\n");

    assert_eq!(changes(&project).await, "");
    project.events.lock().unwrap().clear();
    let report = project.deploy().await;
    let events = project.events.lock().unwrap().join("\n");
    assert_eq!(
        (report.tally.created, report.tally.updated, report.serial),
        (0, 0, 1),
        "{events}"
    );

    // Drift: a file changed, a file deleted.
    project.write("out/a.txt", "something else");
    std::fs::remove_file(project.path("out/b.txt")).unwrap();
    let planned = project.plan().await;
    let drifted = planned
        .plan
        .actions
        .iter()
        .find(|a| a.resource.to_string() == "file[a]")
        .unwrap();
    assert_eq!(drifted.drift.len(), 1);
    project.deploy().await;
    assert_eq!(project.read("out/a.txt").unwrap(), "hello a\n");
    assert_eq!(project.read("out/b.txt").unwrap(), "hello b\n");
    assert_eq!(changes(&project).await, "");

    // Only what depends on the variable changes, in place where it can.
    let mut project = project;
    project.vars = vec![("greeting".to_owned(), "good day".to_owned())];
    let planned = project.plan().await;
    assert_eq!(
        actions(&planned),
        ["-/+ ran", "~ all", "~ file[a]", "~ file[b]", "~ word"]
    );
    project.deploy().await;
    assert_eq!(project.read("out/b.txt").unwrap(), "good day b\n");
    assert_eq!(changes(&project).await, "");

    project.vars.push(("names".to_owned(), "[a, c]".to_owned()));
    let planned = project.plan().await;
    assert_eq!(actions(&planned), ["+ file[c]", "- file[b]", "-/+ ran", "~ all"]);
    project.deploy().await;
    assert!(project.read("out/b.txt").is_none());
    assert_eq!(changes(&project).await, "");

    let report = project.destroy().await;
    assert_eq!(report.exit_code(), 0);
    assert_eq!(report.left.as_deref(), Some(&[][..]));
    assert_eq!(project.files(), ["made.log"]);
    assert_eq!(project.read("made.log").unwrap().matches("gone").count(), 3);
}

#[tokio::test]
async fn what_was_there_before_is_a_conflict_and_stays() {
    let project = Project::new("resources:\n  f: { type: std/file, path: a.txt, content: x }\n");
    project.write("a.txt", "x");
    let report = project.try_deploy("s").await.unwrap();
    assert_eq!(report.exit_code(), 1);
    assert!(
        project
            .events
            .lock()
            .unwrap()
            .iter()
            .any(|event| event.contains("not ours"))
    );
    project.destroy().await;
    assert_eq!(project.read("a.txt").unwrap(), "x");
}

#[tokio::test]
async fn a_failure_keeps_its_neighbours_and_the_next_deploy_goes_on() {
    let project = Project::new(
        "resources:\n  bad: { type: std/command, run: [sh, -c, 'test -e ok || { echo no >&2; exit 3; }'] }\n  \
         after: { type: std/value, value: '{{ bad.stdout }}' }\n  good: { type: std/file, path: g, content: g }\n",
    );
    let report = project.try_deploy("s").await.unwrap();
    assert_eq!(
        (report.tally.failed, report.tally.skipped, report.tally.created),
        (1, 1, 1)
    );
    assert!(project.read(".env").unwrap().contains("STACK_STATUS=failed"));
    project.write("ok", "");
    assert_eq!(actions(&project.plan().await), ["+ after", "+ bad"]);
    project.deploy().await;
    assert!(!project.read(".env").unwrap().contains("STACK_STATUS"));
    project.destroy().await;
    assert_eq!(project.files(), ["ok"]);
}

#[tokio::test]
async fn create_before_destroy_and_moves() {
    let base = |path: &str, extra: &str| {
        format!(
            "resources:\n  f: {{ type: std/file, path: {path}, content: x, create_before_destroy: true }}\n  \
             user: {{ type: std/file, path: user, content: '{{{{ f.path }}}}' }}\n{extra}"
        )
    };
    let project = Project::new(&base("one", ""));
    project.deploy().await;
    project.stack(&base("two", ""));
    assert_eq!(actions(&project.plan().await), ["+/- f", "~ user"]);
    project.deploy().await;
    assert_eq!(
        project.files(),
        [
            ".env",
            ".wasmctl/s/default/journal.previous",
            ".wasmctl/s/default/lock",
            ".wasmctl/s/default/state.json",
            ".wasmctl/s/default/state.previous.json",
            "two",
            "user"
        ]
    );
    project.stack(
        &base("two", "moved: [{ from: f, to: g }]\n")
            .replace("  f:", "  g:")
            .replace("f.path", "g.path"),
    );
    let planned = project.plan().await;
    assert_eq!(actions(&planned), Vec::<String>::new());
    assert!(!planned.is_empty());
    project.deploy().await;
    assert!(project.plan().await.is_empty());
    project.destroy().await;
    assert_eq!(project.files(), Vec::<String>::new());
}

#[tokio::test]
async fn secrets_are_recorded_nowhere() {
    let mut project = Project::new(
        "variables:\n  pw: { type: string, sensitive: true }\nresources:\n  v: { type: std/value, value: { user: ada, pw: '{{ var.pw }}' } }\n  \
         f: { type: std/file, path: conf, mode: '0600', content: 'pw={{ v.value.pw }}' }\n  \
         c: { type: std/command, run: 'echo $PW', destroy: 'test $PW != none && echo bye > bye', env: { PW: '{{ var.pw }}' } }\n\
         outputs:\n  pw: '{{ v.value.pw }}'\n",
    );
    project.vars = vec![("pw".to_owned(), "hunter22xx".to_owned())];
    let report = project.deploy().await;
    assert_eq!(report.outputs["pw"].reveal().unwrap(), "hunter22xx");
    assert_eq!(changes(&project).await, "");
    for file in project.files() {
        if file != "conf" {
            let text = project.read(&file).unwrap();
            assert!(!text.contains("hunter22xx"), "{file}: {text}");
        }
    }
    assert!(!format!("{:?}", project.events.lock().unwrap()).contains("hunter22xx"));
    project.vars[0].1 = "another1".to_owned();
    assert_eq!(actions(&project.plan().await), ["~ c", "~ f", "~ v"]);
    project.vars[0].1 = "hunter22xx".to_owned();
    assert_eq!(project.destroy().await.exit_code(), 0);
    assert_eq!(project.files(), ["bye"]);
}

#[tokio::test]
async fn one_stack_stands_on_another() {
    let project = Project::new("resources:\n  v: { type: std/value, value: 7 }\noutputs:\n  seven: '{{ v.value }}'\n");
    project.write(
        "stacks/top/stack.yaml",
        "name: top\non: s\nresources:\n  f: { type: std/value, value: '{{ on.seven }}' }\noutputs: { eight: '{{ f.value + 1 }}' }\n",
    );
    let error = project.try_deploy("top").await.unwrap_err();
    assert!(show(&error).contains("not deployed"), "{}", show(&error));
    project.deploy().await;
    let report = project.try_deploy("top").await.unwrap();
    assert_eq!(report.outputs["eight"].reveal().unwrap(), "8");
    let error = project.try_destroy("s").await.unwrap_err();
    assert!(show(&error).contains("stands on it"), "{}", show(&error));
    assert_eq!(project.try_destroy("top").await.unwrap().exit_code(), 0);
    assert_eq!(project.destroy().await.exit_code(), 0);
    assert_eq!(project.files(), Vec::<String>::new());
}

#[tokio::test]
async fn targets_drag_in_what_they_need() {
    let mut project = Project::new(
        "resources:\n  a: { type: std/file, path: a, content: a }\n  b: { type: std/file, path: b, content: '{{ a.sha256 }}' }\n  \
         c: { type: std/file, path: c, content: c }\n  d: { type: std/file, path: d, content: '{{ b.path }}' }\n",
    );
    project.targets = vec!["b".to_owned()];
    assert_eq!(actions(&project.plan().await), ["+ a", "+ b"]);
    project.deploy().await;
    project.targets.clear();
    assert_eq!(actions(&project.plan().await), ["+ c", "+ d"]);
    project.deploy().await;
    project.targets = vec!["b".to_owned()];
    project.destroy().await;
    assert_eq!(project.read("a").as_deref(), Some("a"));
    assert!(project.read("b").is_none() && project.read("d").is_none());
    project.targets.clear();
    assert_eq!(project.destroy().await.exit_code(), 0);
    assert_eq!(project.files(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_protected_is_not_taken_away() {
    let project = Project::new("resources:\n  f: { type: std/file, path: f, content: f, prevent_destroy: true }\n");
    project.deploy().await;
    for attempt in [project.try_destroy("s").await.err(), {
        project.stack("resources: {}\n");
        project.try_deploy("s").await.err()
    }] {
        assert!(show(&attempt.unwrap()).contains("protected"));
    }
    project.stack("resources:\n  f: { type: std/file, path: f, content: f }\n");
    project.deploy().await;
    assert_eq!(project.destroy().await.exit_code(), 0);
}

/// Found by the properties: `b` comes first and goes last, `a` goes first, and `c` changes from one to the other.
#[tokio::test]
async fn replacements_in_both_orders_do_not_wait_for_each_other() {
    let stack = |suffix: &str, b: &str, c: &str| {
        format!(
            "resources:\n  a: {{ type: std/file, path: a{suffix}, content: a }}\n  \
             b: {{ type: std/file, path: b{suffix}, content: '{b}', create_before_destroy: true }}\n  \
             c: {{ type: std/file, path: c, content: '{c}' }}\n"
        )
    };
    let project = Project::new(&stack("1", "{{ a.sha256 }}", "{{ b.sha256 }}"));
    project.deploy().await;
    project.stack(&stack("2", "b", "{{ a.path }}"));
    assert_eq!(actions(&project.plan().await), ["+/- b", "-/+ a", "~ c"]);
    project.deploy().await;
    assert_eq!(changes(&project).await, "");
    assert_eq!(project.destroy().await.exit_code(), 0);
    assert_eq!(project.files(), Vec::<String>::new());
}

#[tokio::test]
async fn a_folder_that_goes_with_its_last_file_does_not_take_a_new_neighbour_with_it() {
    let mut project = Project::new(
        r#"
variables: { names: { type: list, default: [a] } }
resources:
  file:
    type: std/file
    for_each: "{{ var.names }}"
    path: "out/deep/{{ each.key }}"
    content: x
"#,
    );
    // One goes while another comes, again and again.
    for round in 0..40 {
        project.vars = vec![("names".to_owned(), format!("[n{round}]"))];
        project.deploy().await;
    }
    assert_eq!(project.read("out/deep/n39").unwrap(), "x");
}

#[cfg(unix)]
#[tokio::test]
async fn what_leads_out_of_the_project_through_a_link_is_refused() {
    let outside = tempfile::tempdir().unwrap();
    let project = Project::new(
        r#"
resources:
  file: { type: std/file, path: out/x, content: y }
  ran: { type: std/command, run: "touch here", dir: out }
"#,
    );
    std::os::unix::fs::symlink(outside.path(), project.path("out")).unwrap();
    let report = project.try_deploy("s").await.unwrap();
    assert_eq!(report.exit_code(), 1);
    let events = project.events.lock().unwrap().join("\n");
    assert_eq!(
        events
            .matches("leads outside the project folder through a link")
            .count(),
        2,
        "{events}"
    );
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}
