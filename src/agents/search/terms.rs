//! What can be looked up: words, and what a request is narrowed by. The first byte says which.

use crate::event::Speaker;

/// A word of a text.
pub(super) const WORD: u8 = b'w';
/// A session.
pub(super) const SESSION: u8 = b's';
const SPEAKER: u8 = b'r';
/// A type of event.
pub(super) const KIND: u8 = b'k';

pub(super) fn term(kind: u8, text: &str, out: &mut Vec<u8>) {
    out.clear();
    out.push(kind);
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn word(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    term(WORD, text, &mut out);
    out
}

pub(super) fn session(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    term(SESSION, name, &mut out);
    out
}

pub(super) fn speaker(speaker: Speaker) -> Vec<u8> {
    let mut out = Vec::new();
    term(SPEAKER, speaker.as_str(), &mut out);
    out
}

pub(super) fn kind(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    term(KIND, name, &mut out);
    out
}
