//! Known ways to get something wrong. One at a time is injected, on the thread that explores.

use std::cell::Cell;

std::thread_local! {
    static FAULT: Cell<Option<&'static str>> = const { Cell::new(None) };
    static VARIANT: Cell<Option<&'static str>> = const { Cell::new(None) };
}

pub(crate) fn is_injected(name: &str) -> bool {
    [FAULT.get(), VARIANT.get()].into_iter().flatten().any(|fault| fault == name)
}

/// Something that is unusual and not wrong, from here to the end of the execution: bounds that are soon reached.
pub(crate) fn vary(name: &'static str) {
    VARIANT.set(Some(name));
}

pub(super) fn vary_nothing() {
    VARIANT.set(None);
}

/// Runs `work` with this fault.
pub(crate) fn injected<T>(name: &'static str, work: impl FnOnce() -> T) -> T {
    struct Before(Option<&'static str>);
    impl Drop for Before {
        fn drop(&mut self) {
            FAULT.set(self.0);
        }
    }
    let _before = Before(FAULT.replace(Some(name)));
    work()
}

macro_rules! fault {
    ($name:ident) => {
        $crate::sync::is_injected(stringify!($name))
    };
    ($name:ident, $wrong:block) => {
        if $crate::sync::is_injected(stringify!($name)) $wrong
    };
}
pub(crate) use fault;
