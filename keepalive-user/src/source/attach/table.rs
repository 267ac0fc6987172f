//! Every hook of the kernel half, one row each: what it is for, its program, the kernel function or
//! tracepoint, the backends that use it, and what is missing without it.
//!
//! A new hook is one row here and its program in the kernel half. A test compares the table with the
//! programs in the object. A new [`Purpose`] or [`Call`] is named by the compiler where it is used.

use super::hook::{
    Call, Condition, Hook, Point, Purpose, Shown, Turn, WITH_TRAMPOLINES, tracepoint,
};
use crate::event::Attach;

/// The function that the keepalive timer runs (net/ipv4/tcp_timer.c).
const KEEPALIVE: &str = "tcp_keepalive_timer";
const WRITE_ERR: &str = "tcp_write_err";
const SET_STATE: Point = tracepoint("sock", "inet_sock_set_state");

/// All hooks. `ready.hooks` and `ready.missing` list them in this order.
pub static HOOKS: &[Hook] = &[
    Hook::new(
        Purpose::Destroy,
        "lifetime_destroy",
        tracepoint("tcp", "tcp_destroy_sock"),
        Turn::Ends,
    ),
    Hook::new(
        Purpose::Process,
        "process_fork",
        tracepoint("sched", "sched_wakeup_new"),
        Turn::Ends,
    ),
    Hook::new(
        Purpose::Process,
        "process_rename",
        tracepoint("task", "task_rename"),
        Turn::Ends,
    )
    .guarded_by("process_rename_guard"),
    Hook::new(
        Purpose::Process,
        "process_exit",
        tracepoint("sched", "sched_process_exit"),
        Turn::Ends,
    )
    .guarded_by("process_exit_guard"),
    Hook::new(
        Purpose::Accept,
        "accept_fexit",
        Point::Fexit("inet_csk_accept"),
        Turn::FirstTrampoline,
    )
    .only(WITH_TRAMPOLINES)
    .optional("; accepted sockets are found by scanning descriptors"),
    Hook::new(
        Purpose::Connect,
        "lifetime_set_state",
        SET_STATE,
        Turn::Beginnings,
    )
    .guarded_by("lifetime_set_state_guard"),
    // Attached before `death_set_state`. Where one of these is attached, `death_set_state` shows a death as a
    // timeout only if this hook has seen it.
    Hook::new(
        Purpose::Death,
        "write_err_fentry",
        Point::Fentry(&[WRITE_ERR]),
        Turn::Beginnings,
    )
    .only(&[Attach::Fentry])
    .when(Condition::WriteErr)
    .shown(Shown::As(WRITE_ERR)),
    Hook::new(
        Purpose::Death,
        "write_err_kprobe",
        Point::Kprobe(WRITE_ERR),
        Turn::Beginnings,
    )
    .only(&[Attach::Kprobe])
    .when(Condition::WriteErr)
    .shown(Shown::As(WRITE_ERR)),
    Hook::new(
        Purpose::Death,
        "death_set_state",
        SET_STATE,
        Turn::Beginnings,
    ),
    Hook::new(
        Purpose::Reset,
        "reset_receive",
        tracepoint("tcp", "tcp_receive_reset"),
        Turn::Beginnings,
    )
    .optional(""),
    Hook::new(
        Purpose::Passed,
        "passed_fentry",
        Point::Fentry(&["security_file_receive"]),
        Turn::Beginnings,
    )
    .only(WITH_TRAMPOLINES)
    .optional("; a socket passed to another process is found by scanning descriptors")
    .guarded_by("passed_fentry_guard"),
    // The exit is attached before the entry: an exit alone is ignored, but an entry alone would lose the probe.
    Hook::new(
        Purpose::Keepalive,
        "keepalive_fexit",
        Point::Fexit(KEEPALIVE),
        Turn::Timer,
    )
    .only(&[Attach::Fentry])
    .shown(Shown::ByAnother),
    Hook::new(
        Purpose::Keepalive,
        "keepalive_fentry",
        Point::Fentry(&[KEEPALIVE]),
        Turn::Timer,
    )
    .only(&[Attach::Fentry])
    .shown(Shown::As("fentry/fexit tcp_keepalive_timer")),
    Hook::new(
        Purpose::Keepalive,
        "keepalive_kretprobe",
        Point::Kretprobe(KEEPALIVE),
        Turn::Timer,
    )
    .only(&[Attach::Kprobe])
    .shown(Shown::ByAnother),
    Hook::new(
        Purpose::Keepalive,
        "keepalive_kprobe",
        Point::Kprobe(KEEPALIVE),
        Turn::Timer,
    )
    .only(&[Attach::Kprobe])
    .shown(Shown::As("kprobe/kretprobe tcp_keepalive_timer")),
    Hook::new(
        Purpose::Keepalive,
        "keepalive_expire_exit",
        tracepoint("timer", "timer_expire_exit"),
        Turn::Timer,
    )
    .only(&[Attach::Tracepoint])
    .shown(Shown::ByAnother),
    Hook::new(
        Purpose::Keepalive,
        "keepalive_expire_entry",
        tracepoint("timer", "timer_expire_entry"),
        Turn::Timer,
    )
    .only(&[Attach::Tracepoint])
    .shown(Shown::As(
        "timer:timer_expire_entry, timer:timer_expire_exit",
    )),
    // Attached even if `noticed` is not wanted: it tells which of several holders uses a socket.
    Hook::new(
        Purpose::Noticed,
        "noticed_release_fentry",
        Point::Fentry(&["release_sock"]),
        Turn::Calls,
    )
    .only(WITH_TRAMPOLINES)
    .sees(&[
        Call::Recv,
        Call::Send,
        Call::Connect,
        Call::Splice,
        Call::Sendfile,
    ])
    .guarded_by("noticed_release_fentry_guard"),
    Hook::new(
        Purpose::Noticed,
        "noticed_recv",
        tracepoint("sock", "sock_recv_length"),
        Turn::Calls,
    )
    .sees(&[Call::Recv])
    .when(Condition::Without("noticed_release_fentry")),
    Hook::new(
        Purpose::Noticed,
        "noticed_send",
        tracepoint("sock", "sock_send_length"),
        Turn::Calls,
    )
    .sees(&[Call::Send])
    .when(Condition::Without("noticed_release_fentry")),
    // The first function calls the second, which the compiler may have inlined there. Attached among
    // the beginnings, on the thread that has less to do.
    Hook::new(
        Purpose::Noticed,
        "getsockopt_fentry",
        Point::Fentry(&["sock_getsockopt", "sk_getsockopt"]),
        Turn::Beginnings,
    )
    .only(WITH_TRAMPOLINES)
    .sees(&[Call::Getsockopt])
    .when(Condition::NoticedWanted),
];

#[cfg(test)]
mod tests {
    use super::{
        super::hook::{ALL_BACKENDS, Need},
        *,
    };

    #[test]
    fn each_backend_watches_every_required_purpose() {
        for attach in ALL_BACKENDS {
            for purpose in [
                Purpose::Keepalive,
                Purpose::Death,
                Purpose::Connect,
                Purpose::Destroy,
                Purpose::Process,
            ] {
                let required = HOOKS.iter().any(|hook| {
                    hook.purpose == purpose
                        && hook.need == Need::Required
                        && hook.condition == Condition::None
                        && hook.backends.contains(attach)
                });
                assert!(required, "{} of {attach:?}", purpose.name());
            }
        }
    }

    #[test]
    fn a_replacement_follows_in_the_turn_of_what_it_replaces() {
        let place = |program| HOOKS.iter().position(|hook| hook.program == program);
        let mut replacements = 0;
        for (at, hook) in HOOKS.iter().enumerate() {
            if let Condition::Without(program) = hook.condition {
                let replaced = place(program).unwrap();
                assert!(replaced < at, "{}", hook.program);
                assert_eq!(HOOKS[replaced].turn, hook.turn, "{}", hook.program);
                replacements += 1;
            }
        }
        assert_eq!(replacements, 2);
    }
}
