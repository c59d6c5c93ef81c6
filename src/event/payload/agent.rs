//! Agents, and what they learn.

use serde_json::Value;

use super::words::*;

fn agent() -> Role {
    about("agent", &["/agent_id", "/extras/agent", "/args/agent"]).called(&["/name", "/agent", "/agent_id"])
}

types! { "agent";
    /// An agent was registered
    AgentRegistered = "agent.registered" {
        may { agent_id: String, name: String, role: String, skills: Value, model: String }
        role agent().to(Created);
        example {"agent_id": "agent-1", "name": "coder", "skills": ["rust"]}
    }
    /// An agent was given a task
    AgentInvoked = "agent.invoked" also ["agent_started", "agent_spawned"] {
        may { agent_id: String, name: String, agent: String, task: String, prompt: Value, model: String }
        role agent().to(Running);
        example {"agent_id": "agent-1", "task": "find the cause"}
    }
    /// An agent's status changed
    AgentStatusChanged = "agent.status_changed" {
        may {
            agent_id: String,
            /// The previous value.
            previous: String,
            /// The new value.
            current: String,
            status: String, reason: String,
        }
        role agent().status(&["/current", "/status"]).why();
        example {"agent_id": "agent-1", "previous": "idle", "current": "working"}
    }
    /// An agent's skill level changed
    AgentSkillUpdated = "agent.skill_updated" {
        may {
            agent_id: String, skill: String, level: f64,
            /// The previous value.
            previous: f64,
            reason: String,
        }
        role agent().why();
        example {"agent_id": "agent-1", "skill": "rust", "level": 0.8}
    }
    /// An agent learned something
    AgentLearned = "agent.learned" also ["agent_learning", "learning_recorded"] {
        may {
            agent_id: String, lesson: String, topic: String, source: String,
            /// 0 to 1.
            confidence: f64,
        }
        role agent();
        example {"agent_id": "agent-1", "lesson": "names are normalised twice", "confidence": 0.9}
    }
    /// An agent delegated work to another
    AgentDelegated = "agent.delegated" {
        may { agent_id: String, agent: String, to: String, task: String, reason: String }
        role agent().to(Running).why();
        example {"agent_id": "agent-2", "task": "read the logs"}
    }
    /// An agent completed its work
    AgentCompleted = "agent.completed" also ["agent_finished"] {
        may {
            agent_id: String, agent: String,
            /// What was returned.
            result: Value,
            /// Milliseconds.
            duration_ms: u64,
        }
        role agent().to(Completed);
        example {"agent_id": "agent-2", "result": "nothing in the logs"}
    }
    /// An agent failed
    AgentFailed = "agent.failed" also ["agent_errored"] {
        may {
            agent_id: String, agent: String,
            /// What went wrong, as text or as an object.
            error: Value,
        }
        role agent().to(Failed).erred();
        example {"agent_id": "agent-2", "error": "no answer"}
    }
}
