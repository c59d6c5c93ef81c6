//! Projects that sessions belong to.

use serde_json::Value;

use super::words::*;

types! { "project";
    /// A project was created
    ProjectCreated = "project.created" {
        may {
            project_id: String, name: String, description: String, path: String,
            /// Who did it.
            by: String,
        }
        role about("project", &["/project_id"]).called(&["/name"]).to(Created).by(&["/by"]);
        example {"project_id": "retold", "name": "retold", "by": "mara"}
    }
    /// A project was changed
    ProjectUpdated = "project.updated" {
        may {
            project_id: String, name: String, description: String, path: String, changes: Value,
            /// Who did it.
            by: String,
        }
        role about("project", &["/project_id"]).called(&["/name"]).by(&["/by"]);
        example {"project_id": "retold", "changes": {"description": "an event store"}}
    }
}
