//! What people and models say.

use serde_json::Value;

use super::words::*;

/// The usage of an answer: once for each of our messages, and once for an answer that is in several records.
fn said() -> Role {
    let own = tokens(plain().figure(CostUsd, Delta, &["/cost_usd"]))
        .figure(InputTokens, Delta, &["/kind/token_usage/prompt_tokens"])
        .figure(OutputTokens, Delta, &["/kind/token_usage/completion_tokens"])
        .models(&["/provider"], &["/model", "/kind/model"]);
    of_message(own)
}

/// The usage of the whole session until now.
fn so_far() -> Role {
    let total = "/payload/info/total_token_usage";
    let places = [
        (InputTokens, "input_tokens"),
        (OutputTokens, "output_tokens"),
        (CacheReadTokens, "cached_input_tokens"),
    ];
    places.into_iter().fold(plain(), |role, (what, name)| {
        role.figure(what, Total, &[&format!("/usage/{name}"), &format!("{total}/{name}")])
    })
}

types! { "message";
    /// A user wrote a message
    MessageUser = "message.user" also ["user_message"] {
        may { message_id: String, text: Value, content: Value }
        role plain().says(User, &SAID);
        example {"text": "Login fails for names with an umlaut."}
    }
    /// A model answered
    MessageAssistant = "message.assistant" also ["assistant_message", "assistant_message_committed"] {
        may {
            message_id: String, text: Value, content: Value, model: String, provider: String,
            stop_reason: String,
            /// Tokens that the model read.
            input_tokens: u64,
            /// Tokens that the model wrote.
            output_tokens: u64,
            /// All tokens, read and written.
            tokens: u64,
            /// US dollars.
            cost_usd: f64,
        }
        role said().says(Assistant, &SAID).beside(&["/thoughts", "/reasoning_content"], &["/toolCalls"]);
        example {"message_id": "m-2", "text": "The cause is normalize().", "model": "large-2", "input_tokens": 2100, "output_tokens": 90}
    }
    /// Instructions from the program to the model
    MessageSystem = "message.system" also ["system_message", "system_prompt"] {
        may { message_id: String, text: Value, content: Value }
        role plain().says(System, &["/system_prompt", "/text", "/message/content", "/payload/content", "/data/content", "/args/content", "/kind/content", "/content", "/message"]);
        example {"text": "You are a careful engineer."}
    }
    /// What a model reasoned before it answered
    MessageThinking = "message.thinking" also ["thinking", "reasoning"] {
        may {
            message_id: String, text: Value, content: Value, model: String, provider: String,
            /// Tokens that the model read.
            input_tokens: u64,
            /// Tokens that the model wrote.
            output_tokens: u64,
            /// All tokens, read and written.
            tokens: u64,
        }
        role said().says(Thinking, &["/text", "/message/content", "/payload/summary", "/payload/text", "/payload/content", "/data/content", "/args/thought", "/action/thought", "/thoughts", "/content", "/thought", "/message"]);
        example {"text": "The name is normalised twice."}
    }
    /// A message was recorded again, with more about it
    MessageUpdated = "message.updated" {
        may {
            message_id: String, text: Value, content: Value, model: String, provider: String,
            /// Tokens that the model read.
            input_tokens: u64,
            /// Tokens that the model wrote.
            output_tokens: u64,
            /// All tokens, read and written.
            tokens: u64,
        }
        role of_message(plain()).says(Assistant, &SAID).beside(&["/thoughts"], &["/toolCalls"]);
        example {"message_id": "m-2", "text": "The cause is normalize()."}
    }
    /// The tokens that a session has used so far
    MessageUsage = "message.usage" also ["token_usage", "usage_reported"] {
        may { model: String, provider: String, usage: Value }
        role so_far();
        example {"model": "large-2", "usage": {"input_tokens": 2100, "output_tokens": 90}}
    }
    /// A piece of an answer, as it is streamed
    MessageDelta = "message.delta" also ["text_delta", "assistant_text_delta"] {
        may { message_id: String, delta: Value, index: u64 }
        role plain().says(Assistant, &["/delta", "/event/delta", "/data/deltaContent", "/data/delta", "/kind/delta", "/content"]);
        example {"message_id": "m-2", "delta": "The cause"}
    }
}
