//! Writes programs for the kernel's BPF machine: one function for each instruction that is needed, and labels.
//!
//! The machine is described in the kernel's documentation (`Documentation/bpf/standardization/instruction-set.rst`).

/// A register of the machine. 0 holds results, 1 to 5 arguments (lost at each call), 6 to 9 last, 10 is the frame.
pub(super) type Register = u8;

/// The frame pointer.
pub(super) const FRAME: Register = 10;

/// `struct bpf_insn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    value: i32,
}

/// Bytes that a load or store moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    Two = 0x08,
    Four = 0x00,
    Eight = 0x18,
}

/// When a conditional jump is taken; comparisons are of unsigned numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum If {
    Equal = 0x10,
    Different = 0x50,
    NotBelow = 0x30,
    Below = 0xa0,
    NotAbove = 0xb0,
}

/// Functions of the kernel that programs may call, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Helper {
    MapLookup = 1,
    MapUpdate = 2,
    MapDelete = 3,
    Time = 5,
    PidTgid = 14,
    Task = 35,
    ReadUser = 112,
    ReadKernel = 113,
    SignalThread = 117,
    RingOutput = 130,
    RingReserve = 131,
    RingSubmit = 132,
    RingQuery = 134,
    MapLookupOfProcessor = 195,
}

/// A place that jumps lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label(usize);

/// A program while it is written.
#[derive(Debug, Default)]
pub(super) struct Code {
    instructions: Vec<Instruction>,
    jumps: Vec<(usize, Label)>,
    places: Vec<Option<usize>>,
}

impl Code {
    fn push(&mut self, code: u8, to: Register, from: Register, offset: i16, value: i32) {
        self.instructions.push(Instruction { code, registers: to | from << 4, offset, value });
    }

    pub(super) fn label(&mut self) -> Label {
        self.places.push(None);
        Label(self.places.len() - 1)
    }

    /// Jumps to the label lead here.
    pub(super) fn place(&mut self, label: Label) {
        self.places[label.0] = Some(self.instructions.len());
    }

    pub(super) fn copy(&mut self, to: Register, from: Register) {
        self.push(0xbf, to, from, 0, 0);
    }

    pub(super) fn set(&mut self, to: Register, value: i32) {
        self.push(0xb7, to, 0, 0, value);
    }

    pub(super) fn add(&mut self, to: Register, value: i32) {
        self.push(0x07, to, 0, 0, value);
    }

    pub(super) fn add_register(&mut self, to: Register, from: Register) {
        self.push(0x0f, to, from, 0, 0);
    }

    pub(super) fn subtract_register(&mut self, to: Register, from: Register) {
        self.push(0x1f, to, from, 0, 0);
    }

    pub(super) fn and(&mut self, to: Register, value: i32) {
        self.push(0x57, to, 0, 0, value);
    }

    pub(super) fn shift_left(&mut self, to: Register, bits: i32) {
        self.push(0x67, to, 0, 0, bits);
    }

    pub(super) fn shift_right(&mut self, to: Register, bits: i32) {
        self.push(0x77, to, 0, 0, bits);
    }

    /// The sign stays.
    pub(super) fn shift_right_signed(&mut self, to: Register, bits: i32) {
        self.push(0xc7, to, 0, 0, bits);
    }

    pub(super) fn load(&mut self, width: Width, to: Register, from: Register, at: i16) {
        self.push(0x61 | width as u8, to, from, at, 0);
    }

    pub(super) fn store(&mut self, width: Width, to: Register, at: i16, from: Register) {
        self.push(0x63 | width as u8, to, from, at, 0);
    }

    /// Stores a number that is extended with its sign.
    pub(super) fn store_value(&mut self, width: Width, to: Register, at: i16, value: i32) {
        self.push(0x62 | width as u8, to, 0, at, value);
    }

    /// Adds to eight bytes in memory, undivided.
    pub(super) fn add_in_memory(&mut self, to: Register, at: i16, from: Register) {
        self.push(0xdb, to, from, at, 0);
    }

    /// The address of a map, by its descriptor.
    pub(super) fn map(&mut self, to: Register, descriptor: i32) {
        self.push(0x18, to, 1, 0, descriptor);
        self.push(0, 0, 0, 0, 0);
    }

    pub(super) fn call(&mut self, helper: Helper) {
        self.push(0x85, 0, 0, 0, helper as i32);
    }

    pub(super) fn jump(&mut self, to: Label) {
        self.jumps.push((self.instructions.len(), to));
        self.push(0x05, 0, 0, 0, 0);
    }

    pub(super) fn jump_if(&mut self, condition: If, register: Register, value: i32, to: Label) {
        self.jumps.push((self.instructions.len(), to));
        self.push(0x05 | condition as u8, register, 0, 0, value);
    }

    pub(super) fn jump_if_register(&mut self, condition: If, register: Register, other: Register, to: Label) {
        self.jumps.push((self.instructions.len(), to));
        self.push(0x0d | condition as u8, register, other, 0, 0);
    }

    /// At the start of a loop whose end the machine cannot see: leaves it after some millions of rounds (Linux 6.9).
    pub(super) fn jump_if_too_often(&mut self, to: Label) {
        self.jumps.push((self.instructions.len(), to));
        self.push(0xe5, 0, 0, 0, 0);
    }

    /// Ends the program with 0.
    pub(super) fn end(&mut self) {
        self.set(0, 0);
        self.push(0x95, 0, 0, 0, 0);
    }

    /// The whole program, jumps filled in. `None` if one leads nowhere or too far.
    pub(super) fn finish(mut self) -> Option<Vec<Instruction>> {
        for (at, label) in self.jumps {
            let place = self.places[label.0]?;
            self.instructions[at].offset = i16::try_from(place as i64 - at as i64 - 1).ok()?;
        }
        Some(self.instructions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_lead_to_their_labels_forward_and_back() {
        let mut code = Code::default();
        let (loop_start, done) = (code.label(), code.label());
        code.set(1, 3);
        code.place(loop_start);
        code.jump_if(If::Equal, 1, 0, done);
        code.add(1, -1);
        code.jump(loop_start);
        code.place(done);
        code.end();
        let written = code.finish().unwrap();
        assert_eq!(written[1], Instruction { code: 0x15, registers: 1, offset: 2, value: 0 });
        assert_eq!(written[3], Instruction { code: 0x05, registers: 0, offset: -3, value: 0 });
        let mut code = Code::default();
        let nowhere = code.label();
        code.jump(nowhere);
        assert_eq!(code.finish(), None);
    }

    #[test]
    fn loads_and_stores_name_width_registers_and_place() {
        let mut code = Code::default();
        code.load(Width::Eight, 7, 6, 8);
        code.store(Width::Four, FRAME, -8, 9);
        code.store_value(Width::Eight, 7, 64, -1);
        code.map(1, 5);
        let written = code.finish().unwrap();
        assert_eq!(written[0], Instruction { code: 0x79, registers: 0x67, offset: 8, value: 0 });
        assert_eq!(written[1], Instruction { code: 0x63, registers: 0x9a, offset: -8, value: 0 });
        assert_eq!(written[2], Instruction { code: 0x7a, registers: 7, offset: 64, value: -1 });
        assert_eq!(written[3], Instruction { code: 0x18, registers: 0x11, offset: 0, value: 5 });
        assert_eq!(written.len(), 5);
    }
}
