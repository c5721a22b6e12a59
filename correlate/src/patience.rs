//! How long a verdict waits for the audit trail.

use std::time::Duration;

use auditgap_records::Timestamp;

use crate::world::World;

/// How long an audit trail that lags behind is waited for. What it tells later comes too late.
const LAG: Duration = Duration::from_mins(10);

/// How often it is looked how far the trail has come, in event time.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Event time up to which actions may be judged.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    looked: Option<Timestamp>,
    settled: Option<Timestamp>,
}

impl Patience {
    /// Up to when actions may be judged now, the first of them being of `first`: a request that leads to an action
    /// may end `request_timeout` later, and the trail has to have come as far as the action.
    pub(crate) fn settled(&mut self, first: Option<Timestamp>, world: &World) -> Timestamp {
        let ended = world.clock - world.context.settings.request_timeout;
        if first.is_none_or(|first| first > ended) {
            return ended;
        }
        let known = self.looked.is_some_and(|looked| world.clock < looked + LOOK_EVERY);
        if let Some(settled) = self.settled.filter(|_| known) {
            return settled;
        }
        let trail = world.feeds.audit_watermark().unwrap_or(Timestamp::MAX);
        let settled = ended.min(trail).max(ended - LAG);
        self.looked = Some(world.clock);
        self.settled = Some(settled);
        settled
    }
}
