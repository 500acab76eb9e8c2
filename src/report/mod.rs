//! Writes Parquet, manifest and summary; runs the report queries.
