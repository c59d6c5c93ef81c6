//! What can be looked up: words, and what a request is narrowed by. The first byte says which.

use crate::event::Speaker;

/// A word of a text.
pub(super) const WORD: u8 = b'w';
/// A session.
pub(super) const SESSION: u8 = b's';
const SPEAKER: u8 = b'r';
/// A type of event.
pub(super) const KIND: u8 = b'k';
const _: () = assert!(KIND < LAST_TAG && SPEAKER < LAST_TAG);

/// The highest of those that are no words.
pub(super) const LAST_TAG: u8 = SESSION;

pub(super) fn term(kind: u8, text: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.push(kind);
    out.extend_from_slice(text);
}

pub(super) fn word(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    term(WORD, text.as_bytes(), &mut out);
    out
}

pub(super) fn session(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    term(SESSION, name.as_bytes(), &mut out);
    out
}

pub(super) fn speaker(speaker: Speaker) -> Vec<u8> {
    let mut out = Vec::new();
    term(SPEAKER, speaker.as_str().as_bytes(), &mut out);
    out
}

pub(super) fn kind(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    term(KIND, name.as_bytes(), &mut out);
    out
}
