//! Records to facts; knows what CloudTrail and audit fields mean.
