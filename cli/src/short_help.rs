//! `retold -h`: the most used verbs, by what they are for, on one screen.

use std::ffi::{OsStr, OsString};

use super::style::{DIM, HEADER, NAME, paint};

/// The verbs that most people need. Each is described by the parser's own text.
const GROUPS: [(&str, &[&str]); 4] = [
    ("Record", &["append", "import"]),
    ("Look", &["ls", "show", "search", "describe", "read", "tail", "timeline"]),
    ("Branch and compare", &["fork", "branches", "log", "diff"]),
    ("State and store", &["state", "info"]),
];

/// Whether the command line asks for the short help of the program itself, not of a verb.
pub(super) fn is_asked(args: &[OsString], command: clap::Command) -> bool {
    let words = || args.iter().skip(1).take_while(|arg| *arg != "--");
    if !words().any(|arg| arg == "-h") || words().any(|arg| arg == "--help") {
        return false;
    }
    let others = args.iter().filter(|arg| *arg != OsStr::new("-h"));
    let parsed = command.ignore_errors(true).try_get_matches_from(others);
    parsed.is_ok_and(|matches| matches.subcommand_name().is_none())
}

/// The help of this command.
pub(super) fn text(command: &clap::Command) -> String {
    let about = |name: &str| {
        let verb = command.find_subcommand(name)?;
        Some((name.to_owned(), verb.get_about().map(ToString::to_string).unwrap_or_default()))
    };
    let mut lines = vec![
        command.get_about().map(ToString::to_string).unwrap_or_default(),
        String::new(),
        format!("{} retold [OPTIONS] <VERB>", paint(HEADER, "Usage:")),
        String::new(),
    ];
    for (group, verbs) in GROUPS {
        lines.push(paint(HEADER, format!("{group}:")));
        let verbs = verbs.iter().filter_map(|name| about(name));
        lines.extend(verbs.map(|(name, about)| format!("  {}  {about}", paint(NAME, format!("{name:<10}")))));
    }
    lines.push(String::new());
    lines.push("`retold --help` lists all verbs and options, `retold help VERB` explains one.".to_owned());
    lines.push(paint(DIM, "New here? `retold demo` records a small agent run and shows what can be done."));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_width::UnicodeWidthStr;

    #[test]
    fn every_verb_of_the_short_help_exists_and_fits_on_the_screen() {
        let command = super::super::command();
        let verbs = || GROUPS.iter().flat_map(|(_, verbs)| verbs.iter());
        for name in verbs() {
            assert!(command.find_subcommand(name).is_some_and(|verb| verb.get_about().is_some()), "{name}");
        }
        let text = anstream::adapter::strip_str(&super::super::style::shown(&text(&command))).to_string();
        assert!(text.lines().all(|line| line.width() <= 90), "{text}");
        assert!(text.lines().count() <= 26, "{text}");
    }

    #[test]
    fn only_the_program_itself_has_a_short_help_of_its_own() {
        let asked = |words: &[&str]| {
            let args: Vec<OsString> = ["retold"].iter().chain(words).map(Into::into).collect();
            is_asked(&args, super::super::command())
        };
        for words in [&["-h"][..], &["--store", "x", "-h"], &["-q", "-h"], &["-h", "--color", "never"]] {
            assert!(asked(words), "{words:?}");
        }
        for words in
            [&[][..], &["--help"], &["-h", "--help"], &["ls", "-h"], &["-q", "read", "s", "-h"], &["help"]]
        {
            assert!(!asked(words), "{words:?}");
        }
    }
}
