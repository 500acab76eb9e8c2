//! Counts every fact once and adds facts up per hour, in bounded memory.
