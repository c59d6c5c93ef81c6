//! The commands in the book are commands: each is parsed as the shell would pass it.

use std::path::Path;

/// The words of a line, as far as the book writes them: quotes, and nothing that a shell would replace.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(end), c) if c == end => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The commands of a line: those that begin with `retold`, up to a pipe or a comment.
fn commands(line: &str) -> Vec<Vec<String>> {
    let Some(line) = line.strip_prefix("$ ") else { return Vec::new() };
    let all = words(line);
    let parts = all.split(|word| matches!(word.as_str(), "&&" | "|" | ";"));
    let parts =
        parts.map(|part| part.iter().take_while(|w| !w.starts_with('#') && *w != ">").cloned().collect());
    parts.filter(|part: &Vec<String>| part.first().is_some_and(|word| word == "retold")).collect()
}

#[test]
fn every_command_of_the_book_is_understood() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let docs = std::fs::read_dir(root.join("docs")).unwrap();
    let mut pages: Vec<_> = docs.map(|entry| entry.unwrap().path()).collect();
    pages.push(root.join("README.md"));
    pages.retain(|page| page.extension().is_some_and(|end| end == "md"));
    let (mut count, mut wrong) = (0, Vec::new());
    for page in pages {
        for line in std::fs::read_to_string(&page).unwrap().lines() {
            for command in commands(line.trim()) {
                count += 1;
                if let Err(e) = super::command().try_get_matches_from(&command)
                    && e.use_stderr()
                {
                    wrong.push(format!("{}: {}\n{e}", page.display(), command.join(" ")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 40, "{count}");
}

#[test]
fn a_line_is_split_as_a_shell_splits_it() {
    assert_eq!(words("a  'b c' \"d'e\" f''g ''"), ["a", "b c", "d'e", "fg", ""]);
    let found = commands("$ retold purge && retold compact | x  # why");
    assert_eq!(found, [vec!["retold", "purge"], vec!["retold", "compact"]]);
    assert!(commands("retold ls").is_empty());
    assert_eq!(commands("$ retold tail 'a # b' > f"), [vec!["retold", "tail", "a # b"]]);
}
