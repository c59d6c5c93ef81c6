//! What the messages of a Codex rollout are: words of the user, or what the program writes in the user's name.

use super::fields::Fields;

/// How texts begin and end that the program writes in the user's name, in any case of letters.
const MARKED: [(&str, &str); 15] = [
    ("<environment_context>", "</environment_context>"),
    ("<user_instructions>", "</user_instructions>"),
    ("<permissions instructions>", "</permissions instructions>"),
    ("<INSTRUCTIONS>", "</INSTRUCTIONS>"),
    ("# AGENTS.md instructions", "</INSTRUCTIONS>"),
    ("<skill>", "</skill>"),
    ("<user_shell_command>", "</user_shell_command>"),
    ("<turn_aborted>", "</turn_aborted>"),
    ("<subagent_notification>", "</subagent_notification>"),
    ("<subagents>", "</subagents>"),
    ("<hook_prompt", "</hook_prompt>"),
    ("<codex_internal_context", "</codex_internal_context>"),
    ("<extension_context>", "</extension_context>"),
    ("<goal_context>", "</goal_context>"),
    ("<recommended_plugins>", "</recommended_plugins>"),
];
/// How warnings begin that some releases wrote in the user's name.
const WARNINGS: [&str; 3] = [
    "Warning: The maximum number of unified exec processes you can keep open is",
    "Warning: apply_patch was requested via ",
    "Warning: Your account was flagged for potentially high-risk cyber activity",
];
/// The kinds that early releases gave to such messages.
const CONTEXT_KINDS: [&str; 2] = ["user_instructions", "environment_context"];
/// Stands for the words of a message that has only images.
const IMAGES: &str = "\0images";

/// The texts of a list of blocks.
pub(super) fn blocks(f: &Fields<'_>, name: &str) -> Vec<String> {
    let text = |block: &serde_json::value::RawValue| {
        Fields::parse(block.get()).ok()?.text("text").map(|text| text.into_owned())
    };
    f.list(name).into_iter().filter_map(text).collect()
}

/// Whether an item begins a turn, as a rollback counts turns: a message of the user with any content, unless a part of
/// it is context; and a message of another agent.
pub(super) fn begins_turn(item: &Fields<'_>) -> bool {
    match (item.text("type").as_deref(), item.text("role").as_deref()) {
        (Some("agent_message"), _) => true,
        (Some("message") | None, Some("user")) => !is_context(item),
        (Some("message") | None, Some("assistant")) => is_instruction(item),
        _ => false,
    }
}

/// Whether an item was written by the program, though it is in the user's name.
pub(super) fn is_context(item: &Fields<'_>) -> bool {
    let is_users = item.text("role").is_some_and(|role| role == "user");
    is_users && blocks(item, "content").iter().any(|text| is_written_by_the_program(text))
}

/// The same for what the user interface shows.
pub(super) fn is_shown_context(message: &Fields<'_>) -> bool {
    message.text("kind").is_some_and(|kind| CONTEXT_KINDS.contains(&&*kind))
        || message.text("message").is_some_and(|text| is_written_by_the_program(&text))
}

/// Whether an item is an update of the context by the developer's role.
pub(super) fn is_update(item: &Fields<'_>) -> bool {
    let is_developers = item.text("role").is_some_and(|role| role == "developer");
    is_developers && blocks(item, "content").iter().any(|text| text.trim_start().starts_with('<'))
}

/// The user's words in an item, without the tags around images.
pub(super) fn words(item: &Fields<'_>) -> String {
    let kinds: Vec<bool> = item.list("content").into_iter().map(|block| is_image(block.get())).collect();
    let has_image = kinds.contains(&true);
    let texts = blocks(item, "content");
    let words: String = texts.into_iter().filter(|text| !has_image || !is_image_tag(text)).collect();
    if words.is_empty() && has_image { IMAGES.to_owned() } else { words }
}

/// The same in what the user interface shows.
pub(super) fn shown_words(message: &Fields<'_>) -> String {
    let words = message.text("message").unwrap_or_default();
    let has_image = || ["images", "local_images"].iter().any(|name| !message.list(name).is_empty());
    if words.is_empty() && has_image() { IMAGES.to_owned() } else { words.into_owned() }
}

/// What a compaction leaves: how many of the items that begin turns, if it lists what it leaves, and whether its
/// summary, which is a message in the user's name, is one more.
pub(super) fn left_by(compaction: &Fields<'_>) -> (Option<usize>, bool) {
    let summary = compaction.text("message").unwrap_or_default();
    let is_summarized = !summary.trim().is_empty();
    if !compaction.has("replacement_history") {
        return (None, is_summarized);
    }
    let (mut turns, mut last) = (0, String::new());
    for item in compaction.list("replacement_history") {
        if let Ok(item) = Fields::parse(item.get())
            && begins_turn(&item)
        {
            turns += 1;
            last = words(&item);
        }
    }
    let is_listed = is_summarized && last.trim() == summary.trim();
    (Some(turns - usize::from(is_listed)), is_listed)
}

fn is_image(block: &str) -> bool {
    Fields::parse(block).is_ok_and(|f| f.text("type").is_some_and(|what| what == "input_image"))
}

fn is_image_tag(text: &str) -> bool {
    matches!(text, "<image>" | "</image>") || text.starts_with("<image name=") && text.ends_with('>')
}

/// Whether a message of the assistant is what another agent asks it to do.
fn is_instruction(item: &Fields<'_>) -> bool {
    let texts = blocks(item, "content");
    let [text] = texts.as_slice() else { return false };
    Fields::parse(text).is_ok_and(|f| {
        ["author", "recipient", "content"].iter().all(|name| f.text(name).is_some()) && f.has("trigger_turn")
    })
}

fn is_written_by_the_program(text: &str) -> bool {
    let text = text.trim();
    let is_marked = |(start, end): (&str, &str)| {
        let head = text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start));
        let tail = text.len().checked_sub(end.len()).and_then(|at| text.get(at..));
        head && tail.is_some_and(|tail| tail.eq_ignore_ascii_case(end))
    };
    MARKED.into_iter().any(is_marked)
        || WARNINGS.iter().any(|start| text.starts_with(start))
        || is_external(text)
}

/// `<external_KEY>…</external_KEY>`.
fn is_external(text: &str) -> bool {
    let rest = text.strip_prefix("<external_").and_then(|rest| rest.split_once('>'));
    rest.is_some_and(|(key, rest)| rest.ends_with(&format!("</external_{key}>")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(role: &str, content: &str) -> String {
        format!("{{\"type\":\"message\",\"role\":\"{role}\",\"content\":[{content}]}}")
    }

    fn text(text: &str) -> String {
        let mut out = b"{\"type\":\"input_text\",\"text\":".to_vec();
        crate::agents::interop::json::write_text(text, &mut out);
        out.push(b'}');
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_turn_is_begun_by_words_or_images_of_the_user_and_by_other_agents() {
        let image = "{\"type\":\"input_image\",\"image_url\":\"data:\"}";
        for (item, begins) in [
            (item("user", &text("go")), true),
            (item("user", image), true),
            (item("user", ""), true),
            (item("user", &format!("{},{image}", text("<image>"))), true),
            (item("user", &text(" <ENVIRONMENT_context>x</environment_context>\n")), false),
            (item("user", &text("<environment_context> is what I see")), true),
            (item("user", &format!("{},{}", text("go"), text("<skill>x</skill>"))), false),
            (item("user", &text("# AGENTS.md instructions for /x\n<INSTRUCTIONS>\n</INSTRUCTIONS>")), false),
            (item("user", &text("<external_a>x</external_a>")), false),
            (item("user", &text("<external_a>x</external_b>")), true),
            (item("user", &text("<hook_prompt hook_run_id=\"a\">x</hook_prompt>")), false),
            (item("developer", &text("go")), false),
            (item("assistant", &text("go")), false),
            (
                item(
                    "assistant",
                    &text(
                        "{\"author\":\"/a\",\"recipient\":\"/b\",\"content\":\"go\",\"trigger_turn\":true}",
                    ),
                ),
                true,
            ),
            ("{\"type\":\"agent_message\",\"author\":\"/a\"}".to_owned(), true),
            ("{\"type\":\"reasoning\",\"summary\":[]}".to_owned(), false),
        ] {
            assert_eq!(begins_turn(&Fields::parse(&item).unwrap()), begins, "{item}");
        }
    }

    #[test]
    fn the_words_of_a_message_with_images_are_those_that_are_shown() {
        let image = "{\"type\":\"input_image\",\"image_url\":\"data:\"}";
        let with = item(
            "user",
            &[text("<image name=[Image #1]>"), image.to_owned(), text("</image>"), text("look")].join(","),
        );
        assert_eq!(words(&Fields::parse(&with).unwrap()), "look");
        let only = Fields::parse(r#"{"message":"","local_images":["/a.png"]}"#).unwrap();
        assert_eq!(shown_words(&only), words(&Fields::parse(&item("user", image)).unwrap()));
        assert_eq!(words(&Fields::parse(&item("user", &text("<image>"))).unwrap()), "<image>");
    }

    #[test]
    fn a_compaction_leaves_the_turns_that_it_lists_and_its_summary() {
        let all =
            [item("user", &text("a")), item("developer", &text("b")), item("user", &text("sum"))].join(",");
        for (payload, left) in [
            (format!("{{\"message\":\"sum\",\"replacement_history\":[{all}]}}"), (Some(1), true)),
            (format!("{{\"message\":\"\",\"replacement_history\":[{all}]}}"), (Some(2), false)),
            ("{\"message\":\"sum\",\"replacement_history\":[]}".to_owned(), (Some(0), false)),
            ("{\"message\":\"sum\"}".to_owned(), (None, true)),
        ] {
            assert_eq!(left_by(&Fields::parse(&payload).unwrap()), left, "{payload}");
        }
    }
}
