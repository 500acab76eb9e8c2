//! Answers of the AWS APIs to JSON, and refusals to words.
//!
//! Input: typed answers and errors of the SDK. Output: JSON as the AWS CLI prints it, without absent
//! fields, and for a call that failed the permission that was missing or what AWS said. Source:
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelastickubernetesservice.html>.

use aws_sdk_eks::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_eks::primitives::DateTime;
use serde_json::Value;

use crate::model::needs::statement;
use crate::model::time::Micros;

/// Codes that say that the caller may not.
const DENIED: [&str; 4] =
    ["AccessDeniedException", "AccessDenied", "UnauthorizedOperation", "NotAuthorized"];

/// Why the call `action` on `resource` failed.
pub(super) fn why<E, R>(action: &str, resource: &str, error: &SdkError<E, R>) -> String
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let message = error.message().unwrap_or("no message");
    match error.code() {
        Some(code) if DENIED.contains(&code) => {
            let add = statement(action, resource);
            format!("{action} was denied: allow it on {resource} ({message}); add {add}")
        }
        Some(code) => format!("{action} failed: {code}: {message}"),
        None => format!("{action} failed: {}", DisplayErrorContext(error)),
    }
}

/// True when the error carries this code.
pub(super) fn is<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>, code: &str) -> bool {
    error.code().is_some_and(|found| found.trim_end_matches("Exception") == code)
}

/// RFC 3339.
pub(super) fn time(at: Option<&DateTime>) -> Option<String> {
    let micros = i64::try_from(at?.as_nanos() / 1000).ok()?;
    Some(Micros(micros).to_rfc3339())
}

/// The value without members that are null: the AWS CLI leaves absent fields out.
pub(super) fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        Value::Array(list) => list.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// Sorts a list by its text, so that the order of answers does not show.
pub(super) fn sorted(mut list: Vec<Value>) -> Vec<Value> {
    list.sort_by_cached_key(Value::to_string);
    list
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn absent_fields_are_left_out() {
        let value = json!({"a": null, "b": [{"c": null, "d": 1}, null], "e": {}});
        assert_eq!(without_nulls(value), json!({"b": [{"d": 1}, null], "e": {}}));
        assert_eq!(time(None), None);
        let at = DateTime::from_millis(1_700_000_000_500);
        assert_eq!(time(Some(&at)).as_deref(), Some("2023-11-14T22:13:20.500Z"));
    }
}
