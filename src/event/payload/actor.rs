//! Actors: people, models, services.

use serde_json::Value;

use super::words::*;

fn actor() -> Role {
    about("actor", &["/invocation_id", "/actor_id"])
        .called(&["/actor", "/name", "/actor_id"])
        .by(&["/actor", "/actor_id"])
}

fn used(role: Role) -> Role {
    tokens(role).figure(CostUsd, Delta, &["/cost_usd"]).models(&["/provider"], &["/model"])
}

types! { "actor";
    /// An actor was asked to do something
    ActorInvoked = "actor.invoked" {
        may {
            actor_id: String, actor: String, invocation_id: String, role: String, task: String,
            input: Value, provider: String, model: String,
        }
        role actor().to(Running);
        example {"actor_id": "reviewer", "invocation_id": "inv-1", "task": "review src/name.rs"}
    }
    /// An actor completed what it was asked to do
    ActorCompleted = "actor.completed" {
        may {
            actor_id: String, actor: String, invocation_id: String, output: Value,
            /// Milliseconds.
            duration_ms: u64,
            /// Tokens that the model read.
            input_tokens: u64,
            /// Tokens that the model wrote.
            output_tokens: u64,
            /// All tokens, read and written.
            tokens: u64,
            /// US dollars.
            cost_usd: f64,
            provider: String, model: String,
        }
        role used(actor().to(Completed)).figure(DurationMs, Delta, &["/duration_ms"]);
        example {"actor_id": "reviewer", "invocation_id": "inv-1", "duration_ms": 5210, "input_tokens": 2100, "output_tokens": 340, "model": "large-2"}
    }
    /// An actor failed
    ActorErrored = "actor.errored" also ["actor.failed", "actor_error"] {
        may {
            actor_id: String, actor: String, invocation_id: String,
            /// What went wrong, as text or as an object.
            error: Value,
            /// Milliseconds.
            duration_ms: u64,
            /// Tokens that the model read.
            input_tokens: u64,
            /// Tokens that the model wrote.
            output_tokens: u64,
            /// All tokens, read and written.
            tokens: u64,
            /// US dollars.
            cost_usd: f64,
            provider: String, model: String,
        }
        role used(actor().to(Failed)).erred();
        example {"actor_id": "reviewer", "invocation_id": "inv-1", "error": "no answer"}
    }
    /// An actor escalated a matter
    ActorEscalated = "actor.escalated" {
        may { actor_id: String, actor: String, invocation_id: String, to: String, reason: String }
        role actor().to(Waiting).why().alerts(AlertKind::Escalation);
        example {"actor_id": "reviewer", "invocation_id": "inv-1", "to": "mara", "reason": "the tests contradict the issue"}
    }
}
