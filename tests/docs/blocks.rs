//! The code blocks of a Markdown file.

/// A block between fences.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// What stands behind the opening fence.
    pub(crate) language: String,
    /// Its lines.
    pub(crate) text: String,
    /// The line of the opening fence, from 1.
    pub(crate) line: usize,
    /// Whether nothing but blank lines stands between it and the block before.
    pub(crate) follows: bool,
}

pub(crate) fn blocks(markdown: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut open: Option<Block> = None;
    let mut follows = false;
    for (index, line) in markdown.lines().enumerate() {
        match (open.take(), line.strip_prefix("```")) {
            (None, Some(language)) => {
                open = Some(Block {
                    language: language.to_owned(),
                    text: String::new(),
                    line: index + 1,
                    follows,
                });
            }
            (Some(block), Some("")) => {
                found.push(block);
                follows = true;
            }
            (Some(mut block), _) => {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => follows = follows && line.trim().is_empty(),
        }
    }
    assert!(open.is_none(), "a block is not closed");
    found
}

#[test]
fn blocks_are_found() {
    let found = blocks("a\n```sh\nls\n```\n\n```text\nx\n```\nand\n```yaml\n```\n");
    let told: Vec<(&str, &str, bool)> = found
        .iter()
        .map(|block| (block.language.as_str(), block.text.as_str(), block.follows))
        .collect();
    assert_eq!(
        told,
        [("sh", "ls\n", false), ("text", "x\n", true), ("yaml", "", false)]
    );
}
