//! A cell of an answer, as JSON and as text.
//!
//! Timestamps are RFC 3339 in UTC, with a fraction only where there is one; lists and maps become
//! arrays and objects. Types that no table has are shown as the engine prints them.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Map, Value};

use crate::model::time::{Day, Micros};

/// The cell as JSON.
#[must_use]
pub(in crate::report) fn json(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Boolean => Value::from(array.as_boolean().value(row)),
        DataType::Int8 => Value::from(array.as_primitive::<Int8Type>().value(row)),
        DataType::Int16 => Value::from(array.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => Value::from(array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => Value::from(array.as_primitive::<Int64Type>().value(row)),
        DataType::UInt8 => Value::from(array.as_primitive::<UInt8Type>().value(row)),
        DataType::UInt16 => Value::from(array.as_primitive::<UInt16Type>().value(row)),
        DataType::UInt32 => Value::from(array.as_primitive::<UInt32Type>().value(row)),
        DataType::UInt64 => Value::from(array.as_primitive::<UInt64Type>().value(row)),
        DataType::Float32 => Value::from(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => Value::from(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => Value::from(array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Value::from(array.as_string::<i64>().value(row)),
        DataType::Utf8View => Value::from(array.as_string_view().value(row)),
        DataType::Date32 => {
            Value::from(Day(array.as_primitive::<Date32Type>().value(row)).to_iso())
        }
        DataType::Timestamp(unit, _) => match micros(array, *unit, row) {
            Some(at) => Value::from(at.to_rfc3339()),
            None => shown(array, row),
        },
        DataType::List(_) => list(&array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => list(&array.as_list::<i64>().value(row)),
        DataType::Map(_, _) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            let pairs = (0..entries.len())
                .map(|at| (words(&json(keys.as_ref(), at)), json(values.as_ref(), at)));
            Value::Object(pairs.collect())
        }
        DataType::Struct(fields) => {
            let parts = array.as_struct();
            let pairs = fields.iter().zip(parts.columns());
            Value::Object(
                pairs.map(|(field, column)| (field.name().clone(), json(column, row))).collect(),
            )
        }
        _ => shown(array, row),
    }
}

/// A value in words: null is empty, lists are comma-joined, maps `key=value`.
#[must_use]
pub(in crate::report) fn words(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(words).collect::<Vec<_>>().join(","),
        Value::Object(map) => pairs(map),
        other => other.to_string(),
    }
}

/// True for what reads better right-aligned.
#[must_use]
pub(super) fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

fn pairs(map: &Map<String, Value>) -> String {
    let all: Vec<String> =
        map.iter().map(|(key, value)| format!("{key}={}", words(value))).collect();
    all.join(",")
}

fn list(values: &dyn Array) -> Value {
    (0..values.len()).map(|at| json(values, at)).collect()
}

/// The instant, where microseconds can say it.
fn micros(array: &dyn Array, unit: TimeUnit, row: usize) -> Option<Micros> {
    let value = match unit {
        TimeUnit::Second => {
            array.as_primitive::<TimestampSecondType>().value(row).checked_mul(1_000_000)?
        }
        TimeUnit::Millisecond => {
            array.as_primitive::<TimestampMillisecondType>().value(row).checked_mul(1_000)?
        }
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().value(row),
        TimeUnit::Nanosecond => {
            let nanos = array.as_primitive::<TimestampNanosecondType>().value(row);
            (nanos % 1_000 == 0).then_some(nanos / 1_000)?
        }
    };
    Some(Micros(value))
}

fn shown(array: &dyn Array, row: usize) -> Value {
    let formatter = ArrayFormatter::try_new(array, &FormatOptions::default());
    Value::from(formatter.map(|all| all.value(row).to_string()).unwrap_or_default())
}
