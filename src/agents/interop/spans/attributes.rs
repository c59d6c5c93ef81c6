//! Names of attributes, pinned to one version of the semantic conventions: `docs/telemetry.md` has them in a table.

use crate::agents::interop::format::Format;

/// Where the conventions are that these names are of.
pub(super) const SCHEMA: &str = "https://opentelemetry.io/schemas/1.41.0";

pub(super) const OPERATION: &str = "gen_ai.operation.name";
pub(super) const PROVIDER: &str = "gen_ai.provider.name";
pub(super) const CONVERSATION: &str = "gen_ai.conversation.id";
pub(super) const AGENT: &str = "gen_ai.agent.name";
pub(super) const AGENT_ID: &str = "gen_ai.agent.id";
pub(super) const REQUEST_MODEL: &str = "gen_ai.request.model";
pub(super) const RESPONSE_MODEL: &str = "gen_ai.response.model";
pub(super) const RESPONSE_ID: &str = "gen_ai.response.id";
pub(super) const STREAM: &str = "gen_ai.request.stream";
pub(super) const FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
pub(super) const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
pub(super) const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
pub(super) const CACHE_READ_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
pub(super) const CACHE_WRITE_TOKENS: &str = "gen_ai.usage.cache_creation.input_tokens";
pub(super) const TOOL: &str = "gen_ai.tool.name";
pub(super) const CALL: &str = "gen_ai.tool.call.id";
pub(super) const ARGUMENTS: &str = "gen_ai.tool.call.arguments";
pub(super) const RESULT: &str = "gen_ai.tool.call.result";
pub(super) const INPUT: &str = "gen_ai.input.messages";
pub(super) const OUTPUT: &str = "gen_ai.output.messages";
pub(super) const ERROR: &str = "error.type";

/// Of our own: what the conventions have no name for.
pub(super) const EVENT: &str = "retold.event.id";
pub(super) const ADDRESS: &str = "retold.address";
pub(super) const COST: &str = "retold.cost_usd";
pub(super) const UNFINISHED: &str = "retold.unfinished";

pub(super) const CHAT: &str = "chat";
pub(super) const INVOKE_AGENT: &str = "invoke_agent";
pub(super) const EXECUTE_TOOL: &str = "execute_tool";

/// Every name, for the page that lists them.
#[cfg(test)]
pub(super) const ALL: [&str; 25] = [
    OPERATION,
    PROVIDER,
    CONVERSATION,
    AGENT,
    AGENT_ID,
    REQUEST_MODEL,
    RESPONSE_MODEL,
    RESPONSE_ID,
    STREAM,
    FIRST_CHUNK,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    CACHE_READ_TOKENS,
    CACHE_WRITE_TOKENS,
    TOOL,
    CALL,
    ARGUMENTS,
    RESULT,
    INPUT,
    OUTPUT,
    ERROR,
    EVENT,
    ADDRESS,
    COST,
    UNFINISHED,
];

/// The provider whose models a program asks, where it asks those of one.
pub(super) fn provider(format: &str) -> Option<&'static str> {
    let of = [
        (Format::ClaudeCode, "anthropic"),
        (Format::ClaudeStream, "anthropic"),
        (Format::Codex, "openai"),
        (Format::GeminiCli, "gcp.gemini"),
    ];
    of.into_iter().find(|(known, _)| known.name() == format).map(|(_, provider)| provider)
}
