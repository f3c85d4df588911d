//! A picture as Graphviz reads it.

use std::fmt::Write as _;

use super::{Picture, icon};

/// Writes a directed graph.
#[must_use]
pub(super) fn draw(picture: &Picture) -> String {
    let mut text = format!(
        "digraph {} {{\n    rankdir=TB;\n    node [shape=box, style=rounded, fontname=\"sans-serif\"];\n",
        quote(&picture.title)
    );
    for (index, node) in picture.nodes.iter().enumerate() {
        let times = node.instances.map(|count| format!(" ×{count}")).unwrap_or_default();
        let style = if node.conditional {
            ", style=\"rounded,dashed\""
        } else {
            ""
        };
        let shape = match icon::of(&node.kind).family {
            icon::Family::Storage => ", shape=folder",
            icon::Family::Artifact => ", shape=hexagon",
            icon::Family::Compute => ", shape=box3d",
            _ => "",
        };
        let label = quote(&format!("{}{times}\n{}", node.name, node.kind));
        let _ = writeln!(text, "    n{index} [label={label}{shape}{style}];");
    }
    for (index, (name, from)) in picture.outputs.iter().enumerate() {
        let _ = writeln!(text, "    o{index} [label={}, shape=oval];", quote(name));
        for node in from {
            let _ = writeln!(text, "    n{node} -> o{index} [style=dashed];");
        }
    }
    for (user, used) in &picture.edges {
        let _ = writeln!(text, "    n{used} -> n{user};");
    }
    text.push_str("}\n");
    text
}

fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => quoted.push(' '),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::super::tests::local;

    #[test]
    fn names_are_quoted() {
        let mut picture = local();
        picture.nodes[0].name = "a\"b\\".to_owned();
        let text = super::draw(&picture);
        assert!(
            text.contains(r#"n0 [label="a\"b\\\nlocal/shared_folder", shape=folder];"#),
            "{text}"
        );
        assert!(text.contains("n5 -> o0 [style=dashed];"), "{text}");
    }
}
