//! Pool: sessions that come and go in any order, in slots that are used again; then the same from four threads.

use brkmap_toolbox::{Pool, SyncPool};

/// What a connection needs.
struct Session {
    user: u64,
    buffer: [u8; 500],
}

fn main() {
    let pool = Pool::new().named("sessions");
    let mut open = Vec::new();
    for user in 0..10_000u64 {
        open.push(pool.alloc(Session { user, buffer: [user as u8; 500] }));
        if open.len() > 100 {
            // The oldest third leaves; each drop puts a slot back.
            open.drain(..33).for_each(|session| assert_eq!(session.buffer[499], session.user as u8));
        }
    }
    println!("one thread:   {}", pool.stats());
    assert!(pool.stats().held_bytes < 150 * 600, "10,000 sessions, but never more than 101 at once");

    let shared = SyncPool::new().named("sessions of all");
    std::thread::scope(|threads| {
        for thread in 0..4u64 {
            let shared = &shared;
            threads.spawn(move || {
                for user in 0..10_000 {
                    let session = shared.alloc(Session { user, buffer: [thread as u8; 500] });
                    assert!(session.user == user && session.buffer[0] == thread as u8);
                }
            });
        }
    });
    println!("four threads: {}", shared.stats());
    assert_eq!(shared.stats().live, 0);
}
