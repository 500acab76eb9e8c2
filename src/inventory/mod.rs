//! Inventory files to grants: who may do what.
