use std::{
    future,
    io::{PipeReader, Read, pipe},
    thread,
};

use super::*;

/// Far longer than any of these tests takes.
const LONG: Duration = Duration::from_secs(600);

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(future)
}

fn output(patience: Duration) -> (Output, PipeReader, PipeReader) {
    let (out, out_writer) = pipe().unwrap();
    let (err, err_writer) = pipe().unwrap();
    let output = Output::to(out_writer, err_writer, patience).unwrap();
    (output, out, err)
}

fn buffers(out: &[u8], err: &[u8]) -> Buffers {
    Buffers {
        out: out.to_vec(),
        err: err.to_vec(),
    }
}

fn text(mut reader: PipeReader) -> String {
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    text
}

/// More than a pipe holds.
fn much() -> Vec<u8> {
    b"a line of text\n".repeat(20_000)
}

#[test]
fn a_reader_that_comes_late_gets_everything() {
    let (mut output, out, err) = output(LONG);
    let reader = thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        text(out)
    });
    let ended = run(async {
        output.send(&mut buffers(&much(), b"banner\n")).await;
        let mut last = buffers(b"the last\n", b"summary\n");
        output.finish_unless(&mut last, future::pending()).await
    });
    assert_eq!(ended.unwrap(), Ended::Complete);
    let text_out = reader.join().unwrap();
    assert_eq!(text_out.len(), much().len() + "the last\n".len());
    assert!(text_out.ends_with("the last\n"));
    assert_eq!(text(err), "banner\nsummary\n");
}

#[test]
fn a_reader_that_takes_a_little_now_and_then_is_waited_for() {
    // A busy machine may delay the reader by seconds.
    let patience = Duration::from_secs(6);
    let (output, mut out, _err) = output(patience);
    let reader = thread::spawn(move || {
        let (mut taken, mut piece) = (0, vec![0; 64 << 10]);
        // All of it takes longer than the patience.
        loop {
            thread::sleep(patience / 4);
            match out.read(&mut piece).unwrap() {
                0 => return taken,
                read => taken += read,
            }
        }
    });
    let mut last = buffers(&much(), b"");
    let ended = run(output.finish_unless(&mut last, future::pending()));
    assert_eq!(ended.unwrap(), Ended::Complete);
    assert_eq!(reader.join().unwrap(), much().len());
}

#[test]
fn a_reader_that_takes_nothing_is_given_up_and_stderr_says_what_is_missing() {
    let (mut output, out, err) = output(Duration::from_millis(50));
    let ended = run(async {
        output.send(&mut buffers(&much(), b"")).await;
        let mut last = buffers(b"the last\n", b"summary\n");
        output.finish_unless(&mut last, future::pending()).await
    });
    assert_eq!(ended.unwrap(), Ended::CutShort);
    let said = text(err);
    // Nobody reads, so what the pipe holds is what was written.
    let held = rustix::io::ioctl_fionread(&out).unwrap();
    let missing = much().len() as u64 + 9 - held;
    let expected = format!("katrace: output cut short: {missing} bytes in ");
    assert!(said.starts_with("summary\n"), "{said}");
    assert!(said.contains(&expected), "{said}");
}

#[test]
fn a_second_signal_ends_the_wait() {
    let (output, _out, err) = output(LONG);
    let mut last = buffers(&much(), b"");
    let ended = run(output.finish_unless(&mut last, async {}));
    assert_eq!(ended.unwrap(), Ended::CutShort);
    assert!(text(err).contains("cut short"));
}

#[test]
fn a_second_signal_takes_nothing_from_a_reader_that_keeps_up() {
    for _ in 0..50 {
        let (mut output, out, err) = output(LONG);
        output.hurry = LONG;
        let mut last = buffers(b"the last\n", b"summary\n");
        let ended = run(output.finish_unless(&mut last, async {}));
        assert_eq!(ended.unwrap(), Ended::Complete);
        assert_eq!(
            (text(out), text(err)),
            ("the last\n".into(), "summary\n".into())
        );
    }
}

#[test]
fn a_second_signal_ends_the_wait_for_a_reader_of_stderr_too() {
    let (output, _out, mut err) = output(LONG);
    // It takes a little now and then, so it would be waited for.
    let reader = thread::spawn(move || {
        let mut piece = vec![0; 4 << 10];
        let mut taken = 0;
        loop {
            thread::sleep(PATIENCE_FOR_MESSAGES / 2);
            match err.read(&mut piece).unwrap() {
                0 => return taken,
                read => taken += read,
            }
        }
    });
    let message = vec![b'm'; 200 << 10];
    let mut last = buffers(b"", &message);
    // By then stdout is done.
    let hurry = async { tokio::time::sleep(Duration::from_millis(20)).await };
    let ended = run(output.finish_unless(&mut last, hurry));
    assert_eq!(ended.unwrap(), Ended::Complete);
    // The end did not wait for the reader.
    assert!(!reader.is_finished());
}

#[test]
fn why_writing_failed_is_told_however_soon_it_is_asked() {
    for _ in 0..200 {
        let full = std::fs::File::options().write(true).open("/dev/full");
        let writer = Writer::start("full", full.unwrap()).unwrap();
        writer.push(Bytes::from_static(b"line\n"), None);
        while !writer.shared().has_ended() {
            std::hint::spin_loop();
        }
        assert!(writer.result().is_err());
    }
}

#[test]
fn a_reader_that_has_gone_is_a_quiet_success() {
    let (mut output, out, err) = output(LONG);
    drop(out);
    let ended = run(async {
        output.send(&mut buffers(&much(), b"")).await;
        output.ended().await;
        output.send(&mut buffers(&much(), b"")).await;
        output
            .finish_unless(&mut buffers(b"", b""), future::pending())
            .await
    });
    assert_eq!(ended.unwrap(), Ended::Complete);
    assert_eq!(text(err), "");
}

#[test]
fn stuck_stderr_holds_up_nothing_and_what_is_dropped_is_counted() {
    let (mut output, out, mut err) = output(LONG);
    let reader = thread::spawn(move || text(out));
    let message = vec![b'm'; 100 << 10];
    run(async {
        // The pipe takes 64 KiB, the line 256 KiB: of four messages one is dropped or two.
        for _ in 0..4 {
            output.send(&mut buffers(b"data\n", &message)).await;
        }
        assert!(output.dropped >= message.len(), "{}", output.dropped);
        let dropped = output.dropped;
        // A reader comes: the next message tells of it.
        let mut taken = vec![0; 4 * message.len() - dropped];
        err.read_exact(&mut taken).unwrap();
        while output.err.shared().waiting() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut last = buffers(b"", b"the end\n");
        let ended = output.finish_unless(&mut last, future::pending()).await;
        assert_eq!(ended.unwrap(), Ended::Complete);
        assert_eq!(
            text(err),
            format!("katrace: {dropped} bytes of messages were dropped\nthe end\n")
        );
    });
    assert_eq!(reader.join().unwrap(), "data\n".repeat(4));
}
