//! The order of things in the address space.

use super::Family;
use super::launch::Bench;
use super::note::{Judged, Notes, Verdict};
use super::raw::{self, How, Map, Out, Refusal};
use std::sync::atomic::{AtomicU8, Ordering};

pub(super) const FAMILY: Family = Family {
    name: "layout",
    experiments: &[("layout-order", order), ("layout-directions", directions), ("layout-gap", gap)],
    subjects: &[
        ("layout-order", order_subject),
        ("layout-directions", directions_subject),
        ("layout-gap", gap_subject),
    ],
};

static DATA: AtomicU8 = AtomicU8::new(1);
static BSS: AtomicU8 = AtomicU8::new(0);

fn order(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("took the address of a function, of data, of zeroed data, of the break, of a fresh mapping, of a local variable");
    let ran = bench.subject("layout-order").run()?;
    let names = ["text", "data", "bss", "heap", "mapping", "stack"];
    let mut addresses = Vec::new();
    for name in names {
        let address = ran.get(name)?;
        notes.saw(format!("{name:<8} {address:#016x}  {}", ran.text(&format!("line-{name}"))?));
        addresses.push(address);
    }
    notes.holds("text < data < BSS < heap < mappings < stack", addresses.is_sorted());
    Ok(Verdict::AsTold)
}

fn order_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let local = 0u8;
    let map = Map::new(4096, How::Private)?;
    DATA.store(2, Ordering::Relaxed);
    BSS.store(2, Ordering::Relaxed);
    for (name, address) in [
        ("text", order_subject as *const () as u64),
        ("data", std::ptr::from_ref(&DATA).addr() as u64),
        ("bss", std::ptr::from_ref(&BSS).addr() as u64),
        ("heap", super::brk::end() - 1),
        ("mapping", map.start()),
        ("stack", std::ptr::from_ref(&local).addr() as u64),
    ] {
        out.put(name, address);
        out.line(
            match name {
                "text" => "line-text",
                "data" => "line-data",
                "bss" => "line-bss",
                "heap" => "line-heap",
                "mapping" => "line-mapping",
                _ => "line-stack",
            },
            address,
        );
    }
    Ok(())
}

fn directions(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("sbrk(4096) twice, mmap of 1 MiB four times, a function that calls itself once");
    let ran = bench.subject("layout-directions").run()?;
    notes.saw(format!("break    {:#x} then {:#x}", ran.get("break-1")?, ran.get("break-2")?));
    let maps = (1..=4).map(|index| ran.get(&format!("map-{index}"))).collect::<Result<Vec<_>, _>>()?;
    let texts: Vec<String> = maps.iter().map(|at| format!("{at:#x}")).collect();
    notes.saw(format!("mappings {}", texts.join(" then ")));
    notes.saw(format!("stack    {:#x} then {:#x}", ran.get("outer")?, ran.get("inner")?));
    notes.holds("the break goes up", ran.get("break-2")? > ran.get("break-1")?);
    notes.holds("the stack goes down", ran.get("inner")? < ran.get("outer")?);
    notes.holds("mappings go down", maps.windows(2).all(|pair| pair[1] < pair[0]));
    Ok(Verdict::AsTold)
}

#[inline(never)]
fn deeper() -> u64 {
    let local = std::hint::black_box(0u8);
    std::hint::black_box(std::ptr::from_ref(&local)).addr() as u64
}

fn directions_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let local = std::hint::black_box(0u8);
    out.put("outer", std::ptr::from_ref(&local).addr() as u64);
    out.put("inner", deeper());
    out.put("break-1", super::brk::shift(4096)?);
    out.put("break-2", super::brk::shift(4096)?);
    for name in ["map-1", "map-2", "map-3", "map-4"] {
        out.put(name, Map::new(1 << 20, How::Private)?.start());
    }
    Ok(())
}

fn gap(bench: &Bench, notes: &mut Notes) -> Judged {
    notes.did("started eight processes and looked where the program's last line ends and where [heap] begins;");
    notes.did("two more without random addresses (personality ADDR_NO_RANDOMIZE)");
    let distance = |fixed: bool| {
        let subject = bench.subject("layout-gap");
        let ran = if fixed { subject.fixed_layout().run()? } else { subject.run()? };
        Ok(ran.get("heap")? - ran.get("end")?)
    };
    let random = (0..8).map(|_| distance(false)).collect::<Result<Vec<u64>, _>>()?;
    let fixed = (0..2).map(|_| distance(true)).collect::<Result<Vec<u64>, _>>()?;
    let mut different = random.clone();
    different.sort_unstable();
    different.dedup();
    let texts: Vec<String> = random.iter().map(|bytes| format!("{:.1}", *bytes as f64 / f64::from(1 << 20))).collect();
    notes.saw(format!("random: {} MiB", texts.join(", ")));
    notes.saw(format!("fixed:  {} and {} bytes", fixed[0], fixed[1]));
    let setting = std::fs::read_to_string("/proc/sys/kernel/randomize_va_space").unwrap_or_default();
    notes.saw(format!("kernel.randomize_va_space = {}", setting.trim()));
    notes.holds("without randomness the gap is the same each time", fixed[0] == fixed[1]);
    if setting.trim() != "2" {
        return Err(super::note::Trouble::NotHere(
            "kernel.randomize_va_space is not 2: the heap begins where data ends".into(),
        ));
    }
    notes.within("different gaps in eight starts", different.len() as u64, 2..=8);
    Ok(Verdict::AsTold)
}

fn gap_subject(_: &[u64], out: &mut Out) -> Result<(), Refusal> {
    let heap = raw::line_named("[heap]").ok_or(Refusal("this process has no [heap]".into()))?;
    let mut end = raw::line_of(std::ptr::from_ref(&BSS).addr() as u64).map_or(0, |line| line.end);
    // The last line of the program may be followed by one more of its data.
    while let Some(line) = raw::line_of(end).filter(|line| line.start != heap.start) {
        end = line.end;
    }
    out.put("end", end);
    out.put("heap", heap.start);
    Ok(())
}
