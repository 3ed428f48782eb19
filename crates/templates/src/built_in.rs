use crate::{Origin, Template, document::parse_file};

/// How the built-in templates are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltInOptions {
    /// Image of the default workspace.
    pub workspace_image: String,
}

impl Default for BuiltInOptions {
    fn default() -> Self {
        Self { workspace_image: nocrd_model::DEFAULT_WORKSPACE_IMAGE.to_owned() }
    }
}

/// Stands in the files for [`BuiltInOptions::workspace_image`].
const IMAGE_MARK: &str = "@WORKSPACE_IMAGE@";

const FILES: [(&str, &str); 3] = [
    ("default-agent-workspace", include_str!("../built-in/default-agent-workspace.yaml")),
    ("open-webui", include_str!("../built-in/open-webui.yaml")),
    ("workspace-terminal-default", include_str!("../built-in/workspace-terminal-default.yaml")),
];

/// The templates that come with the product.
#[must_use]
pub fn built_in(options: &BuiltInOptions) -> Vec<Template> {
    let image = serde_json::Value::from(options.workspace_image.as_str()).to_string();
    let read = |(name, text): &(&str, &str)| {
        parse_file(&text.replace(IMAGE_MARK, &image), name, &Origin::BuiltIn).ok()
    };
    FILES.iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_readable() {
        let templates = built_in(&BuiltInOptions { workspace_image: "host:5000/a\"b:1".into() });
        let names: Vec<&str> = templates.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, FILES.map(|(name, _)| name));
        assert_eq!(templates[0].spec["containers"][0]["image"], "host:5000/a\"b:1");
        for template in &templates {
            let problems = nocrd_model::Api::parse_all(&template.annotations).1;
            assert!(
                problems.is_empty() && !template.description().is_empty() && !template.tag().is_empty(),
                "{problems:?}"
            );
        }
        assert_eq!(templates[1].required_context(), ["OPENAI_API_KEY"]);
    }
}
