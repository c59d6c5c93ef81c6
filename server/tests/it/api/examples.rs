//! The examples of the chapter about this interface do what it says.

use retold_server::Config;
use retold_server::Tokens;

use crate::harness::Served;

/// What stands between quotes of either kind, or between spaces.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => word.push(c),
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == ' ' => words.extend((!word.is_empty()).then(|| std::mem::take(&mut word))),
            None => word.push(c),
        }
    }
    assert_eq!(quote, None, "{line}");
    words.extend((!word.is_empty()).then_some(word));
    words
}

#[tokio::test]
async fn every_example_is_answered_with_its_status() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/http-api.md")).unwrap();
    let served = Served::with(retold::Store::in_memory().unwrap(), Config::new(Tokens::open())).await;
    super::fill(&served.store);
    let mut run = 0;
    for line in text.lines().filter(|line| line.starts_with("curl ")) {
        let (command, status) = line.rsplit_once('#').unwrap_or_else(|| panic!("{line} has no status"));
        let words = words(command.trim());
        let option = |name: &str| words.iter().position(|word| word == name).map(|at| words[at + 1].clone());
        let path = words.iter().find_map(|word| word.strip_prefix("$URL")).unwrap();
        let (json, form) = (option("--json"), option("-d"));
        let usual = if json.is_some() || form.is_some() { "POST" } else { "GET" };
        let ask = served.ask(option("-X").as_deref().unwrap_or(usual), path);
        // As curl sends it.
        let ask = match (json, form) {
            (Some(body), _) => ask.header("accept", "application/json").body("application/json", body),
            (None, Some(body)) => ask.body("application/x-www-form-urlencoded", body),
            (None, None) => ask.header("accept", "*/*"),
        };
        let answer = ask.send().await;
        assert_eq!(answer.status.to_string(), status.trim(), "{line}: {}", answer.text());
        run += 1;
    }
    assert!(run > 15, "{run}");
}
