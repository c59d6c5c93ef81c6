//! The board that tasks are shown on.

use serde_json::Value;

use super::words::*;

fn board() -> Role {
    about("board", &["/board_id", "/client_id"])
}

types! { "kanban";
    /// A board connected
    KanbanConnected = "kanban.connected" also ["kanban_connect"] {
        may { board_id: String, client_id: String, url: String }
        role board().to(Running);
        example {"board_id": "main", "client_id": "web-3"}
    }
    /// A board failed
    KanbanError = "kanban.error" also ["kanban.errored", "kanban_failed"] {
        may {
            board_id: String, client_id: String,
            /// What went wrong, as text or as an object.
            error: Value,
            code: String,
        }
        role board().erred();
        example {"board_id": "main", "error": "the connection was lost"}
    }
}
