//! Errors, each with everything that it says.

use bincode::{BorrowDecode, Encode};

use super::parts::SentPlace;

/// The precondition of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub enum SentExpect {
    /// Any head.
    Any,
    /// No event yet.
    Empty,
    /// Exactly this head.
    Head(u64),
}

/// One variant for each of [`Error`](crate::error::Error), with its fields.
#[allow(missing_docs, reason = "the error of the same name says it")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub enum SentProblem<'a> {
    Conflict(SentPlace<'a>, SentExpect, u64),
    RecordChanged(&'a str),
    NotFound(&'a str, &'a str),
    Exists(&'a str, &'a str),
    Invalid(&'a str, &'a str),
    Duplicate([u8; 16], SentPlace<'a>, Option<u64>),
    Locked(&'a str),
    OtherProcess(u32),
    Corrupt(&'a str, &'a str),
    TooLarge(&'a str, u64, u64),
    Unknown(&'a str),
    Storage(&'a str),
    Upcast(SentPlace<'a>, Option<u64>, u64, &'a str),
    NewerFormat(&'a str, u32, u32),
    BadCursor(&'a str),
    Parked(&'a str, SentPlace<'a>, Option<u64>, &'a str),
    Differs(&'a str, &'a str, &'a str, &'a str, &'a str),
    NotDelivered(&'a str, &'a str),
    ReadOnly(&'a str),
    Closed(Option<&'a str>),
    OwnerLost(u32),
    NoAnswer(u32, u64),
    OtherProtocol(u32, (u16, u16), (u16, u16)),
    UnknownFeatures(&'a str, u64, bool),
    LeaseHeld(&'a str, &'a str, i64),
    LeaseLost(&'a str, u64, Option<&'a str>),
    Diverged(&'a str, &'a str),
    BranchClosed(SentPlace<'a>, i64),
    Deleted(SentPlace<'a>, i64),
    Truncated(SentPlace<'a>, u64),
    NotABase(&'a str, &'a str),
}
