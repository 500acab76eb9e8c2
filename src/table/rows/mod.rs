//! The rows of every public table, by theme.

pub mod access;
pub mod evidence;
pub mod grants;
pub mod sessions;
pub mod verdicts;

use super::{Description, Row};

/// Every public table, in the order of the reference.
pub const ALL: [Description; 24] = [
    verdicts::RunRow::TABLE,
    grants::IdentityRow::TABLE,
    grants::GrantRow::TABLE,
    grants::GrantMemberRow::TABLE,
    grants::GrantRuleRow::TABLE,
    sessions::SessionRow::TABLE,
    sessions::SessionKeyRow::TABLE,
    sessions::SessionTagRow::TABLE,
    sessions::AuthenticationRow::TABLE,
    access::GroupSetRow::TABLE,
    access::ApiAccessRow::TABLE,
    access::AwsAccessRow::TABLE,
    access::GrantUsageRow::TABLE,
    access::MemberUsageRow::TABLE,
    evidence::CoverageRow::TABLE,
    evidence::RejectRow::TABLE,
    evidence::NoteRow::TABLE,
    evidence::AuthModeRow::TABLE,
    evidence::AuthModePlanRow::TABLE,
    evidence::TokenFindingRow::TABLE,
    evidence::GrantChangeRow::TABLE,
    evidence::LoginRow::TABLE,
    verdicts::VerdictRow::TABLE,
    verdicts::ProposalRow::TABLE,
];
