//! The owner that the kernel half's evidence alone tells. Pure.

use crate::{
    decode::{self, Act, Evidence},
    event::{Holder, Owner, OwnerFrom, Process},
};

/// The owner where no descriptor shows the socket: the process exited meanwhile, hides its descriptors, or
/// was not looked at in time.
pub fn owner(evidence: Option<&Evidence>) -> Owner {
    let Some(evidence) = evidence else {
        return Owner::default();
    };
    let process = process(evidence);
    let from = match evidence.act {
        Act::Connect => OwnerFrom::Connect,
        Act::Accept => OwnerFrom::Accept,
        Act::Receive => OwnerFrom::Passed,
        Act::Close => OwnerFrom::Last,
    };
    let holders = match evidence.act {
        Act::Connect | Act::Accept | Act::Receive => vec![Holder {
            process: process.clone(),
            fd: None,
        }],
        Act::Close => Vec::new(),
    };
    Owner {
        process: Some(process),
        holders,
        from: Some(from),
    }
}

/// The process that acted, as it was then.
pub fn process(evidence: &Evidence) -> Process {
    Process {
        pid: evidence.pid,
        comm: decode::name(&evidence.comm),
        details: None,
    }
}
