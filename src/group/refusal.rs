//! Why a coordinator does not do what a member asks.

/// Each is one of Kafka's error codes (`broker/api` says which).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("a group has a name")]
    InvalidGroupId,
    #[error(
        "the session timeout is outside group.min.session.timeout.ms and group.max.session.timeout.ms"
    )]
    InvalidSessionTimeout,
    #[error("the group has no such member")]
    UnknownMember,
    #[error("join again with the member id given")]
    MemberIdRequired,
    #[error("the group speaks other protocols")]
    InconsistentProtocol,
    #[error("the group has as many members as it may")]
    GroupFull,
    #[error("another generation")]
    IllegalGeneration,
    #[error("another member has this group.instance.id")]
    FencedInstance,
    #[error("the group rebalances")]
    RebalanceInProgress,
    #[error("the group has members")]
    NonEmptyGroup,
    #[error("there is no such group")]
    GroupNotFound,
    #[error("members of the group subscribe to the topic")]
    SubscribedToTopic,
    #[error("the metadata of the offset is longer than offset.metadata.max.bytes")]
    OffsetMetadataTooLarge,
    #[error("there is no such topic or partition")]
    UnknownPartition,
    /// The coordinator cannot write now, or holds as much as it can.
    #[error("the coordinator is not available")]
    NotAvailable,
    /// Another broker coordinates the group.
    #[error("another broker coordinates the group")]
    NotCoordinator,
    /// It is still being read.
    #[error("the coordinator is still reading its groups")]
    Loading,
    /// The request makes no sense; in Kafka's words why.
    #[error("{0}")]
    InvalidRequest(&'static str),
    #[error("the member is in another epoch: it must give up its partitions and join again")]
    FencedMemberEpoch,
    #[error("the member is in another epoch: it must hear of it before it commits or fetches")]
    StaleMemberEpoch,
    #[error("another member has this group.instance.id and has not left")]
    UnreleasedInstance,
    #[error("the assignor is not one of group.consumer.assignors")]
    UnsupportedAssignor,
    #[error("the regular expression is not valid, or too large")]
    InvalidRegularExpression,
    /// A member of the new protocol commits with a request that has no member epochs.
    #[error("members of the new protocol commit with version 9 or later")]
    OldVersion,
}
