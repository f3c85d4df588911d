//! The architecture of a stack as data, for the ways to draw it.

mod dot;
mod icon;
mod layout;
mod mermaid;
mod svg;

use serde::Serialize;

/// What a picture shows.
#[derive(Clone, Debug, Serialize)]
pub struct Picture {
    /// The stack's name.
    pub title: String,
    /// The stack's description.
    pub subtitle: Option<String>,
    /// The resources.
    pub nodes: Vec<Node>,
    /// What needs what: (user, used), as indices of nodes.
    pub edges: Vec<(usize, usize)>,
    /// The stack's outputs, by name, and the nodes they come from.
    pub outputs: Vec<(String, Vec<usize>)>,
}

/// A declared resource.
#[derive(Clone, Debug, Serialize)]
pub struct Node {
    /// Its name in the stack.
    pub name: String,
    /// Its kind, `provider/noun`.
    pub kind: String,
    /// How many instances it has; `None` without `for_each`, or where that is not known before apply.
    pub instances: Option<usize>,
    /// Whether it depends on a condition.
    pub conditional: bool,
}

/// How a picture is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people: opens in every browser.
    #[default]
    Svg,
    /// For wikis and README files.
    Mermaid,
    /// For Graphviz.
    Dot,
    /// For programs.
    Json,
}

impl Picture {
    /// Draws the picture.
    #[must_use]
    pub fn draw(&self, format: Format) -> String {
        match format {
            Format::Svg => svg::draw(self),
            Format::Mermaid => mermaid::draw(self),
            Format::Dot => dot::draw(self),
            Format::Json => {
                // Names, numbers and lists of them are always JSON.
                let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
                text.push('\n');
                text
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn node(name: &str, kind: &str) -> Node {
        Node {
            name: name.to_owned(),
            kind: kind.to_owned(),
            instances: None,
            conditional: false,
        }
    }

    /// The local stack.
    pub(crate) fn local() -> Picture {
        let mut nodes = vec![
            node("shared_folder", "local/shared_folder"),
            node("app", "local/component"),
            node("instance", "local/instance"),
            node("container", "local/container"),
            node("function", "local/function"),
            node("balancer", "local/load_balancer"),
        ];
        nodes[3].instances = Some(3);
        nodes[4].conditional = true;
        Picture {
            title: "local-multi-compute".to_owned(),
            subtitle: Some("One component on an instance, a container and a function behind one load balancer, over one shared folder.".to_owned()),
            nodes,
            edges: vec![(1, 0), (2, 1), (3, 1), (4, 1), (5, 2), (5, 3), (5, 4), (2, 0)],
            outputs: vec![("endpoint".to_owned(), vec![5])],
        }
    }

    /// A stack like the one for AWS, 36 resources.
    pub(crate) fn aws() -> Picture {
        let words = "vpc aws/vpc|gateway aws/internet_gateway vpc|subnet aws/subnet vpc|routes aws/route_table vpc gateway|\
            route_association aws/route_table_association routes subnet|balancer_group aws/security_group vpc|\
            app_group aws/security_group vpc balancer_group|files_group aws/security_group vpc app_group|\
            files aws/efs_file_system|target aws/efs_mount_target files subnet files_group|\
            access aws/efs_access_point files|repository aws/ecr_repository|image aws/ecr_image repository app|\
            app std/command|logs aws/log_group|task_role aws/iam_role|exec_role aws/iam_role|\
            exec_policy aws/iam_role_policy_attachment exec_role|lambda_role aws/iam_role|\
            lambda_policy aws/iam_role_policy_attachment lambda_role|instance_role aws/iam_role|\
            profile aws/iam_instance_profile instance_role|ami aws/ami_lookup|user_data std/template files image|\
            instance aws/instance ami subnet app_group profile user_data target|cluster aws/ecs_cluster|\
            task aws/ecs_task_definition image files access task_role exec_role logs|\
            service aws/ecs_service cluster task subnet app_group fargate_target exec_policy target|\
            function aws/lambda_function image lambda_role subnet app_group access lambda_policy target|\
            permission aws/lambda_permission function lambda_target|balancer aws/load_balancer subnet balancer_group gateway|\
            instance_target aws/target_group vpc|fargate_target aws/target_group vpc|lambda_target aws/target_group|\
            registration aws/target_registration instance_target instance|\
            listener aws/listener balancer instance_target fargate_target lambda_target|\
            ready std/wait_http listener registration service permission";
        let rows: Vec<Vec<&str>> = words.split('|').map(|row| row.split_whitespace().collect()).collect();
        let at = |name: &str| rows.iter().position(|row| row[0] == name).unwrap();
        let mut nodes: Vec<Node> = rows.iter().map(|row| node(row[0], row[1])).collect();
        nodes[2].instances = Some(2);
        nodes[9].instances = Some(2);
        let edges = rows
            .iter()
            .enumerate()
            .flat_map(|(index, row)| row[2..].iter().map(move |used| (index, at(used))))
            .collect();
        Picture {
            title: "aws-spin-multi-compute".to_owned(),
            subtitle: Some(
                "One Spin app on EC2, Fargate and Lambda behind one load balancer, over one shared EFS volume."
                    .to_owned(),
            ),
            nodes,
            edges,
            outputs: vec![
                ("endpoint".to_owned(), vec![at("balancer")]),
                ("repository".to_owned(), vec![at("repository")]),
            ],
        }
    }

    /// One after the other.
    pub(crate) fn chain(length: usize) -> Picture {
        Picture {
            title: "chain".to_owned(),
            subtitle: None,
            nodes: (0..length)
                .map(|index| node(&format!("step_{index}"), "std/value"))
                .collect(),
            edges: (1..length).map(|index| (index, index - 1)).collect(),
            outputs: vec![("last".to_owned(), vec![length - 1])],
        }
    }

    #[test]
    fn json_is_the_picture_itself() {
        let read: serde_json::Value = serde_json::from_str(&local().draw(Format::Json)).unwrap();
        assert_eq!(read["nodes"][0]["name"], "shared_folder");
    }
}
