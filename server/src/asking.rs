//! Who asks, for what is around a request or below it and is not told by its handler.

use std::sync::{Arc, OnceLock};

use crate::budget::Share;

tokio::task_local! {
    static ASKING: Asking;
}

/// The request that the present task answers.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    /// The name of its token.
    pub(crate) token: Arc<str>,
    /// What its body takes.
    pub(crate) body: Share,
}

impl Asking {
    /// The one of this task, if it answers one.
    pub(crate) fn now() -> Option<Self> {
        ASKING.try_with(Self::clone).ok()
    }

    /// Answers it.
    pub(crate) async fn scope<T>(self, answer: impl Future<Output = T>) -> T {
        ASKING.scope(self, answer).await
    }
}

/// The name of a request's token, once it is known. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asker {
    name: Arc<OnceLock<String>>,
}

impl Asker {
    /// It is this one.
    pub(crate) fn is(&self, name: &str) {
        let _ = self.name.set(name.to_owned());
    }

    /// It, if it is known.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.get().map(String::as_str)
    }
}
