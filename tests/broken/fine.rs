//! Odd but honest stacks: they load and plan, and values come out as they were written.

use serde_json::{Value as Json, json};
use wasmctl::value::Value;

use crate::project::Project;

/// Plans a stack and returns what one of its outputs is.
fn output(stack: &str, name: &str) -> Json {
    let project = Project::new(stack);
    match project.plan() {
        Ok(planned) => match planned.outputs().remove(name) {
            Some(Value::Known(json)) => json,
            other => panic!("{other:?}"),
        },
        Err(_) => panic!("{}", project.told()),
    }
}

fn creates(stack: &str) -> usize {
    let project = Project::new(stack);
    match project.plan() {
        Ok(planned) => planned.plan.counts.create,
        Err(_) => panic!("{}", project.told()),
    }
}

#[test]
fn anchors_aliases_and_merges() {
    let stack = "
name: s
resources:
  a: &base
    type: std/file
    path: a.txt
    content: &text hello
    mode: '0600'
  b:
    <<: *base
    path: b.txt
  c:
    <<: [{ path: c.txt }, *base]
  v: { type: std/value, value: [*text, *text] }
outputs: { o: \"{{ b.path }}{{ c.path }}\", v: \"{{ v.value }}\" }
";
    assert_eq!(creates(stack), 4);
    assert_eq!(output(stack, "v"), json!(["hello", "hello"]));
}

#[test]
fn one_anchor_may_be_used_as_often_as_needed() {
    let mut stack = String::from("name: s\nresources:\n  r0: &base { type: std/value, value: 1 }\n");
    for at in 1..5000 {
        stack += &format!("  r{at}: *base\n  m{at}: {{ <<: *base, value: {at} }}\n");
    }
    assert_eq!(creates(&stack), 9999);
}

#[test]
fn block_scalars_with_templates_in_them() {
    let stack = "
name: s
variables: { who: { default: Ada } }
resources:
  a:
    type: std/value
    value: |
      Dear {{ var.who }},
        {%- if var.who == \"Ada\" %} hello{% endif %}
      # no comment
  b:
    type: std/value
    value: >-
      folded {{ var.who }}
      on one line
outputs: { a: \"{{ a.value }}\", b: \"{{ b.value }}\" }
";
    assert_eq!(output(stack, "a"), "Dear Ada, hello\n# no comment\n");
    assert_eq!(output(stack, "b"), "folded Ada on one line");
}

#[test]
fn every_language_and_every_line_ending() {
    let stack = "name: s\nresources:\n  a: { type: std/value, value: \"größe 🦀 مرحبا \\u00e9\" } # ключ\noutputs: { o: \"{{ a.value }}\" }\n";
    assert_eq!(output(stack, "o"), "größe 🦀 مرحبا é");
    assert_eq!(output(&stack.replace('\n', "\r\n"), "o"), "größe 🦀 مرحبا é");
    assert_eq!(output(&format!("\u{feff}{stack}"), "o"), "größe 🦀 مرحبا é");
    assert_eq!(output(&format!("---\n{stack}...\n"), "o"), "größe 🦀 مرحبا é");
}

#[test]
fn an_empty_list_makes_nothing() {
    for empty in ["[]", "{}"] {
        let stack = format!(
            "name: s\nresources:\n  a: {{ type: std/value, for_each: {empty}, value: 1 }}\noutputs: {{ o: \"{{{{ a }}}}\", n: \"{{{{ a | length }}}}\" }}\n"
        );
        assert_eq!(creates(&stack), 0);
        assert_eq!(output(&stack, "o"), json!({}));
        assert_eq!(output(&stack, "n"), "0");
    }
}

#[test]
fn nothing_declared_is_a_stack_too() {
    assert_eq!(creates("name: s\n"), 0);
    assert_eq!(creates("name: s\nresources:\n"), 0);
    assert_eq!(
        creates("name: s\nvariables:\nproviders:\noutputs:\nenv:\nmoved:\ninclude:\nresources: {}\n"),
        0
    );
}

#[test]
fn keys_with_odd_characters() {
    let stack = "
name: s
resources:
  a:
    type: std/value
    for_each: { 'a b': 1, é: 2, x.y: 3, '[': 4, ']': 5, '\"': 6, \"'\": 7, a/b: 8, '0': 9, '': 10, '{{': 11, '..': 12 }
    value: \"{{ each.key }}={{ each.value }}\"
  b:
    type: std/value
    value:
      - \"{{ a['a b'].value }}\"
      - \"{{ a['é'].value }}\"
      - \"{{ a['x.y'].value }}\"
      - \"{{ a['['].value }}\"
      - \"{{ a['0'].value }}\"
      - \"{{ a[''].value }}\"
      - \"{{ a['..'].value }}\"
      - \"x{{ a['a b'].value }}x\"
  c: { type: std/value, value: { 'x y': { é: [1] } } }
outputs: { b: \"{{ b.value }}\", c: \"{{ c.value['x y']['é'][0] }}\", d: \"{{ c.value['x y']['é'] | length }}\" }
";
    assert_eq!(creates(stack), 14);
    assert_eq!(
        output(stack, "b"),
        json!(["a b=1", "é=2", "x.y=3", "[=4", "0=9", "=10", "..=12", "xa b=1x"])
    );
    assert_eq!(output(stack, "c"), json!(1));
    assert_eq!(output(stack, "d"), "1");
}

#[test]
fn numbers_keep_their_value() {
    let stack = "
name: s
resources:
  a:
    type: std/value
    value: [9223372036854775807, 18446744073709551615, -9223372036854775808, 0.1, 1e3, 0x1f, 0o17, -0, 1_000, 1.0]
outputs: { o: \"{{ a.value }}\" }
";
    assert_eq!(
        output(stack, "o"),
        json!([
            9_223_372_036_854_775_807_i64,
            18_446_744_073_709_551_615_u64,
            -9_223_372_036_854_775_808_i64,
            0.1,
            1000.0,
            31,
            15,
            0,
            1000,
            1.0
        ])
    );
}

#[test]
fn words_of_old_yaml_are_texts() {
    let stack = "name: s\nresources:\n  a: { type: std/value, value: [yes, no, on, off, y, n, True, FALSE, ~, null, 2001-12-14, 12:30:45] }\noutputs: { o: \"{{ a.value }}\" }\n";
    assert_eq!(
        output(stack, "o"),
        json!([
            "yes",
            "no",
            "on",
            "off",
            "y",
            "n",
            true,
            false,
            null,
            null,
            "2001-12-14",
            "12:30:45"
        ])
    );
}

#[test]
fn what_is_absent_can_have_a_default() {
    let stack = "
name: s
variables: { m: { type: map, default: { a: 1 } } }
resources:
  no: { type: std/value, when: false, value: 1 }
  empty: { type: std/value, for_each: [], value: 1 }
  a:
    type: std/value
    value:
      - \"{{ var.m.b | default(value='-') }}\"
      - \"{% if no %}yes{% else %}no{% endif %}\"
      - \"{{ no.value | default(value='-') }}\"
      - \"{{ empty['x'].value | default(value='-') }}\"
      - \"{% if var.m.a %}a{% endif %}{% if var.m.b %}b{% endif %}\"
outputs: { o: \"{{ a.value }}\" }
";
    assert_eq!(output(stack, "o"), json!(["-", "no", "-", "-", "a"]));
}

#[test]
fn what_is_no_template_stays_as_it_is() {
    let stack = r#"
name: s
resources:
  a:
    type: std/value
    value:
      - "{% raw %}{{ not.one }}{% endraw %}"
      - "a{# {{ not.one }} #}b"
      - "{ } }} %} #} ${HOME} $(x) {a}"
      - "{{ '{{' }}"
      - "{{ \"{{ x.y }}\" }}"
      - '\{{ "x" }}'
outputs: { o: "{{ a.value }}" }
"#;
    assert_eq!(
        output(stack, "o"),
        json!([
            "{{ not.one }}",
            "ab",
            "{ } }} %} #} ${HOME} $(x) {a}",
            "{{",
            "{{ x.y }}",
            "\\x"
        ])
    );
}

#[test]
fn templates_may_count_and_set() {
    let stack = r#"
name: s
variables: { names: { type: list, default: [b, a] } }
resources:
  each: &x { type: std/value, value: 1 }
"#;
    // A reserved name is refused even where an anchor hangs on it.
    assert!(Project::new(stack).plan().is_err());
    let stack = r#"
name: s
variables: { names: { type: list, default: [b, a] } }
resources:
  all: { type: std/value, for_each: "{{ var.names }}", value: "{{ each.key }}!" }
  a:
    type: std/value
    value: "{% for name, one in all %}{{ loop.index }}{{ name }}{{ one.value }} {% endfor %}{% set x = var.names | first %}{{ x }}"
outputs: { o: "{{ a.value }}" }
"#;
    assert_eq!(output(stack, "o"), "1aa! 2bb! b");
}

#[test]
fn a_flat_file_of_100_000_resources_loads() {
    let mut stack = String::from("name: s\nresources:\n");
    for at in 0..100_000 {
        stack += &format!("  r{at}: {{ type: std/value, value: \"number {at}\" }}\n");
    }
    assert_eq!(creates(&stack), 100_000);
}

#[test]
fn deep_but_honest_nesting_loads() {
    let depth = 40;
    let value = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(
        creates(&format!(
            "name: s\nresources:\n  a: {{ type: std/value, value: {value} }}\n"
        )),
        1
    );
}

#[test]
fn large_texts_load() {
    let text = "0123456789abcdef".repeat(1 << 16);
    let stack = format!(
        "name: s\nresources:\n  a: {{ type: std/value, value: \"{text}\" }}\noutputs: {{ n: \"{{{{ a.value | length }}}}\" }}\n"
    );
    assert_eq!(output(&stack, "n"), (1 << 20).to_string());
}

#[test]
fn values_from_everywhere_and_the_last_wins() {
    let stack = "name: s\nvariables:\n  v: { type: number, default: 1 }\n  w: { default: d }\n  l: { type: list, default: [] }\nresources: {}\noutputs: { v: \"{{ var.v }}\", w: \"{{ var.w }}\", l: \"{{ var.l }}\" }\n";
    let get = |project: &Project, name: &str| match project.plan() {
        Ok(planned) => planned.outputs().remove(name),
        Err(_) => panic!("{}", project.told()),
    };
    let project = Project::new(stack).with("env/default.yaml", "v: 2\nelse: 1\n");
    assert_eq!(get(&project, "v"), Some(Value::Known(json!(2))));
    let project = project.ambient("v", "3").ambient("PATH", "x");
    assert_eq!(get(&project, "v"), Some(Value::Known(json!(3))));
    let project = project.with("x.yaml", "v: 4\n").var_file("x.yaml");
    assert_eq!(get(&project, "v"), Some(Value::Known(json!(4))));
    let project = project
        .var("v", "5")
        .var("w", "[not a list: {")
        .var("l", "[a, 1, {b: c}]");
    assert_eq!(get(&project, "v"), Some(Value::Known(json!(5))));
    assert_eq!(get(&project, "w"), Some(Value::Known(json!("[not a list: {"))));
    assert_eq!(get(&project, "l"), Some(Value::Known(json!(["a", 1, {"b": "c"}]))));
}
