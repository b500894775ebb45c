// Runs 8 threads at once: each finds the initial word, sets its own and finds it again.

fn check(get: extern "C" fn() -> u64, set: extern "C" fn(u64)) {
    let barrier = std::sync::Barrier::new(8);
    std::thread::scope(|scope| {
        for number in 1..=8u64 {
            let barrier = &barrier;
            scope.spawn(move || {
                assert_eq!(get(), 0, "a new thread has the initial word");
                barrier.wait();
                set(number * 4096);
                barrier.wait();
                assert_eq!(get(), number * 4096, "the thread has its own word");
            });
        }
    });
    assert_eq!(get(), 0, "the main thread has still the initial word");
    println!("8 threads have their own word");
}
