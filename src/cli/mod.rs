//! Arguments to a plan, results to exit codes.
