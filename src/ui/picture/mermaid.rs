//! A picture as Mermaid, which GitHub and many wikis draw.

use std::fmt::Write as _;

use super::{Picture, icon};

/// Writes a flow chart.
#[must_use]
pub(super) fn draw(picture: &Picture) -> String {
    let mut text = format!("---\ntitle: {}\n---\nflowchart TB\n", quote(&picture.title));
    for (index, node) in picture.nodes.iter().enumerate() {
        let times = node.instances.map(|count| format!(" ×{count}")).unwrap_or_default();
        let condition = if node.conditional { " (if)" } else { "" };
        let label = format!(
            "<b>{}</b>{times}{condition}<br/><small>{}</small>",
            html(&node.name),
            html(&node.kind)
        );
        let (open, close) = match icon::of(&node.kind).family {
            icon::Family::Storage => ("[(", ")]"),
            icon::Family::Artifact => ("{{", "}}"),
            icon::Family::Compute => ("[[", "]]"),
            icon::Family::Network => ("([", "])"),
            _ => ("[", "]"),
        };
        let _ = writeln!(text, "    n{index}{open}\"{label}\"{close}");
    }
    for (index, (name, from)) in picture.outputs.iter().enumerate() {
        let _ = writeln!(text, "    o{index}([\"{}\"])", html(name));
        for node in from {
            let _ = writeln!(text, "    n{node} -.-> o{index}");
        }
    }
    for (user, used) in &picture.edges {
        let _ = writeln!(text, "    n{used} --> n{user}");
    }
    text
}

fn quote(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '<' | '>' | '&' | '#' | '`' => {
                let _ = write!(escaped, "#{};", u32::from(c));
            }
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::tests::local;

    #[test]
    fn a_flow_chart_has_every_part() {
        insta::assert_snapshot!(super::draw(&local()), @r#"
        ---
        title: "local-multi-compute"
        ---
        flowchart TB
            n0[("<b>shared_folder</b><br/><small>local/shared_folder</small>")]
            n1{{"<b>app</b><br/><small>local/component</small>"}}
            n2[["<b>instance</b><br/><small>local/instance</small>"]]
            n3[["<b>container</b> ×3<br/><small>local/container</small>"]]
            n4[["<b>function</b> (if)<br/><small>local/function</small>"]]
            n5(["<b>balancer</b><br/><small>local/load_balancer</small>"])
            o0(["endpoint"])
            n5 -.-> o0
            n0 --> n1
            n1 --> n2
            n1 --> n3
            n1 --> n4
            n2 --> n5
            n3 --> n5
            n4 --> n5
            n0 --> n2
        "#);
    }
}
