//! A sign for each sort of thing, and the family it belongs to.

/// What sort of part something is; decides colour and caption.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    Storage,
    Security,
    Network,
    Artifact,
    Platform,
    Compute,
    Engine,
    Other,
}

impl Family {
    /// The caption in the picture.
    pub(super) fn caption(self) -> &'static str {
        match self {
            Self::Storage => "storage",
            Self::Security => "security",
            Self::Network => "network",
            Self::Artifact => "artifact",
            Self::Platform => "platform",
            Self::Compute => "compute",
            Self::Engine => "engine",
            Self::Other => "other",
        }
    }

    /// The class in the style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Storage => "f-sto",
            Self::Security => "f-sec",
            Self::Network => "f-net",
            Self::Artifact => "f-art",
            Self::Platform => "f-pla",
            Self::Compute => "f-cmp",
            Self::Engine => "f-eng",
            Self::Other => "f-oth",
        }
    }

    /// The colour on a light and on a dark ground.
    pub(super) fn colours(self) -> (&'static str, &'static str) {
        match self {
            Self::Storage => ("#2f7d4f", "#63c48a"),
            Self::Security => ("#b3404a", "#ef8a92"),
            Self::Network => ("#7048b8", "#b495f0"),
            Self::Artifact => ("#a8620f", "#eaa657"),
            Self::Platform => ("#2f5fc4", "#86aaf7"),
            Self::Compute => ("#0b7285", "#4fc3d7"),
            Self::Engine => ("#5b6470", "#a6b0bd"),
            Self::Other => ("#5b6470", "#a6b0bd"),
        }
    }

    pub(super) const ALL: [Self; 8] = [
        Self::Storage,
        Self::Security,
        Self::Network,
        Self::Artifact,
        Self::Platform,
        Self::Compute,
        Self::Engine,
        Self::Other,
    ];
}

/// A drawing on a field of 24 by 24, made of strokes.
pub(super) struct Icon {
    /// Its name, also the id in the picture.
    pub(super) name: &'static str,
    /// The family of what it stands for.
    pub(super) family: Family,
    /// Its strokes, as SVG.
    pub(super) strokes: &'static str,
    /// What a kind's noun contains when this is its sign; the first that fits wins.
    nouns: &'static [&'static str],
}

const fn icon(name: &'static str, family: Family, nouns: &'static [&'static str], strokes: &'static str) -> Icon {
    Icon {
        name,
        family,
        strokes,
        nouns,
    }
}

const BALANCER: &str = r#"<circle cx="12" cy="4.8" r="2.3"/><circle cx="4.8" cy="19" r="2.3"/><circle cx="12" cy="19" r="2.3"/><circle cx="19.2" cy="19" r="2.3"/><path d="M12 7.1v9.6M12 10c0 4-7.2 2-7.2 6.7M12 10c0 4 7.2 2 7.2 6.7"/>"#;
const CUBE: &str = r#"<path d="M3.5 7.5 12 3.2l8.5 4.3v9L12 20.8l-8.5-4.3zM3.5 7.5 12 11.8l8.5-4.3M12 11.8v9"/>"#;
const DATABASE: &str = r#"<ellipse cx="12" cy="5.6" rx="7.6" ry="2.8"/><path d="M4.4 5.6v12.8c0 1.6 3.4 2.8 7.6 2.8s7.6-1.2 7.6-2.8V5.6M4.4 12c0 1.6 3.4 2.8 7.6 2.8s7.6-1.2 7.6-2.8"/>"#;
const DICE: &str = r#"<rect x="4" y="4" width="16" height="16" rx="3"/><path d="M8.5 8.5h.01M15.5 8.5h.01M12 12h.01M8.5 15.5h.01M15.5 15.5h.01" stroke-width="2.4"/>"#;
const FILE: &str = r#"<path d="M6 2.8h8l4.5 4.5v13.9H6zM14 2.8v4.5h4.5M9 12h6M9 16h6"/>"#;
const FOLDER: &str = r#"<path d="M3 18V6.4C3 5.6 3.6 5 4.4 5h4.8l2 2.6h8.4c.8 0 1.4.6 1.4 1.4v9c0 .8-.6 1.4-1.4 1.4H4.4C3.6 19.4 3 18.8 3 18zM3 11h18"/>"#;
const GLOBE: &str =
    r#"<circle cx="12" cy="12" r="9"/><path d="M3 12h18M12 3c3.6 3.4 3.6 14.6 0 18M12 3c-3.6 3.4-3.6 14.6 0 18"/>"#;
const KEY: &str = r#"<circle cx="8" cy="15.6" r="4.2"/><path d="m11 12.6 8.6-8.6M16 7.6l3 3M13.2 10.4l2 2"/>"#;
const LAYERS: &str = r#"<path d="m12 3 9 4.6-9 4.6-9-4.6zM3 12l9 4.6 9-4.6M3 16.4 12 21l9-4.6"/>"#;
const LETTER: &str = r#"<rect x="3.5" y="6" width="17" height="12.5" rx="1.5"/><path d="m4 7 8 6.5L20 7"/>"#;
const SERVER: &str = r#"<rect x="4" y="3.6" width="16" height="7.2" rx="1.6"/><rect x="4" y="13.2" width="16" height="7.2" rx="1.6"/><path d="M7.4 7.2h.01M7.4 16.8h.01M11 7.2h6M11 16.8h6"/>"#;
const SHIELD: &str =
    r#"<path d="m12 2.8 7.6 2.8v6c0 4.8-3.2 8-7.6 9.6-4.4-1.6-7.6-4.8-7.6-9.6v-6zM8.8 12l2.4 2.4 4.2-4.6"/>"#;
const SUBNET: &str = r#"<rect x="9" y="3" width="6" height="5" rx="1"/><rect x="3" y="16" width="6" height="5" rx="1"/><rect x="15" y="16" width="6" height="5" rx="1"/><path d="M12 8v4M6 16v-4h12v4"/>"#;
const WHEEL: &str = r#"<circle cx="12" cy="12" r="8.8"/><circle cx="12" cy="12" r="2.6"/><path d="M12 3.2v6.2M12 14.6v6.2M4.4 7.6l5.3 3.1M14.3 13.3l5.3 3.1M4.4 16.4l5.3-3.1M14.3 10.7l5.3-3.1"/>"#;

/// Every sign but the last, which is for anything else.
static ICONS: &[Icon] = &[
    icon(
        "balancer",
        Family::Network,
        &[
            "load_balancer",
            "balancer",
            "target_group",
            "listener",
            "ingress",
            "gateway_api",
        ],
        BALANCER,
    ),
    icon(
        "component",
        Family::Artifact,
        &["component", "wasm_app"],
        r#"<path d="m12 2.6 8.2 4.7v9.4L12 21.4l-8.2-4.7V7.3z"/><path d="m7.8 9.2 1.8 5.8 2.4-5 2.4 5 1.8-5.8"/>"#,
    ),
    icon(
        "clock",
        Family::Engine,
        &["wait", "schedule", "cron", "timer"],
        r#"<circle cx="12" cy="12" r="9"/><path d="M12 7v5.3l3.5 2"/>"#,
    ),
    icon("dice", Family::Engine, &["random"], DICE),
    icon(
        "template",
        Family::Engine,
        &["template"],
        r#"<path d="M6 2.8h8l4.5 4.5v13.9H6zM14 2.8v4.5h4.5M10.6 11c-1.5 0-.4 2.6-1.9 2.9 1.5.3.4 2.9 1.9 2.9M13.9 11c1.5 0 .4 2.6 1.9 2.9-1.5.3-.4 2.9-1.9 2.9"/>"#,
    ),
    icon(
        "command",
        Family::Engine,
        &["command"],
        r#"<rect x="3" y="4.4" width="18" height="15.2" rx="2"/><path d="m7 9 3.2 3L7 15M12.6 15.2H17"/>"#,
    ),
    icon(
        "value",
        Family::Engine,
        &["value", "variable"],
        r#"<path d="M9.4 4C5.6 4 8.2 11 4.6 12c3.6 1 1 8 4.8 8M14.6 4c3.8 0 1.2 7 4.8 8-3.6 1-1 8-4.8 8"/>"#,
    ),
    icon(
        "shield",
        Family::Security,
        &[
            "security_group",
            "firewall",
            "role_assignment",
            "policy",
            "iam_role",
            "role",
            "rule",
            "permission",
        ],
        SHIELD,
    ),
    icon(
        "key",
        Family::Security,
        &[
            "identity",
            "secret",
            "key",
            "certificate",
            "service_account",
            "credential",
            "instance_profile",
        ],
        KEY,
    ),
    icon(
        "function",
        Family::Compute,
        &["function", "lambda"],
        r#"<path d="M6.4 4h2c1.3 0 1.9.5 2.4 1.9L15.9 18c.6 1.5 1.1 2 2.5 2M11.4 10.4 6 20"/>"#,
    ),
    icon(
        "folder",
        Family::Storage,
        &[
            "shared_folder",
            "file_system",
            "mount_target",
            "access_point",
            "bucket",
            "storage",
            "volume",
            "disk",
            "share",
            "efs",
        ],
        FOLDER,
    ),
    icon(
        "database",
        Family::Storage,
        &["database", "redis", "dynamodb", "cache", "keyvalue", "cosmos"],
        DATABASE,
    ),
    icon(
        "queue",
        Family::Platform,
        &["queue", "topic", "pubsub", "bus", "broker", "event"],
        LETTER,
    ),
    icon(
        "log",
        Family::Platform,
        &["log", "metric", "alarm", "monitor"],
        r#"<path d="M5 6h14M5 10h9M5 14h14M5 18h7"/>"#,
    ),
    icon(
        "image",
        Family::Artifact,
        &[
            "image",
            "repository",
            "registry",
            "artifact",
            "package",
            "chart",
            "helm",
        ],
        LAYERS,
    ),
    icon(
        "cluster",
        Family::Platform,
        &["cluster", "node_pool", "namespace", "runtime_class", "operator", "aks"],
        WHEEL,
    ),
    icon(
        "container",
        Family::Compute,
        &[
            "container",
            "task",
            "fargate",
            "service",
            "pod",
            "deployment",
            "spin_app",
        ],
        CUBE,
    ),
    icon(
        "instance",
        Family::Compute,
        &[
            "instance",
            "virtual_machine",
            "server",
            "host",
            "launch_template",
            "autoscaling",
        ],
        SERVER,
    ),
    icon(
        "subnet",
        Family::Network,
        &["subnet", "route", "vpc", "virtual_network"],
        SUBNET,
    ),
    icon(
        "network",
        Family::Network,
        &["network", "gateway", "address", "dns", "zone", "endpoint"],
        GLOBE,
    ),
    icon(
        "group",
        Family::Platform,
        &["group", "subscription", "account"],
        r#"<rect x="3.5" y="3.5" width="17" height="17" rx="2.5" stroke-dasharray="3 2.4"/><path d="M8 9h8M8 12.5h8M8 16h5"/>"#,
    ),
    icon("file", Family::Engine, &["file", "manifest", "config"], FILE),
];

static CLOUD: Icon = icon(
    "cloud",
    Family::Other,
    &[],
    r#"<path d="M7 18.6a4.5 4.5 0 0 1-.6-9 6 6 0 0 1 11.5 1.4 3.9 3.9 0 0 1-.4 7.6z"/>"#,
);

/// Finds the sign of a kind.
pub(super) fn of(kind: &str) -> &'static Icon {
    let noun = kind.rsplit('/').next().unwrap_or(kind);
    ICONS
        .iter()
        .find(|icon| icon.nouns.contains(&noun))
        .or_else(|| {
            ICONS
                .iter()
                .find(|icon| icon.nouns.iter().any(|word| noun.contains(word)))
        })
        .unwrap_or(&CLOUD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_their_signs() {
        for (kind, name) in [
            ("local/shared_folder", "folder"),
            ("local/component", "component"),
            ("local/instance", "instance"),
            ("local/container", "container"),
            ("local/function", "function"),
            ("local/load_balancer", "balancer"),
            ("aws/lambda_function", "function"),
            ("aws/efs_file_system", "folder"),
            ("aws/security_group", "shield"),
            ("aws/ecs_task_definition", "container"),
            ("std/file", "file"),
            ("std/wait_http", "clock"),
            ("other/thing", "cloud"),
        ] {
            assert_eq!(of(kind).name, name, "{kind}");
        }
    }
}
