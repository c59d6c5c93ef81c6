//! What a shell offers after a tab. The script of `retold completions` asks the program with [`VARIABLE`] set; names of sessions and
//! branches come from the store, if it can say them at once. One that is missing, damaged or in use offers nothing, and says nothing.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clap::{Arg, Command, ValueHint};
use clap_complete::env::Shells;
use clap_complete::{ArgValueCompleter, CompleteEnv, CompletionCandidate};

use super::known::is_session;
use super::open::shared;
use super::remote::{Remote, open};
use retold::agents::interop::Format;
use retold::agents::projections;
use retold::config::Settings;
use retold::event::{Catalogue, SessionId};
use retold::store::{Builder, Store};

/// The shell that asks. Settings begin otherwise, so that it is none.
pub(super) const VARIABLE: &str = "_RETOLD_COMPLETE";
/// Names that are offered at most.
const OFFERED: usize = 100;
/// How long a name may take to be found: whoever has pressed a key waits for it.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long to wait for a store that is in use.
const WAIT: Duration = Duration::from_millis(200);

/// Whether a shell asks that is known. Any other value of the variable is no reason to do nothing.
pub(super) fn is_asked() -> bool {
    let shell = std::env::var(VARIABLE).unwrap_or_default();
    Shells::builtins().completer(&shell).is_some()
}

/// Answers it. What goes wrong is not shown: it would be in the middle of a command line.
pub(super) fn answer(command: fn() -> Command) {
    let here = std::env::current_dir().ok();
    let env = CompleteEnv::with_factory(|| offering(command())).var(VARIABLE);
    let _ = env.try_complete(std::env::args_os(), here.as_deref());
}

/// The script that makes a shell ask; `None` for a shell that is unknown.
pub(super) fn script(shell: &str) -> Option<Vec<u8>> {
    let shells = Shells::builtins();
    let mut script = Vec::new();
    shells.completer(shell)?.write_registration(VARIABLE, "retold", "retold", "retold", &mut script).ok()?;
    Some(if shell == "bash" { quoting(&String::from_utf8(script).ok()?).into_bytes() } else { script })
}

/// What the script of bash says of the word that is completed, and where it ends.
const WORD: &str = "        words[COMP_CWORD]=\"$2\"\n";
const END: &str = "        compopt -o nospace\n    fi\n}\n";

/// The script of bash with the quotes that bash leaves to it: names of files may have blanks, and other characters that mean something.
fn quoting(script: &str) -> String {
    let unquoted = r#"        # Without a quote, the word still has its backslashes.
        case "${COMP_WORDS[COMP_CWORD]}" in
            [\"\']*) words[COMP_CWORD]="$2" ;;
            *) words[COMP_CWORD]="${2//\\/}" ;;
        esac
"#;
    let quoted = r#"        compopt -o nospace
    fi
    local at
    case "${COMP_WORDS[COMP_CWORD]}" in
        # Within quotes, bash takes it as it is.
        [\"\']*) ;;
        *)
            for at in "${!COMPREPLY[@]}"; do
                case "${COMPREPLY[at]}" in
                    '~/'?*) COMPREPLY[at]="~/$(printf %q "${COMPREPLY[at]:2}")" ;;
                    *[![:alnum:]./_@:=,+-]*) COMPREPLY[at]="$(printf %q "${COMPREPLY[at]}")" ;;
                esac
            done
            ;;
    esac
}
"#;
    script.replace(WORD, unquoted).replace(END, quoted)
}

/// The command, whose arguments offer what their names say they are.
fn offering(command: Command) -> Command {
    let verb = command.get_name().to_owned();
    command.mut_args(|arg| offered(arg, &verb)).mut_subcommands(offering)
}

fn offered(arg: Arg, verb: &str) -> Arg {
    let Some(name) = arg.get_value_names().and_then(|names| names.first()).map(ToString::to_string) else {
        return arg;
    };
    let offer: fn(&str) -> Option<Vec<String>> = match (name.as_str(), verb) {
        ("SESSION", _) => sessions,
        ("SESSION[/BRANCH]" | "SESSION[/BRANCH][@SEQ]" | "SESSION[/BRANCH]@SEQ" | "ADDRESS", _) => addresses,
        ("A" | "B", "state-diff") => addresses,
        ("A" | "B", "diff") => branches_of_the_session,
        ("SESSION/BRANCH", _) => branches,
        ("TYPE", _) => types,
        ("GLOB", _) if arg.get_long() == Some("type") => types,
        ("PROJECTION", _) => projections,
        ("FORMAT", "import") => import_formats,
        ("FORMAT", "export") => export_formats,
        (name, _) if name.starts_with("FILE") => return arg.value_hint(ValueHint::AnyPath),
        _ => return arg,
    };
    arg.add(ArgValueCompleter::new(move |begin: &OsStr| in_time(begin, offer)))
}

/// The answer, if it comes in time.
fn in_time(begin: &OsStr, offer: fn(&str) -> Option<Vec<String>>) -> Vec<CompletionCandidate> {
    let Some(begin) = begin.to_str().map(str::to_owned) else { return Vec::new() };
    let (tell, told) = mpsc::channel();
    let asking = thread::Builder::new().spawn(move || tell.send(offer(&begin)));
    // A thread that comes too late ends with the process.
    let found = asking.ok().and_then(|_| told.recv_timeout(PATIENCE).ok()).flatten().unwrap_or_default();
    found.into_iter().filter(|name| is_plain(name)).take(OFFERED).map(CompletionCandidate::new).collect()
}

/// Whether a name means nothing else to a shell: some put it on the command line as it is.
fn is_plain(name: &str) -> bool {
    name.chars()
        .all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | ':' | ',' | '=' | '%' | '/'))
}

fn starting<'a>(begin: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    names.filter(|name| name.starts_with(begin)).map(str::to_owned).collect()
}

/// The words of the command line that is being written.
fn words() -> Vec<OsString> {
    std::env::args_os().skip_while(|word| word != "--").skip(1).collect()
}

/// The value of a flag on that command line.
fn flag(name: &str) -> Option<PathBuf> {
    let mut words = words().into_iter();
    while let Some(word) = words.next() {
        if word == name {
            return words.next().map(PathBuf::from);
        }
        let value =
            word.to_str().and_then(|word| word.strip_prefix(name)).and_then(|rest| rest.strip_prefix('='));
        if let Some(value) = value {
            return Some(value.into());
        }
    }
    None
}

fn settings() -> Option<Settings> {
    let loader = Settings::loader();
    let loader = match flag("--config-file") {
        Some(file) => loader.file(file),
        None => loader,
    };
    loader.load().ok()
}

fn store() -> Option<Store> {
    let path = flag("--store").or_else(|| Some(settings()?.store().to_owned()))?;
    let remote = Remote {
        token_file: flag("--token-file").or_else(|| std::env::var_os("RETOLD_TOKEN_FILE").map(PathBuf::from)),
        ca: flag("--ca").or_else(|| std::env::var_os("RETOLD_CA").map(PathBuf::from)),
        allow_http: words().iter().any(|word| word == "--allow-http"),
        token_in_the_open: None,
    };
    open(&path, &remote, shared(Builder::new().read_only(), "retold completions", WAIT)).ok()
}

fn sessions(begin: &str) -> Option<Vec<String>> {
    let store = store()?;
    let after = SessionId::new(begin).ok();
    if after.is_none() && !begin.is_empty() {
        return None;
    }
    let mut names = Vec::new();
    // The listing begins after it.
    names.extend(after.clone().filter(|exact| is_session(&store, exact).unwrap_or_default()));
    names.extend(store.session_names(after.as_ref(), OFFERED).ok()?);
    Some(starting(begin, names.iter().map(SessionId::as_str)))
}

/// Sessions; after a slash, the branches of one.
fn addresses(begin: &str) -> Option<Vec<String>> {
    let Some((session, begin)) = begin.split_once('/') else { return sessions(begin) };
    let names = branch_names(session, begin)?;
    Some(names.into_iter().map(|name| format!("{session}/{name}")).collect())
}

/// The same where a branch is needed.
fn branches(begin: &str) -> Option<Vec<String>> {
    match begin.contains('/') {
        true => addresses(begin),
        false => Some(sessions(begin)?.into_iter().map(|name| format!("{name}/")).collect()),
    }
}

/// Branches of the session that comes before on the command line.
fn branches_of_the_session(begin: &str) -> Option<Vec<String>> {
    let words = words();
    let session = words.iter().skip_while(|word| *word != "diff").nth(1)?;
    branch_names(session.to_str()?, begin)
}

fn branch_names(session: &str, begin: &str) -> Option<Vec<String>> {
    let branches = store()?.branches(&SessionId::new(session).ok()?).ok()?;
    Some(starting(begin, branches.iter().map(|branch| branch.place.branch.as_str())))
}

fn catalogue() -> Option<Catalogue> {
    match flag("--types").or_else(|| settings()?.types().map(ToOwned::to_owned)) {
        Some(file) => Catalogue::from_file(file).ok(),
        None => Some(Catalogue::default()),
    }
}

fn types(begin: &str) -> Option<Vec<String>> {
    let catalogue = catalogue()?;
    let named = catalogue.types().filter(|info| info.pattern().is_none());
    Some(starting(begin, named.map(|info| info.name())))
}

fn import_formats(begin: &str) -> Option<Vec<String>> {
    Some(starting(begin, Format::ALL.map(Format::name).into_iter().chain(["auto"])))
}

fn export_formats(begin: &str) -> Option<Vec<String>> {
    Some(starting(begin, ["retold", "cloudevents", "aios", "ag-ui", "otlp-json", "source"].into_iter()))
}

fn projections(begin: &str) -> Option<Vec<String>> {
    let all = projections::all(&catalogue()?);
    Some(starting(begin, all.iter().map(|projection| projection.name())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_run_is_not_offered() {
        for plain in ["run-7", "run-7/retry", "a.b_c+d:e,f=g%h", "Überprüfung"] {
            assert!(is_plain(plain), "{plain}");
        }
        for hostile in
            ["a b", "$(id)", "`id`", "a;b", "a&b", "a|b", "a>b", "'", "\"", "a\\b", "~", "#", "!1", "{a,b}"]
        {
            assert!(!is_plain(hostile), "{hostile}");
        }
    }

    #[test]
    fn every_shell_has_a_script() {
        for shell in ["bash", "zsh", "fish"] {
            let script = String::from_utf8(script(shell).unwrap()).unwrap();
            assert!(script.contains(VARIABLE) && script.contains("retold"), "{script}");
        }
        assert!(script("tcsh").is_none());
        let bash = String::from_utf8(script("bash").unwrap()).unwrap();
        assert_eq!(bash.matches("printf %q").count(), 2, "{bash}");
        assert!(bash.contains("${2//") && !bash.contains(END), "{bash}");
    }
}
