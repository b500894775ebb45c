//! The two programs: one at the beginning of every system call, one at its end. Calls other than those of [`Kind`], and
//! processes that are not in the table, cost a few instructions.
//!
//! ```text
//!   sys_enter ──► when, RSS where the call may lower it, head of a chunk ──► table of open calls, by thread
//!   sys_exit  ──► that, result, RSS, registers, top of the stack         ──► ring
//! ```
//!
//! Where a process calls `exit_group`, the first follows the chunks of glibc's heap on the break: to read the heap from outside
//! the kernel has to copy all of it, and here a cache line for each chunk is touched.

use super::code::{Code, FRAME, Helper, If, Instruction, Label, Width};
use super::types::Places;
use crate::model::calls::Kind;

/// Descriptors of the maps that the programs use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Maps {
    /// Processes that are watched.
    pub(super) processes: i32,
    /// Calls between their two ends, by thread.
    pub(super) open: i32,
    /// What comes out.
    pub(super) ring: i32,
    /// One number: calls that found no room.
    pub(super) lost: i32,
    /// One number for each processor, which only shows where a processor's memory lies.
    pub(super) each: i32,
}

/// Bytes of an open call: when it began, OS pages before it, 16 bytes of what is unmapped.
pub(super) const OPEN: i16 = 32;

/// `struct pt_regs`.
pub(super) mod registers {
    pub(crate) const FRAME: i16 = 32;
    pub(crate) const R10: i16 = 56;
    pub(crate) const R9: i16 = 64;
    pub(crate) const R8: i16 = 72;
    pub(crate) const DX: i16 = 96;
    pub(crate) const SI: i16 = 104;
    pub(crate) const DI: i16 = 112;
    pub(crate) const CALL: i16 = 120;
    pub(crate) const INSTRUCTION: i16 = 128;
    pub(crate) const SEGMENT: i16 = 136;
    pub(crate) const STACK: i16 = 152;
    pub(crate) const BYTES: i16 = 168;
}

/// A record in the ring.
pub(super) mod record {
    pub(crate) const PID_TID: i16 = 0;
    pub(crate) const END: i16 = 8;
    pub(crate) const RESULT: i16 = 16;
    pub(crate) const AFTER: i16 = 24;
    pub(crate) const STACK_BYTES: i16 = 32;
    /// Begin, OS pages before, head: what stood in the table of open calls.
    pub(crate) const OPEN: i16 = 40;
    pub(crate) const REGISTERS: i16 = OPEN + super::OPEN;
    pub(crate) const STACK: i16 = REGISTERS + super::registers::BYTES;
    pub(crate) const BYTES: i32 = STACK as i32 + super::PIECES * super::PIECE;
    /// Of one whose program has a short stack: more of them find room in the ring.
    pub(crate) const SHORT: i32 = STACK as i32 + super::FEW_PIECES * super::PIECE;
}

/// A part of a heap in the ring.
pub(super) mod chunks {
    pub(crate) const PID: i16 = 0;
    /// Address of the first chunk.
    pub(crate) const START: i16 = 8;
    /// The second word of each: its size, with flags in the lowest three bits. Behind the last one, whatever stood there.
    pub(crate) const WORDS: i16 = 16;
    pub(crate) const COUNT: i16 = 16;
    pub(crate) const BYTES: i16 = WORDS + 8 * COUNT;
    /// Bytes of the smallest chunk.
    pub(crate) const LEAST: i32 = 32;
}

/// Bytes of the stack that are copied at once, a part of an OS page, and how often.
const PIECE: i32 = 1024;
const PIECES: i32 = 16;
const FEW_PIECES: i32 = 4;
/// The segment of 64-bit code. 32-bit calls have other numbers.
const USER_64: i32 = 0x33;
/// The two bytes of the `syscall` instruction: `int 0x80` makes 32-bit calls in 64-bit code too.
const SYSCALL: i32 = 0x050f;
/// "OS pages before" where they are not of interest.
pub(super) const UNKNOWN: u64 = u64::MAX;
/// Of a ring that is fuller than this part nobody can say how long it lasts: the caller stops until it has been read.
const FULL: i32 = 2;
const NO_WAKE_UP: i32 = 1;

// Places on the frame, 512 bytes at most.
const KEY: i16 = -8;
const WORD: i16 = -16;
const MEMORY: i16 = -24;
const SUM: i16 = -32;
const INDEX: i16 = -40;
const LOCALS: i16 = -48;
const LOCAL: i16 = -64;
const CALL: i16 = -96;
const END: i16 = -104;
const AFTER: i16 = -112;
const COUNTS: i16 = -272;
const REGISTERS: i16 = -440;
const WAITS: i16 = -448;
const STACK_END: i16 = -456;

/// Part of a heap, in the program that follows chunks.
const CHUNKS: i16 = -208;

/// Writes programs for one kernel.
pub(super) struct Writer {
    pub(super) places: Places,
    pub(super) maps: Maps,
    pub(super) processors: i32,
    /// Bytes of the ring.
    pub(super) room: i32,
}

fn frame(code: &mut Code, to: u8, at: i16) {
    code.copy(to, FRAME);
    code.add(to, i32::from(at));
}

/// `helper(frame + at, bytes, address in register 3)`.
fn read(code: &mut Code, helper: Helper, at: i16, bytes: i16) {
    frame(code, 1, at);
    code.set(2, i32::from(bytes));
    code.call(helper);
}

/// The address in a register as a number in register 3: the machine lets nobody reckon with addresses of maps as they are.
fn as_number(code: &mut Code, address: u8) {
    code.store(Width::Eight, FRAME, WORD, address);
    frame(code, 3, WORD);
    read(code, Helper::ReadKernel, LOCAL, 8);
    code.load(Width::Eight, 3, FRAME, LOCAL);
}

/// Goes on only for the calls of [`Kind`], whose number is in register 7.
fn only_calls_for_memory(code: &mut Code, out: Label) {
    let found = code.label();
    for kind in Kind::ALL {
        code.jump_if(If::Equal, 7, kind.number() as i32, found);
    }
    code.jump(out);
    code.place(found);
}

impl Writer {
    /// Looks the key on the frame up: register 0 is the address of the value.
    fn look_up(code: &mut Code, map: i32, out: Label) {
        code.map(1, map);
        frame(code, 2, KEY);
        code.call(Helper::MapLookup);
        code.jump_if(If::Equal, 0, 0, out);
    }

    /// The address of the task's memory on the frame, and in register 3.
    fn memory(&self, code: &mut Code) {
        code.call(Helper::Task);
        code.copy(3, 0);
        code.add(3, self.places.memory);
        read(code, Helper::ReadKernel, MEMORY, 8);
        code.load(Width::Eight, 3, FRAME, MEMORY);
    }

    /// Resident OS pages into a word of the frame: the common counters and what each processor has not added yet.
    fn resident(&self, code: &mut Code, to: i16) {
        /// Files, anonymous, shared memory; 2 is swap.
        const MEMBERS: [i16; 3] = [0, 1, 3];
        let (again, done, positive) = (code.label(), code.label(), code.label());
        let size = self.places.counter_size as i16;
        self.memory(code);
        code.add(3, self.places.counts);
        read(code, Helper::ReadKernel, COUNTS, 4 * size);
        code.set(1, 0);
        for member in MEMBERS {
            code.load(Width::Eight, 2, FRAME, COUNTS + member * size + self.places.count as i16);
            code.add_register(1, 2);
        }
        code.store(Width::Eight, FRAME, SUM, 1);
        code.load(Width::Eight, 1, FRAME, COUNTS + self.places.locals as i16);
        code.store(Width::Eight, FRAME, LOCALS, 1);
        // What processors have of their own lies at the shared address plus a distance for each. The map has both: the
        // distance is where a processor's value lies, less the shared address.
        code.map(1, self.maps.each);
        as_number(code, 1);
        code.add(3, self.places.shared);
        read(code, Helper::ReadKernel, WORD, 8);
        code.load(Width::Eight, 1, FRAME, LOCALS);
        code.load(Width::Eight, 2, FRAME, WORD);
        code.subtract_register(1, 2);
        code.store(Width::Eight, FRAME, LOCALS, 1);
        code.store_value(Width::Eight, FRAME, INDEX, 0);
        code.place(again);
        code.map(1, self.maps.each);
        code.store_value(Width::Four, FRAME, KEY, 0);
        frame(code, 2, KEY);
        code.load(Width::Eight, 3, FRAME, INDEX);
        code.call(Helper::MapLookupOfProcessor);
        code.jump_if(If::Equal, 0, 0, done);
        as_number(code, 0);
        code.load(Width::Eight, 1, FRAME, LOCALS);
        code.add_register(3, 1);
        read(code, Helper::ReadKernel, LOCAL, 16);
        code.load(Width::Eight, 1, FRAME, SUM);
        for member in MEMBERS {
            code.load(Width::Four, 2, FRAME, LOCAL + 4 * member);
            code.shift_left(2, 32);
            code.shift_right_signed(2, 32);
            code.add_register(1, 2);
        }
        code.store(Width::Eight, FRAME, SUM, 1);
        code.load(Width::Eight, 1, FRAME, INDEX);
        code.add(1, 1);
        code.store(Width::Eight, FRAME, INDEX, 1);
        code.jump_if(If::Below, 1, self.processors, again);
        code.place(done);
        // While others add, a sum may be below zero.
        code.load(Width::Eight, 1, FRAME, SUM);
        code.copy(2, 1);
        code.shift_right(2, 63);
        code.jump_if(If::Equal, 2, 0, positive);
        code.set(1, 0);
        code.place(positive);
        code.store(Width::Eight, FRAME, to, 1);
    }

    /// At `sys_enter`: the context is the registers' address and the call's number. `follows` chunks at the end of a process.
    pub(super) fn enter(&self, follows: bool) -> Option<Vec<Instruction>> {
        let mut made = Code::default();
        let code = &mut made;
        let (out, keep, unmap, count) = (code.label(), code.label(), code.label(), code.label());
        let end = code.label();
        code.copy(6, 1);
        code.load(Width::Eight, 7, 6, 8);
        if follows {
            code.jump_if(If::Equal, 7, libc::SYS_exit_group as i32, end);
        }
        only_calls_for_memory(code, out);
        code.load(Width::Eight, 8, 6, 0);
        code.call(Helper::PidTgid);
        code.copy(9, 0);
        code.shift_right(0, 32);
        code.store(Width::Four, FRAME, KEY, 0);
        Writer::look_up(code, self.maps.processes, out);
        code.copy(3, 8);
        read(code, Helper::ReadKernel, REGISTERS, registers::BYTES);
        code.load(Width::Eight, 1, FRAME, REGISTERS + registers::SEGMENT);
        code.and(1, 0xffff);
        code.jump_if(If::Different, 1, USER_64, out);
        code.load(Width::Eight, 3, FRAME, REGISTERS + registers::INSTRUCTION);
        code.add(3, -2);
        code.store_value(Width::Eight, FRAME, WORD, SYSCALL);
        read(code, Helper::ReadUser, WORD, 2);
        let is_read = code.label();
        // What cannot be read is code that only runs; then it is as likely as ever.
        code.jump_if(If::Different, 0, 0, is_read);
        code.load(Width::Two, 1, FRAME, WORD);
        code.jump_if(If::Different, 1, SYSCALL, out);
        code.place(is_read);
        code.call(Helper::Time);
        code.store(Width::Eight, FRAME, CALL, 0);
        code.store_value(Width::Eight, FRAME, CALL + 8, -1);
        code.store_value(Width::Eight, FRAME, CALL + 16, 0);
        code.store_value(Width::Eight, FRAME, CALL + 24, 0);
        code.jump_if(If::Equal, 7, Kind::Mmap.number() as i32, keep);
        code.jump_if(If::Equal, 7, Kind::Mprotect.number() as i32, keep);
        code.jump_if(If::Equal, 7, Kind::Munmap.number() as i32, unmap);
        code.jump_if(If::Different, 7, Kind::Brk.number() as i32, count);
        // A call that asks for the break or raises it takes nothing away.
        code.load(Width::Eight, 1, FRAME, REGISTERS + registers::DI);
        code.jump_if(If::Equal, 1, 0, keep);
        self.memory(code);
        code.add(3, self.places.top);
        read(code, Helper::ReadKernel, WORD, 8);
        code.load(Width::Eight, 1, FRAME, REGISTERS + registers::DI);
        code.load(Width::Eight, 2, FRAME, WORD);
        code.jump_if_register(If::NotBelow, 1, 2, keep);
        code.jump(count);
        code.place(unmap);
        // A block that malloc mapped begins with its size. What cannot be read stays zero.
        code.load(Width::Eight, 3, FRAME, REGISTERS + registers::DI);
        read(code, Helper::ReadUser, CALL + 16, 16);
        code.place(count);
        self.resident(code, CALL + 8);
        code.place(keep);
        code.store(Width::Four, FRAME, KEY, 9);
        code.map(1, self.maps.open);
        frame(code, 2, KEY);
        frame(code, 3, CALL);
        code.set(4, 0);
        code.call(Helper::MapUpdate);
        code.place(out);
        code.end();
        if follows {
            code.place(end);
            self.follow_chunks(code, out);
        }
        made.finish()
    }

    /// At the call that ends a process: tells of the chunks on its break, from the first one on, while each leads to another
    /// and the ring has room. Where no heap of glibc's is, that is a word or two.
    fn follow_chunks(&self, code: &mut Code, out: Label) {
        let (again, has_room, last) = (code.label(), code.label(), code.label());
        code.call(Helper::PidTgid);
        code.shift_right(0, 32);
        code.store(Width::Four, FRAME, KEY, 0);
        code.store(Width::Eight, FRAME, CHUNKS + chunks::PID, 0);
        Writer::look_up(code, self.maps.processes, out);
        self.memory(code);
        code.add(3, self.places.bottom);
        read(code, Helper::ReadKernel, WORD, 8);
        code.load(Width::Eight, 6, FRAME, WORD);
        code.load(Width::Eight, 3, FRAME, MEMORY);
        code.add(3, self.places.top);
        read(code, Helper::ReadKernel, WORD, 8);
        code.load(Width::Eight, 7, FRAME, WORD);
        code.place(again);
        code.jump_if_too_often(out);
        // Calls of other processes need room, too.
        code.map(1, self.maps.ring);
        code.set(2, 0);
        code.call(Helper::RingQuery);
        code.jump_if(If::NotAbove, 0, self.room / 4 * 3, has_room);
        code.jump(out);
        code.place(has_room);
        code.store(Width::Eight, FRAME, CHUNKS + chunks::START, 6);
        for index in 0..chunks::COUNT {
            code.store_value(Width::Eight, FRAME, CHUNKS + chunks::WORDS + 8 * index, 0);
        }
        for index in 0..chunks::COUNT {
            let word = CHUNKS + chunks::WORDS + 8 * index;
            code.copy(3, 6);
            code.add(3, 8);
            read(code, Helper::ReadUser, word, 8);
            code.jump_if(If::Different, 0, 0, last);
            code.load(Width::Eight, 1, FRAME, word);
            code.and(1, -8);
            code.jump_if(If::Below, 1, chunks::LEAST, last);
            code.copy(2, 7);
            code.subtract_register(2, 6);
            code.jump_if_register(If::Below, 2, 1, last);
            code.add_register(6, 1);
            code.jump_if_register(If::Equal, 6, 7, last);
        }
        self.tell_chunks(code);
        code.jump_if(If::Different, 0, 0, out);
        code.jump(again);
        code.place(last);
        self.tell_chunks(code);
        code.jump(out);
    }

    fn tell_chunks(&self, code: &mut Code) {
        code.map(1, self.maps.ring);
        frame(code, 2, CHUNKS);
        code.set(3, i32::from(chunks::BYTES));
        code.set(4, NO_WAKE_UP);
        code.call(Helper::RingOutput);
    }

    /// At `sys_exit`: the context is the registers' address and the result.
    pub(super) fn exit(&self) -> Option<Vec<Instruction>> {
        let mut made = Code::default();
        let code = &mut made;
        let (out, full, sent, check, wait) = (code.label(), code.label(), code.label(), code.label(), code.label());
        let long = code.label();
        code.copy(6, 1);
        code.load(Width::Eight, 8, 6, 0);
        code.copy(3, 8);
        code.add(3, i32::from(registers::CALL));
        read(code, Helper::ReadKernel, WORD, 8);
        code.load(Width::Eight, 7, FRAME, WORD);
        only_calls_for_memory(code, out);
        code.call(Helper::PidTgid);
        code.copy(9, 0);
        code.store(Width::Four, FRAME, KEY, 0);
        Writer::look_up(code, self.maps.open, out);
        code.store_value(Width::Eight, FRAME, WAITS, 0);
        for at in (0..OPEN).step_by(8) {
            code.load(Width::Eight, 1, 0, at);
            code.store(Width::Eight, FRAME, CALL + at, 1);
        }
        code.map(1, self.maps.open);
        frame(code, 2, KEY);
        code.call(Helper::MapDelete);
        code.call(Helper::Time);
        code.store(Width::Eight, FRAME, END, 0);
        self.resident(code, AFTER);
        self.memory(code);
        code.add(3, self.places.stack);
        read(code, Helper::ReadKernel, STACK_END, 8);
        code.copy(3, 8);
        code.add(3, i32::from(registers::STACK));
        read(code, Helper::ReadKernel, WORD, 8);
        code.load(Width::Eight, 1, FRAME, STACK_END);
        code.load(Width::Eight, 2, FRAME, WORD);
        code.subtract_register(1, 2);
        // Pieces begin at multiples, so the first one may be short.
        code.set(2, (FEW_PIECES - 1) * PIECE);
        code.jump_if_register(If::Below, 2, 1, long);
        self.reserve(code, record::SHORT, full);
        self.fill(code, FEW_PIECES, sent);
        code.jump(sent);
        code.place(long);
        self.reserve(code, record::BYTES, full);
        self.fill(code, PIECES, sent);
        code.place(sent);
        code.copy(1, 7);
        code.set(2, NO_WAKE_UP);
        code.call(Helper::RingSubmit);
        code.jump(check);
        code.place(full);
        code.store_value(Width::Four, FRAME, KEY, 0);
        Writer::look_up(code, self.maps.lost, out);
        code.set(1, 1);
        code.add_in_memory(0, 0, 1);
        code.place(check);
        code.load(Width::Eight, 1, FRAME, WAITS);
        code.jump_if(If::Different, 1, 0, wait);
        code.map(1, self.maps.ring);
        code.set(2, 0);
        code.call(Helper::RingQuery);
        code.jump_if(If::NotAbove, 0, self.room / FULL, out);
        code.place(wait);
        // A thread without a tracer (CLONE_UNTRACED) would really stop.
        code.call(Helper::Task);
        code.copy(3, 0);
        code.add(3, self.places.traced);
        code.store_value(Width::Eight, FRAME, WORD, 0);
        read(code, Helper::ReadKernel, WORD, 4);
        code.load(Width::Eight, 1, FRAME, WORD);
        code.jump_if(If::Equal, 1, 0, out);
        // It cannot be blocked; the tracer, which is told of it, reads the ring and keeps it from the program.
        code.set(1, libc::SIGSTOP);
        code.call(Helper::SignalThread);
        code.place(out);
        code.end();
        made.finish()
    }

    /// Who maps code from a file waits until brkmap has read the record: the file is known by its descriptor only as long as
    /// that is open, and the mappings only until the next exec. The record is in register 7.
    fn wait_for_code(&self, code: &mut Code) {
        let no = code.label();
        code.load(Width::Eight, 1, 7, record::REGISTERS + registers::CALL);
        code.jump_if(If::Different, 1, Kind::Mmap.number() as i32, no);
        code.load(Width::Eight, 1, 7, record::REGISTERS + registers::DX);
        code.and(1, libc::PROT_EXEC);
        code.jump_if(If::Equal, 1, 0, no);
        // The descriptor's sign.
        code.load(Width::Four, 1, 7, record::REGISTERS + registers::R8);
        code.shift_right(1, 31);
        code.jump_if(If::Different, 1, 0, no);
        code.store_value(Width::Eight, FRAME, WAITS, 1);
        code.place(no);
    }

    /// Room for a record, whose address goes into register 7.
    fn reserve(&self, code: &mut Code, bytes: i32, full: Label) {
        code.map(1, self.maps.ring);
        code.set(2, bytes);
        code.set(3, 0);
        code.call(Helper::RingReserve);
        code.jump_if(If::Equal, 0, 0, full);
        code.copy(7, 0);
    }

    /// Fills the record in register 7 with so many pieces of the stack at most. Stops copying the stack where it ends, or the program's frames on it.
    fn fill(&self, code: &mut Code, pieces: i32, done: Label) {
        code.store(Width::Eight, 7, record::PID_TID, 9);
        for (from, to) in [(END, record::END), (AFTER, record::AFTER)] {
            code.load(Width::Eight, 1, FRAME, from);
            code.store(Width::Eight, 7, to, 1);
        }
        code.load(Width::Eight, 1, 6, 8);
        code.store(Width::Eight, 7, record::RESULT, 1);
        for at in (0..OPEN).step_by(8) {
            code.load(Width::Eight, 1, FRAME, CALL + at);
            code.store(Width::Eight, 7, record::OPEN + at, 1);
        }
        code.store_value(Width::Eight, 7, record::STACK_BYTES, 0);
        code.copy(1, 7);
        code.add(1, i32::from(record::REGISTERS));
        code.set(2, i32::from(registers::BYTES));
        code.copy(3, 8);
        code.call(Helper::ReadKernel);
        self.wait_for_code(code);
        // To the next multiple of a piece first: the stack may end at an OS page.
        code.load(Width::Eight, 8, 7, record::REGISTERS + registers::STACK);
        code.copy(1, 8);
        code.and(1, PIECE - 1);
        code.set(9, PIECE);
        code.subtract_register(9, 1);
        code.copy(1, 7);
        code.add(1, i32::from(record::STACK));
        code.copy(2, 9);
        code.copy(3, 8);
        code.call(Helper::ReadUser);
        code.jump_if(If::Different, 0, 0, done);
        code.store(Width::Eight, 7, record::STACK_BYTES, 9);
        // The number of bytes so far is in a register of its own, as the machine has to know its bounds.
        for piece in 0..pieces - 1 {
            code.copy(3, 8);
            code.add_register(3, 9);
            code.add(3, piece * PIECE);
            code.load(Width::Eight, 1, FRAME, STACK_END);
            code.jump_if_register(If::NotBelow, 3, 1, done);
            code.copy(1, 7);
            code.add(1, i32::from(record::STACK) + piece * PIECE);
            code.add_register(1, 9);
            code.set(2, PIECE);
            code.call(Helper::ReadUser);
            code.jump_if(If::Different, 0, 0, done);
            code.copy(1, 9);
            code.add(1, (piece + 1) * PIECE);
            code.store(Width::Eight, 7, record::STACK_BYTES, 1);
        }
    }
}
