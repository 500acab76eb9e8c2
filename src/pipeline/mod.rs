//! The order of the rooms: threads, queues, budgets.
