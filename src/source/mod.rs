//! The outside world: lists and fetches objects from folders and S3.
