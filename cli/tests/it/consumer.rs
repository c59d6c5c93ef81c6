//! `retold consumer` and `retold dead-letters` through the real program.

use serde_json::Value;

use crate::shell::{Said, Shell, steady};

fn json(shell: &Shell, args: &[&str]) -> Value {
    let mut all = args.to_vec();
    all.extend(["-o", "json"]);
    serde_json::from_str(&shell.ok(&all)).unwrap()
}

fn with_mail() -> Shell {
    let shell = Shell::new();
    for n in 1..=3 {
        shell.ok(&["append", "inbox", "mail.requested", "--data", &format!("{{\"n\":{n}}}")]);
    }
    shell.ok(&["append", "other", "run.started"]);
    shell.ok(&["consumer", "add", "mailer", "--type", "mail.*", "--max-deliveries", "2", "--backoff", "0"]);
    shell
}

fn next(shell: &Shell) -> (String, u64, u64) {
    let got = json(shell, &["consumer", "next", "mailer"]);
    let event = &got["event"];
    (
        got["token"].as_str().unwrap().to_owned(),
        event["sequence"].as_u64().unwrap(),
        got["deliveries"].as_u64().unwrap(),
    )
}

#[test]
fn help_is_what_it_was() {
    let shell = Shell::new();
    for (name, args) in [
        ("consumer_help", &["consumer", "--help"][..]),
        ("consumer_add_help", &["consumer", "add", "--help"]),
        ("consumer_next_help", &["consumer", "next", "--help"]),
        ("letters_help", &["dead-letters", "--help"]),
        ("letters_replay_help", &["dead-letters", "replay", "--help"]),
    ] {
        let help = Said::of(shell.command(args).output().unwrap()).out;
        // What is accepted everywhere is in the help of the program.
        let (own, rest) = help.split_once("\n\nGlobal options:").unwrap();
        let is_text = |part: &&str| !part.starts_with(' ');
        let after =
            rest.split("\n\n").skip(1).skip_while(|part| !is_text(part)).collect::<Vec<_>>().join("\n\n");
        insta::assert_snapshot!(name, format!("{own}\n\n{after}"));
    }
}

#[test]
fn a_worker_made_of_commands_goes_through_everything() {
    let shell = with_mail();
    let (token, sequence, deliveries) = next(&shell);
    assert_eq!((sequence, deliveries), (1, 1));
    let none = shell.run(&["consumer", "next", "mailer", "--timeout", "0.2"]);
    assert_eq!((none.exit, none.out.as_str()), (4, ""));
    assert!(none.err.contains("no event for mailer now"), "{}", none.err);
    let shown = json(&shell, &["consumer", "show", "mailer"]);
    assert_eq!(shown["outstanding"][0]["token"], token);
    assert_eq!(shown["settings"]["pattern"], "mail.*");
    shell.ok(&["consumer", "touch", "mailer", &token]);
    shell.ok(&["consumer", "ack", "mailer", &token]);
    let twice = shell.run(&["consumer", "ack", "mailer", &token]);
    assert_eq!(twice.exit, 3, "{}", twice.err);
    assert!(
        twice.err.contains("already resolved") && twice.err.contains("retold consumer show"),
        "{}",
        twice.err
    );

    let (token, sequence, _) = next(&shell);
    assert_eq!(sequence, 2);
    assert_eq!(json(&shell, &["consumer", "nack", "mailer", &token])["done"], "to be delivered again");
    let (token, sequence, deliveries) = next(&shell);
    assert_eq!((sequence, deliveries), (2, 2));
    let last = json(&shell, &["consumer", "nack", "mailer", &token, "--delay", "60"]);
    assert_eq!(last["done"], "set aside");
    let (token, sequence, _) = next(&shell);
    assert_eq!(sequence, 3);
    shell.ok(&["consumer", "park", "mailer", &token, "--reason", "no such host"]);

    let dead_letters = json(&shell, &["dead-letters", "ls"]);
    assert_eq!(dead_letters.as_array().unwrap().len(), 2);
    assert_eq!(dead_letters[1]["error"], "no such host");
    let dead_letter = json(&shell, &["dead-letters", "show", "mailer", "3"]);
    assert_eq!(
        (&dead_letter["owner"], &dead_letter["event"]["data"]["n"]),
        (&"consumer:mailer".into(), &3.into())
    );
    let replayed = json(&shell, &["dead-letters", "replay", "mailer", "--all"]);
    assert_eq!(replayed["dead_letters"], 2);
    shell.ok(&["dead-letters", "drop", "consumer:mailer", "2"]);
    let (token, sequence, deliveries) = next(&shell);
    assert_eq!((sequence, deliveries), (3, 1));
    shell.ok(&["consumer", "ack", "mailer", &token]);
    assert_eq!(json(&shell, &["dead-letters", "ls", "mailer"]), Value::Array(Vec::new()));

    shell.ok(&["consumer", "reset", "mailer", "--from", "2"]);
    assert_eq!(next(&shell).1, 3);
    let shown = json(&shell, &["consumer", "ls"]);
    assert_eq!((&shown[0]["acknowledged"], &shown[0]["ack_floor"]), (&2.into(), &2.into()));
    assert_eq!(json(&shell, &["consumer", "rm", "mailer"])["dead_letters"], 0);
    assert_eq!(json(&shell, &["consumer", "ls"]), Value::Array(Vec::new()));
    assert!(shell.ok(&["verify", "-o", "json"]).contains("\"problems\":[]"));
}

#[test]
fn what_people_see() {
    let shell = with_mail();
    let token = next(&shell).0;
    let table = |args: &[&str]| {
        let mut all = vec!["-o", "table"];
        all.extend(args);
        let text = steady(&shell.ok(&all), &shell.path("")).replace(&token, "TOKEN");
        // Fractions of a second, too.
        let mut parts = text.split("T00:00:00.");
        let first = parts.next().unwrap().to_owned();
        parts.fold(first, |text, part| format!("{text}T00:00:00.000000{}", &part[6..]))
    };
    insta::assert_snapshot!("consumer_ls", table(&["consumer", "ls"]));
    insta::assert_snapshot!("consumer_show", table(&["consumer", "show", "mailer"]));
    shell.ok(&["consumer", "park", "mailer", &token, "--reason", "no such host"]);
    insta::assert_snapshot!("letters_ls", table(&["dead-letters", "ls"]));
    insta::assert_snapshot!("letters_show", table(&["dead-letters", "show", "mailer", "1"]));
    let next = table(&["consumer", "next", "mailer"]);
    let lines: Vec<&str> = next.lines().collect();
    assert!(lines[0].contains("token") && lines[1].contains("delivery  1"), "{next}");
    insta::assert_snapshot!("consumer_rm", table(&["consumer", "rm", "mailer"]));
}

#[test]
fn what_cannot_be_done_is_refused_with_its_code_and_a_way_out() {
    let shell = with_mail();
    let token = next(&shell).0;
    shell.ok(&["consumer", "add", "all"]);
    for (code, part, args) in [
        (4, "there is no consumer none", &["consumer", "next", "none"][..]),
        (4, "retold consumer add", &["consumer", "show", "none"]),
        (4, "there is no consumer none", &["consumer", "rm", "none"]),
        (3, "with pattern mail.*, not all", &["consumer", "add", "mailer"]),
        (7, "not a delivery token", &["consumer", "ack", "mailer", "x"]),
        (3, "another consumer", &["consumer", "ack", "all", &token]),
        (7, "the last one is", &["consumer", "add", "late", "--from", "99"]),
        (7, "cursor", &["consumer", "add", "late", "--cursor", "AAAA"]),
        (2, "--from takes", &["consumer", "add", "late", "--from", "x"]),
        (7, "max_in_flight has to be 1 to", &["consumer", "add", "late", "--max-in-flight", "0"]),
        (7, "deadline", &["consumer", "add", "late", "--deadline", "0"]),
        (7, "pattern", &["consumer", "add", "late", "--type", "a..b"]),
        (7, "consumer", &["consumer", "add", "a/b"]),
        (7, "week", &["consumer", "nack", "mailer", &token, "--delay", "1e9"]),
        (4, "there is no dead letter 9 of consumer:mailer", &["dead-letters", "show", "mailer", "9"]),
        (4, "retold dead-letters ls", &["dead-letters", "replay", "handler:x", "9"]),
        (2, "required", &["dead-letters", "drop", "mailer"]),
        (2, "", &["consumer"]),
    ] {
        let said = shell.run(args);
        assert_eq!(said.exit, code, "{args:?}: {}", said.err);
        assert!(said.err.contains(part), "{args:?}: {}", said.err);
    }
}
