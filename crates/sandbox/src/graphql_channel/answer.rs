//! Answers in JSON.

use serde_json::{Value, json};

use crate::profiles::RateLimit;

/// What an operation cost, and what is left.
pub struct Cost {
    /// Points that it needed.
    pub requested: u32,
    /// Points that it took; `None` if it was not carried out.
    pub actual: Option<u32>,
    /// Points that are left now.
    pub left: f64,
    /// The limit at the speed of the sandbox.
    pub rate: RateLimit,
}

impl Cost {
    /// Returns the member `extensions` of an answer, as in [Shopify's
    /// documentation](https://shopify.dev/docs/api/usage/limits#graphql-admin-api-rate-limits).
    pub fn into_json(self) -> Value {
        json!({
            "cost": {
                "requestedQueryCost": self.requested,
                "actualQueryCost": self.actual,
                "throttleStatus": {
                    "maximumAvailable": self.rate.burst,
                    "currentlyAvailable": self.left.floor(),
                    "restoreRate": self.rate.per_second,
                },
            },
        })
    }
}

/// Returns the answer to an operation that was carried out.
pub fn data(data: Value) -> Value {
    json!({ "data": data })
}

/// Returns an answer with an error that concerns the operation as a whole.
pub fn error(code: &str, message: &str) -> Value {
    json!({ "errors": [{ "message": message, "extensions": { "code": code } }] })
}

/// Returns the answer to `productSet` for a stored product.
pub fn product_set(id: &str) -> Value {
    data(json!({ "productSet": { "product": { "id": id }, "userErrors": [] } }))
}

/// Returns the answer to `productSet` for a product that is rejected.
pub fn user_error(code: &str, message: &str) -> Value {
    let errors = json!([{ "code": code, "field": ["input"], "message": message }]);
    data(json!({ "productSet": { "product": null, "userErrors": errors } }))
}
