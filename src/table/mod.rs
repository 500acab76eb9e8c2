//! The public tables: columns, keys, Arrow.
