//! Short names for the roles in the tables.

pub(super) use crate::event::Measure::*;
pub(super) use crate::event::Mode::*;
pub(super) use crate::event::Phase::*;
pub(super) use crate::event::Speaker::{self, *};
pub(super) use crate::event::{AlertKind, ProgressRole, Role};
use crate::event::{Condition, Entity, Figure, Measure, MessageRole, Mode, Phase, Pointers, Status};

/// Where an event gives the reason, in our own payloads and in records of other programs.
const WHY: [&str; 3] = ["/reason", "/kind/reason", "/message"];
/// Where it gives the error.
const WRONG: [&str; 11] = [
    "/error/message",
    "/error",
    "/kind/error",
    "/toolUseResult",
    "/activityTaskFailedEventAttributes/failure/cause/message",
    "/activityTaskFailedEventAttributes/failure/message",
    "/observation/content/0/text",
    "/payload/message",
    "/content",
    "/message",
    "/reason",
];

/// Where the text of a message is, in our own payloads and in records of other programs.
pub(super) const SAID: [&str; 16] = [
    "/text",
    "/message/content",
    "/llm_message/content",
    "/payload/content",
    "/payload/message",
    "/data/content",
    "/data/delta",
    "/kind/content",
    "/kind/text",
    "/kind/delta",
    "/args/content",
    "/args/thought",
    "/content",
    "/message",
    "/delta",
    "/thought",
];
/// Where a tool's arguments are.
pub(super) const GIVEN: [&str; 14] = [
    "/args",
    "/arguments",
    "/input",
    "/message/content/*/input",
    "/message/content/*/arguments",
    "/payload/arguments",
    "/payload/input",
    "/payload/action",
    "/data/arguments",
    "/kind/arguments",
    "/action",
    "/tool_call/arguments",
    "/toolCalls/*/args",
    "/activityTaskScheduledEventAttributes/input/payloads",
];
/// Where what a tool returned is.
pub(super) const RETURNED: [&str; 20] = [
    "/result",
    "/output",
    "/error",
    "/message/content",
    "/message/output",
    "/observation/content",
    "/payload/output",
    "/payload/aggregated_output",
    "/payload/stdout",
    "/payload/result",
    "/data/result/content",
    "/data/result",
    "/data/error",
    "/kind/result",
    "/kind/output",
    "/kind/error",
    "/activityTaskCompletedEventAttributes/result/payloads",
    "/activityTaskFailedEventAttributes/failure/message",
    "/content",
    "/observation",
];

/// Pointers of a table. Each is a literal, and a test builds them all.
pub(super) fn at(texts: &[&str]) -> Pointers {
    let pointers = Pointers::new(texts);
    debug_assert!(pointers.is_ok(), "{texts:?}: {pointers:?}");
    pointers.unwrap_or_default()
}

/// About an entity whose id is at one of these.
pub(super) fn about(kind: &str, id: &[&str]) -> Role {
    let entity = Entity { kind: kind.into(), id: at(id), name: Pointers::default(), whole: false };
    Role { entity: Some(entity), ..Role::default() }
}

/// About an entity that stands for the session.
pub(super) fn whole(kind: &str, id: &[&str]) -> Role {
    let mut role = about(kind, id);
    role.entity = role.entity.map(|e| Entity { whole: true, ..e });
    role
}

/// About no entity.
pub(super) fn plain() -> Role {
    Role::default()
}

/// Progress as in our own payloads.
pub(super) fn progress() -> ProgressRole {
    ProgressRole {
        percent: at(&["/progress"]),
        done: at(&["/done"]),
        total: at(&["/total"]),
        stage: at(&["/stage"]),
        milestone: at(&["/milestone"]),
        description: at(&["/description"]),
        ..ProgressRole::default()
    }
}

/// The stage alone.
pub(super) fn stage(texts: &[&str]) -> ProgressRole {
    ProgressRole { stage: at(texts), ..ProgressRole::default() }
}

/// Tokens in our own payloads, each an increment.
pub(super) fn tokens(role: Role) -> Role {
    role.figure(InputTokens, Delta, &["/input_tokens"])
        .figure(OutputTokens, Delta, &["/output_tokens"])
        .figure(Tokens, Delta, &["/tokens"])
        .unless(&["/input_tokens", "/output_tokens"])
}

/// The usage in an imported record of the answer that it is a part of. Every part repeats it.
pub(super) fn of_message(mut role: Role) -> Role {
    let places: [(Measure, &[&str]); 5] = [
        (
            InputTokens,
            &[
                "/message/usage/input_tokens",
                "/tool_call_metadata/model_response/usage/prompt_tokens",
                "/message/usage/input",
                "/tokens/input",
            ],
        ),
        (
            OutputTokens,
            &[
                "/message/usage/output_tokens",
                "/tool_call_metadata/model_response/usage/completion_tokens",
                "/message/usage/output",
                "/tokens/output",
                "/data/outputTokens",
            ],
        ),
        (
            CacheReadTokens,
            &["/message/usage/cache_read_input_tokens", "/message/usage/cacheRead", "/tokens/cached"],
        ),
        (CacheWriteTokens, &["/message/usage/cache_creation_input_tokens", "/message/usage/cacheWrite"]),
        (CostUsd, &["/message/usage/cost/total"]),
    ];
    role.usage.extend(places.map(|(what, texts)| Figure {
        of: at(&["/message/id", "/tool_call_metadata/model_response/id", "/data/messageId", "/id"]),
        model: at(&["/message/model", "/tool_call_metadata/model_response/model", "/model", "/data/model"]),
        ..figure(what, Total, texts)
    }));
    role
}

fn figure(what: Measure, mode: Mode, texts: &[&str]) -> Figure {
    let none = Pointers::default;
    Figure { what, at: at(texts), mode, of: none(), unless: none(), provider: none(), model: none() }
}

impl Role {
    pub(super) fn to(self, phase: Phase) -> Self {
        Self { fixed_phase: Some(phase), ..self }
    }

    /// The entity's name is at one of these.
    pub(super) fn called(mut self, texts: &[&str]) -> Self {
        self.entity = self.entity.map(|e| Entity { name: at(texts), ..e });
        self
    }

    pub(super) fn status(self, texts: &[&str]) -> Self {
        self.status_in(texts, &[])
    }

    pub(super) fn status_in(mut self, texts: &[&str], words: &[(&str, Phase)]) -> Self {
        let words = words.iter().map(|(word, phase)| ((*word).to_owned(), *phase)).collect();
        self.status.push(Status { at: at(texts), when: None, words });
        self
    }

    pub(super) fn status_when(mut self, texts: &[&str], key: &str, is: &str) -> Self {
        let when = Condition { at: at(&[key]), is: is.into() };
        self.status.push(Status { at: at(texts), when: Some(when), words: Default::default() });
        self
    }

    /// The reason is at one of the usual places.
    pub(super) fn why(self) -> Self {
        self.why_at(&WHY)
    }

    pub(super) fn why_at(self, texts: &[&str]) -> Self {
        Self { reason: at(texts), ..self }
    }

    /// The error is at one of the usual places, and counts as a failure.
    pub(super) fn erred(self) -> Self {
        self.erred_at(&WRONG)
    }

    pub(super) fn erred_at(self, texts: &[&str]) -> Self {
        Self { error: at(texts), ..self }.figure(Errors, Delta, &[])
    }

    pub(super) fn by(self, texts: &[&str]) -> Self {
        Self { by: at(texts), ..self }
    }

    pub(super) fn advances(self, progress: ProgressRole) -> Self {
        Self { progress: Some(progress), ..self }
    }

    pub(super) fn figure(mut self, what: Measure, mode: Mode, texts: &[&str]) -> Self {
        self.usage.push(figure(what, mode, texts));
        self
    }

    /// The last figure is ignored when one of these exists.
    pub(super) fn unless(mut self, texts: &[&str]) -> Self {
        if let Some(figure) = self.usage.last_mut() {
            figure.unless = at(texts);
        }
        self
    }

    /// The provider and model of all figures so far are there.
    pub(super) fn models(mut self, provider: &[&str], model: &[&str]) -> Self {
        for figure in &mut self.usage {
            (figure.provider, figure.model) = (at(provider), at(model));
        }
        self
    }

    /// People read it: this speaker says what is at one of these.
    pub(super) fn says(self, speaker: Speaker, texts: &[&str]) -> Self {
        Self { message: Some(MessageRole { text: at(texts), ..MessageRole::of(speaker) }), ..self }
    }

    /// The payload names the speaker at one of these.
    pub(super) fn named_at(mut self, texts: &[&str]) -> Self {
        self.message = self.message.map(|message| MessageRole { who: at(texts), ..message });
        self
    }

    /// What the tool was given is at one of these.
    pub(super) fn given(mut self, texts: &[&str]) -> Self {
        self.message = self.message.map(|message| MessageRole { arguments: at(texts), ..message });
        self
    }

    /// The thoughts before it, and the calls after it, are at one of these.
    pub(super) fn beside(mut self, thoughts: &[&str], calls: &[&str]) -> Self {
        self.message =
            self.message.map(|message| MessageRole { thought: at(thoughts), calls: at(calls), ..message });
        self
    }

    pub(super) fn alerts(self, alert: AlertKind) -> Self {
        Self { alert: Some(alert), ..self }
    }
}
