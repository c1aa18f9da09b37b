//! The files of the project.

use std::path::{Path, PathBuf};

/// The folder that everything is in.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The text of a file.
///
/// # Panics
/// When it cannot be read.
pub fn read(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The blocks of a Markdown page that are marked with `language`, without their fences.
pub fn blocks(page: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<(bool, String)> = None;
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(marked)) => open = Some((marked.trim() == language, String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take().filter(|(wanted, _)| *wanted).map(|(_, text)| text)),
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// What stands between a page's heading and the next one of the same rank or a higher one.
///
/// # Panics
/// When the page has no such heading.
pub fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let start = page.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("the page has no {heading:?}"));
    let text = &page[start + heading.len() + 2..];
    let rank = heading.bytes().take_while(|byte| *byte == b'#').count();
    let (mut end, mut in_block) = (0, false);
    for line in text.split_inclusive('\n') {
        in_block ^= line.starts_with("```");
        let hashes = line.bytes().take_while(|byte| *byte == b'#').count();
        // In a block a hash begins a comment.
        if !in_block && (1..=rank).contains(&hashes) && line[hashes..].starts_with(' ') {
            break;
        }
        end += line.len();
    }
    &text[..end]
}

/// The rows of the tables in `text`, by cells without the space around them; heads and rules are left out.
pub fn rows(text: &str) -> Vec<Vec<String>> {
    let lines: Vec<&str> = text.lines().collect();
    let is_rule = |line: &&str| line.starts_with("|--") || line.starts_with("|:-");
    lines
        .iter()
        .enumerate()
        .filter(|(at, line)| line.starts_with('|') && !is_rule(line) && !lines.get(at + 1).is_some_and(is_rule))
        .map(|(_, line)| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# A\n\n## B\n\n| x | y |\n|---|---|\n| `1` | 2 |\n\n```sh\nls\n```\n\n### C\n```sh\n# no heading\n```\n## D\nend\n";

    #[test]
    fn finds_blocks_sections_and_rows() {
        assert_eq!(blocks(PAGE, "sh"), ["ls\n", "# no heading\n"]);
        assert!(section(PAGE, "## B").ends_with("# no heading\n```\n"));
        assert_eq!(section(PAGE, "## D"), "end\n");
        assert_eq!(rows(PAGE), [["`1`", "2"]]);
    }
}
