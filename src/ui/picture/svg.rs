//! A picture of the architecture as SVG: what is needed above what needs it, the outputs at the end.

use std::fmt::Write as _;

use super::icon::{self, Family};
use super::layout::{self, CARD_HEIGHT, Laid, Plan};
use super::{Node, Picture};
use crate::ui::text::cut;

const MARGIN: f64 = 36.0;
const FONT: &str = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif";

/// Draws.
#[must_use]
pub(super) fn draw(picture: &Picture) -> String {
    let names = picture.nodes.iter().map(|node| label(node).chars().count());
    let kinds = picture.nodes.iter().map(|node| node.kind.chars().count());
    let widest = names
        .map(|chars| chars as f64 * 8.4)
        .chain(kinds.map(|chars| chars as f64 * 6.4))
        .fold(80.0, f64::max);
    let card_width = (widest + 62.0).clamp(150.0, 270.0);

    let count = picture.nodes.len();
    let mut arrows: Vec<(usize, usize)> = picture.edges.iter().map(|(user, used)| (*used, *user)).collect();
    let inner = arrows.len();
    for (index, (_, from)) in picture.outputs.iter().enumerate() {
        arrows.extend(from.iter().map(|node| (*node, count + index)));
    }
    arrows.retain(|(from, to)| from != to);
    let items = count + picture.outputs.len();
    let families: Vec<Family> = picture.nodes.iter().map(|node| icon::of(&node.kind).family).collect();
    let mut group: Vec<usize> = families.iter().map(|family| *family as usize).collect();
    group.resize(items, Family::ALL.len());
    let laid = layout::lay(&Plan {
        items,
        arrows: &arrows,
        last_from: count,
        group: &group,
        card_width,
    });
    let implied = layout::implied(items, &arrows);

    let subtitle = picture.subtitle.as_deref().unwrap_or_default();
    let mut used: Vec<Family> = families.clone();
    used.sort_unstable();
    used.dedup();
    let legend_width: f64 = used
        .iter()
        .map(|family| family.caption().len() as f64 * 6.6 + 34.0)
        .sum();
    let width = (laid.width + 2.0 * MARGIN)
        .max(legend_width + 2.0 * MARGIN)
        .max(picture.title.chars().count() as f64 * 12.5 + 2.0 * MARGIN)
        .max(520.0);
    let subtitle_lines = wrap(subtitle, ((width - 2.0 * MARGIN) / 7.2) as usize);
    let head = 62.0 + 19.0 * subtitle_lines.len() as f64 + 24.0;
    let height = head + laid.height + 66.0;
    let (left, top) = ((width - laid.width) / 2.0, head);

    let mut svg = String::with_capacity(4_096 + items * 700);
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" role=\"img\" font-family=\"{FONT}\">\n<title>{}</title>\n",
        escape(&picture.title)
    );
    if !subtitle.is_empty() {
        let _ = writeln!(svg, "<desc>{}</desc>", escape(subtitle));
    }
    style(&mut svg, &used);
    defs(&mut svg, picture);
    let _ = writeln!(
        svg,
        "<rect class=\"ground\" width=\"{width:.0}\" height=\"{height:.0}\" fill=\"#ffffff\"/>\n\
         <text class=\"ink\" x=\"{MARGIN}\" y=\"52\" font-size=\"22\" font-weight=\"700\">{}</text>",
        escape(&picture.title)
    );
    for (index, line) in subtitle_lines.iter().enumerate() {
        let _ = writeln!(
            svg,
            "<text class=\"soft\" x=\"{MARGIN}\" y=\"{:.0}\" font-size=\"13\">{}</text>",
            76.0 + 19.0 * index as f64,
            escape(line)
        );
    }
    let _ = writeln!(svg, "<g transform=\"translate({left:.1} {top:.1})\">");
    bands(&mut svg, &laid, &families);
    for (index, path) in laid.paths.iter().enumerate() {
        let class = match (implied.contains(&index), index >= inner) {
            (_, true) => "arrow out",
            (true, _) => "arrow faint",
            (false, _) => "arrow",
        };
        let head = if class == "arrow faint" { "tip-faint" } else { "tip" };
        let _ = writeln!(
            svg,
            "<path class=\"{class}\" d=\"{path}\" marker-end=\"url(#{head})\"/>"
        );
    }
    for (node, at) in picture.nodes.iter().zip(&laid.at) {
        card(&mut svg, node, *at, card_width);
    }
    for ((name, _), at) in picture.outputs.iter().zip(&laid.at[count..]) {
        output(&mut svg, name, *at, card_width);
    }
    svg.push_str("</g>\n");
    legend(&mut svg, &used, height - 30.0);
    svg.push_str("</svg>\n");
    svg
}

fn style(svg: &mut String, used: &[Family]) {
    let rules = |dark: bool| {
        used.iter().fold(String::new(), |mut rules, family| {
            let (on_light, on_dark) = family.colours();
            let colour = if dark { on_dark } else { on_light };
            let _ = write!(rules, ".{}{{color:{colour}}}", family.class());
            rules
        })
    };
    let _ = writeln!(
        svg,
        "<style>\n.ground{{fill:#ffffff}}.ink{{fill:#16202c}}.soft{{fill:#5d6a7a}}.band{{fill:#f4f6f9}}\
         .card{{fill:#ffffff;stroke:#c9d1db;stroke-width:1.2}}.when{{stroke-dasharray:5 4}}\
         .tile{{fill:currentColor;opacity:.12}}.edge{{fill:currentColor}}.badge{{fill:currentColor}}.badge-text{{fill:#ffffff}}\
         .sign{{fill:none;stroke:currentColor;stroke-width:1.7;stroke-linecap:round;stroke-linejoin:round}}\
         .arrow{{fill:none;stroke:#8592a3;stroke-width:1.5}}.faint{{stroke:#cfd6df;stroke-width:1.2}}.out{{stroke-dasharray:5 4}}\
         .tip{{fill:#8592a3}}.tip-faint{{fill:#cfd6df}}.goal{{fill:#16202c}}.goal-text{{fill:#ffffff}}\n{}\n\
         @media (prefers-color-scheme:dark){{.ground{{fill:#10161e}}.ink{{fill:#e8edf3}}.soft{{fill:#94a3b5}}.band{{fill:#161e28}}\
         .card{{fill:#1c2632;stroke:#3a4858}}.badge-text{{fill:#10161e}}.arrow{{stroke:#71819a}}.faint{{stroke:#36424f}}\
         .tip{{fill:#71819a}}.tip-faint{{fill:#36424f}}.goal{{fill:#e8edf3}}.goal-text{{fill:#10161e}}{}}}\n</style>",
        rules(false),
        rules(true)
    );
}

fn defs(svg: &mut String, picture: &Picture) {
    svg.push_str("<defs>\n");
    for tip in ["tip", "tip-faint"] {
        let _ = writeln!(
            svg,
            "<marker id=\"{tip}\" viewBox=\"0 0 10 10\" refX=\"8\" refY=\"5\" markerWidth=\"7\" markerHeight=\"7\" \
             orient=\"auto\" markerUnits=\"userSpaceOnUse\"><path class=\"{tip}\" d=\"M0 0.6 9 5 0 9.4z\"/></marker>"
        );
    }
    let mut icons: Vec<_> = picture.nodes.iter().map(|node| icon::of(&node.kind)).collect();
    icons.sort_by_key(|icon| icon.name);
    icons.dedup_by_key(|icon| icon.name);
    for icon in icons {
        let _ = writeln!(
            svg,
            "<symbol id=\"i-{}\" viewBox=\"0 0 24 24\"><g class=\"sign\">{}</g></symbol>",
            icon.name, icon.strokes
        );
    }
    svg.push_str("</defs>\n");
}

fn bands(svg: &mut String, laid: &Laid, families: &[Family]) {
    let (pad_x, pad_y) = (18.0, 15.0);
    for band in &laid.bands {
        let mut here: Vec<Family> = band
            .items
            .iter()
            .filter_map(|item| families.get(*item).copied())
            .collect();
        here.sort_unstable();
        here.dedup();
        if here.is_empty() {
            continue;
        }
        let captions: Vec<&str> = here.iter().map(|family| family.caption()).collect();
        let _ = writeln!(
            svg,
            "<rect class=\"band\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"12\"><title>{}</title></rect>",
            band.x - pad_x,
            band.y - pad_y,
            band.width + 2.0 * pad_x,
            band.height + 2.0 * pad_y,
            captions.join(", ")
        );
    }
}

fn card(svg: &mut String, node: &Node, (x, y): (f64, f64), width: f64) {
    let icon = icon::of(&node.kind);
    let (left, top) = (x - width / 2.0, y - CARD_HEIGHT / 2.0);
    let when = if node.conditional { " when" } else { "" };
    let _ = write!(
        svg,
        "<g class=\"{}\" transform=\"translate({left:.1} {top:.1})\"><title>{} ({}){}{}</title>",
        icon.family.class(),
        escape(&node.name),
        escape(&node.kind),
        node.instances
            .map(|count| format!(", {count} of them"))
            .unwrap_or_default(),
        if node.conditional {
            ", only if a condition holds"
        } else {
            ""
        },
    );
    if node.instances.is_some_and(|count| count > 1) {
        let _ = write!(
            svg,
            "<rect class=\"card\" x=\"5\" y=\"5\" width=\"{width:.1}\" height=\"{CARD_HEIGHT}\" rx=\"10\"/>"
        );
    }
    let _ = write!(
        svg,
        "<rect class=\"card{when}\" width=\"{width:.1}\" height=\"{CARD_HEIGHT}\" rx=\"10\"/>\
         <rect class=\"tile\" x=\"9\" y=\"10\" width=\"38\" height=\"38\" rx=\"9\"/>\
         <use href=\"#i-{}\" x=\"16\" y=\"17\" width=\"24\" height=\"24\"/>",
        icon.name
    );
    let room = ((width - 62.0) / 8.2) as usize;
    let small_room = ((width - 62.0) / 6.2) as usize;
    let _ = write!(
        svg,
        "<text class=\"ink\" x=\"57\" y=\"26\" font-size=\"14\" font-weight=\"600\">{}</text>\
         <text class=\"soft\" x=\"57\" y=\"44\" font-size=\"11\">{}</text>",
        escape(&cut(&label(node), room)),
        escape(&cut(&node.kind, small_room))
    );
    let badge = match (node.instances, node.conditional) {
        (Some(count), true) => Some(format!("×{count} if")),
        (Some(count), false) => Some(format!("×{count}")),
        (None, true) => Some("if".to_owned()),
        (None, false) => None,
    };
    if let Some(badge) = badge {
        let badge_width = badge.chars().count() as f64 * 7.0 + 12.0;
        let _ = write!(
            svg,
            "<rect class=\"badge\" x=\"{:.1}\" y=\"-9\" width=\"{badge_width:.1}\" height=\"18\" rx=\"9\"/>\
             <text class=\"badge-text\" x=\"{:.1}\" y=\"4\" font-size=\"11\" font-weight=\"600\" text-anchor=\"middle\">{badge}</text>",
            width - badge_width - 8.0,
            width - badge_width / 2.0 - 8.0
        );
    }
    svg.push_str("</g>\n");
}

fn output(svg: &mut String, name: &str, (x, y): (f64, f64), card_width: f64) {
    let shown = cut(name, 26);
    let width = (shown.chars().count() as f64 * 8.4 + 40.0).min(card_width).max(90.0);
    let _ = writeln!(
        svg,
        "<g transform=\"translate({:.1} {:.1})\"><title>output {}</title>\
         <rect class=\"goal\" width=\"{width:.1}\" height=\"34\" rx=\"17\"/>\
         <text class=\"goal-text\" x=\"{:.1}\" y=\"22\" font-size=\"14\" font-weight=\"600\" text-anchor=\"middle\">{}</text></g>",
        x - width / 2.0,
        y - CARD_HEIGHT / 2.0,
        escape(name),
        width / 2.0,
        escape(&shown)
    );
}

fn legend(svg: &mut String, used: &[Family], y: f64) {
    let mut x = MARGIN;
    for family in used {
        let caption = family.caption();
        let _ = writeln!(
            svg,
            "<g class=\"{}\"><rect class=\"edge\" x=\"{x:.1}\" y=\"{:.1}\" width=\"10\" height=\"10\" rx=\"3\"/>\
             <text class=\"soft\" x=\"{:.1}\" y=\"{y:.1}\" font-size=\"12\">{caption}</text></g>",
            family.class(),
            y - 9.5,
            x + 16.0
        );
        x += caption.len() as f64 * 6.6 + 34.0;
    }
}

fn label(node: &Node) -> String {
    node.name.clone()
}

fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Writes text so that XML reads it back, without characters that XML has no place for.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::tests::{aws, chain, local};
    use super::*;

    #[test]
    fn every_part_is_in_the_picture() {
        let svg = draw(&local());
        for word in [
            "local-multi-compute",
            "shared_folder",
            "local/function",
            "endpoint",
            "prefers-color-scheme",
        ] {
            assert!(svg.contains(word), "{word}");
        }
        assert_eq!(svg.matches("marker-end").count(), local().edges.len() + 1);
    }

    #[test]
    fn foreign_names_cannot_break_out() {
        let mut picture = local();
        picture.nodes[0].name = "</text><script>alert(1)</script>\u{1b}".to_owned();
        picture.title = "\"&'".to_owned();
        let svg = draw(&picture);
        assert!(!svg.contains("<script"));
        assert!(!svg.contains('\u{1b}'));
    }

    /// Writes the three pictures to a folder, to be looked at.
    #[test]
    #[ignore = "for the eye"]
    fn for_the_eye() {
        let folder = std::env::temp_dir().join("wasmctl-pictures");
        std::fs::create_dir_all(&folder).unwrap();
        for (name, picture) in [("local", local()), ("aws", aws()), ("chain", chain(60))] {
            let mut file = std::fs::File::create(folder.join(format!("{name}.svg"))).unwrap();
            std::io::Write::write_all(&mut file, draw(&picture).as_bytes()).unwrap();
        }
    }
}
