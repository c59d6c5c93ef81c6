//! Budgets.

use serde_json::Value;

use super::words::*;

fn budget() -> Role {
    about("budget", &["/budget_id"]).called(&["/resource", "/name"])
}

types! { "budget";
    /// A budget is nearly used up
    BudgetWarning = "budget.warning" {
        may {
            budget_id: String, name: String, resource: String, limit: f64, used: f64, remaining: f64,
            /// 0 to 100.
            percent: f64,
            reason: String,
        }
        role budget().why().alerts(AlertKind::BudgetWarning);
        example {"resource": "tokens", "limit": 100000.0, "used": 81000.0, "percent": 81.0}
    }
    /// A budget was exceeded
    BudgetExceeded = "budget.exceeded" also ["budget_exhausted"] {
        may {
            budget_id: String, name: String, resource: String, limit: f64, used: f64, remaining: f64,
            /// 0 to 100.
            percent: f64,
            reason: String,
        }
        role budget().to(Failed).why().alerts(AlertKind::BudgetExceeded);
        example {"resource": "tokens", "limit": 100000.0, "used": 100210.0}
    }
    /// A budget, or what remains of it, changed
    BudgetUpdated = "budget.updated" {
        may {
            budget_id: String, name: String, resource: String, limit: f64, used: f64, remaining: f64,
            /// 0 to 100.
            percent: f64,
            reason: String, budget: Value,
        }
        role budget().why();
        example {"resource": "tokens", "limit": 200000.0, "used": 100210.0, "reason": "mara raised it"}
    }
}
