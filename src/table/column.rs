//! Rust types of columns and how they become Arrow, and back.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, BooleanArray, BooleanBuilder,
    Float64Array, Float64Builder, Int32Array, Int32Builder, Int64Array, Int64Builder, ListArray,
    ListBuilder, MapArray, MapBuilder, StringArray, StringBuilder, TimestampMicrosecondArray,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Fields, TimeUnit};

use crate::model::time::Micros;

/// A type that a column can have.
pub trait Column: Sized {
    /// True when it may be null.
    const NULLABLE: bool;
    /// An array in the making.
    type Builder: Default;
    /// Arrow type.
    fn data_type() -> DataType;
    /// Adds the value to an array.
    fn append(&self, to: &mut Self::Builder);
    /// Ends the array; the builder is empty then.
    fn finish(builder: &mut Self::Builder) -> ArrayRef;
    /// Values to an array.
    fn array<'a>(values: impl Iterator<Item = &'a Self>) -> ArrayRef
    where
        Self: 'a,
    {
        let mut builder = Self::Builder::default();
        for value in values {
            value.append(&mut builder);
        }
        Self::finish(&mut builder)
    }
    /// An array to values; `None` when it has another type or a null too many.
    fn values(array: &ArrayRef) -> Option<Vec<Self>>;
    /// Bytes that the value holds beside itself.
    fn held(&self) -> usize {
        0
    }
}

/// Types that are one Arrow primitive each, and their optional forms.
macro_rules! primitive {
    ($ty:ty, $array:ty, $builder:ty, $data_type:expr, $to:expr, $from:expr, $finish:expr, $held:expr) => {
        impl Column for $ty {
            const NULLABLE: bool = false;
            type Builder = $builder;
            fn data_type() -> DataType {
                $data_type
            }
            fn append(&self, to: &mut $builder) {
                to.append_value($to(self));
            }
            fn finish(builder: &mut $builder) -> ArrayRef {
                let finish: fn($array) -> $array = $finish;
                Arc::new(finish(builder.finish()))
            }
            fn values(array: &ArrayRef) -> Option<Vec<Self>> {
                let array = array.as_any().downcast_ref::<$array>()?;
                array.iter().map(|value| value.map($from)).collect()
            }
            fn held(&self) -> usize {
                let held: fn(&$ty) -> usize = $held;
                held(self)
            }
        }

        impl Column for Option<$ty> {
            const NULLABLE: bool = true;
            type Builder = $builder;
            fn data_type() -> DataType {
                $data_type
            }
            fn append(&self, to: &mut $builder) {
                to.append_option(self.as_ref().map(|value| $to(value)));
            }
            fn finish(builder: &mut $builder) -> ArrayRef {
                <$ty as Column>::finish(builder)
            }
            fn values(array: &ArrayRef) -> Option<Vec<Self>> {
                let array = array.as_any().downcast_ref::<$array>()?;
                Some(array.iter().map(|value| value.map($from)).collect())
            }
            fn held(&self) -> usize {
                let held: fn(&$ty) -> usize = $held;
                self.as_ref().map_or(0, held)
            }
        }
    };
}

primitive!(
    String,
    StringArray,
    StringBuilder,
    DataType::Utf8,
    String::as_str,
    str::to_owned,
    |a| a,
    String::len
);
primitive!(i64, Int64Array, Int64Builder, DataType::Int64, |v: &i64| *v, |v| v, |a| a, |_| 0);
primitive!(i32, Int32Array, Int32Builder, DataType::Int32, |v: &i32| *v, |v| v, |a| a, |_| 0);
primitive!(f64, Float64Array, Float64Builder, DataType::Float64, |v: &f64| *v, |v| v, |a| a, |_| 0);
primitive!(
    bool,
    BooleanArray,
    BooleanBuilder,
    DataType::Boolean,
    |v: &bool| *v,
    |v| v,
    |a| a,
    |_| 0
);
primitive!(
    Micros,
    TimestampMicrosecondArray,
    TimestampMicrosecondBuilder,
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    |v: &Micros| v.0,
    Micros,
    |a: TimestampMicrosecondArray| a.with_timezone("UTC"),
    |_| 0
);

/// Bytes for the tool alone, where a row may have none.
impl Column for Option<Vec<u8>> {
    const NULLABLE: bool = true;
    type Builder = BinaryBuilder;
    fn data_type() -> DataType {
        DataType::Binary
    }
    fn append(&self, to: &mut BinaryBuilder) {
        to.append_option(self.as_deref());
    }
    fn finish(builder: &mut BinaryBuilder) -> ArrayRef {
        Arc::new(builder.finish())
    }
    fn values(array: &ArrayRef) -> Option<Vec<Self>> {
        let array: &BinaryArray = array.as_any().downcast_ref()?;
        Some(array.iter().map(|bytes| bytes.map(<[u8]>::to_vec)).collect())
    }
    fn held(&self) -> usize {
        self.as_ref().map_or(0, Vec::len)
    }
}

/// Bytes for the tool alone.
impl Column for Vec<u8> {
    const NULLABLE: bool = false;
    type Builder = BinaryBuilder;
    fn data_type() -> DataType {
        DataType::Binary
    }
    fn append(&self, to: &mut BinaryBuilder) {
        to.append_value(self);
    }
    fn finish(builder: &mut BinaryBuilder) -> ArrayRef {
        Arc::new(builder.finish())
    }
    fn values(array: &ArrayRef) -> Option<Vec<Self>> {
        let array: &BinaryArray = array.as_any().downcast_ref()?;
        array.iter().map(|bytes| bytes.map(<[u8]>::to_vec)).collect()
    }
    fn held(&self) -> usize {
        self.len()
    }
}

fn item() -> Field {
    Field::new("item", DataType::Utf8, false)
}

/// Lists of texts in the making.
#[derive(Debug)]
pub struct Lists(ListBuilder<StringBuilder>);

impl Default for Lists {
    fn default() -> Self {
        Lists(ListBuilder::new(StringBuilder::new()).with_field(item()))
    }
}

impl Column for Vec<String> {
    const NULLABLE: bool = false;
    type Builder = Lists;
    fn data_type() -> DataType {
        DataType::List(Arc::new(item()))
    }
    fn append(&self, Lists(to): &mut Lists) {
        for value in self {
            to.values().append_value(value);
        }
        to.append(true);
    }
    fn finish(Lists(builder): &mut Lists) -> ArrayRef {
        Arc::new(builder.finish())
    }
    fn values(array: &ArrayRef) -> Option<Vec<Self>> {
        let array: &ListArray = array.as_any().downcast_ref()?;
        array
            .iter()
            .map(|list| {
                let list = list?;
                let texts = list.as_any().downcast_ref::<StringArray>()?;
                texts.iter().map(|text| text.map(str::to_owned)).collect()
            })
            .collect()
    }
    fn held(&self) -> usize {
        self.iter().map(|text| text.len() + size_of::<String>()).sum()
    }
}

fn entry_fields() -> Fields {
    Fields::from(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::Utf8, true),
    ])
}

/// Maps in the making.
#[derive(Debug)]
pub struct Maps(MapBuilder<StringBuilder, StringBuilder>);

impl Default for Maps {
    fn default() -> Self {
        let names = arrow::array::MapFieldNames {
            entry: "entries".to_owned(),
            key: "key".to_owned(),
            value: "value".to_owned(),
        };
        Maps(MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new()))
    }
}

impl Column for Vec<(String, String)> {
    const NULLABLE: bool = false;
    type Builder = Maps;
    fn data_type() -> DataType {
        let entries = Field::new("entries", DataType::Struct(entry_fields()), false);
        DataType::Map(Arc::new(entries), false)
    }
    fn append(&self, Maps(to): &mut Maps) {
        for (key, value) in self {
            to.keys().append_value(key);
            to.values().append_value(value);
        }
        // Keys and values were appended in pairs, so the lengths always agree.
        let paired = to.append(true);
        debug_assert!(paired.is_ok(), "a key without a value");
    }
    fn finish(Maps(builder): &mut Maps) -> ArrayRef {
        Arc::new(builder.finish())
    }
    fn values(array: &ArrayRef) -> Option<Vec<Self>> {
        let array: &MapArray = array.as_any().downcast_ref()?;
        (0..array.len())
            .map(|row| {
                let entries = array.value(row);
                let keys = entries.column_by_name("key")?.as_string_opt::<i32>()?;
                let values = entries.column_by_name("value")?.as_string_opt::<i32>()?;
                keys.iter()
                    .zip(values.iter())
                    .map(|(k, v)| Some((k?.to_owned(), v.unwrap_or_default().to_owned())))
                    .collect()
            })
            .collect()
    }
    fn held(&self) -> usize {
        self.iter().map(|(k, v)| k.len() + v.len() + 2 * size_of::<String>()).sum()
    }
}
