//! Errors as text, with what caused them.

use std::error::Error;

/// The error and its causes, each behind a colon. A cause that the text before already ends with is not said twice.
pub(crate) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Failed(&'static str, #[source] Option<Box<dyn Error + Send + Sync>>);

    #[test]
    fn every_cause_is_told_once() {
        let socket = std::io::Error::other("no route to host");
        let mail = Failed("the mail was not sent", Some(Box::new(socket)));
        let run = Failed("run 7: the mail was not sent", Some(Box::new(mail)));
        assert_eq!(with_causes(&run), "run 7: the mail was not sent: no route to host");
        let boxed: Box<dyn Error + Send + Sync> = "plain".into();
        assert_eq!(with_causes(&*boxed), "plain");
        // As anyhow's: the context first, then what it is about.
        let read = std::fs::read_to_string("/no/such/file").unwrap_err();
        let text = with_causes(&Failed("reading the settings", Some(Box::new(read))));
        assert!(text.starts_with("reading the settings: No such file"), "{text}");
    }
}
