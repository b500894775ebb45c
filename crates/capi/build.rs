//! Link options of the shared library. `initfirst`: our fork handlers are registered before those of the program's
//! libraries, so before a fork they run last, when those libraries hold their own locks already.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for argument in
        ["-Wl,-soname,libbrkmap.so.0", "-Wl,-z,now", "-Wl,-z,relro", "-Wl,-z,nodelete", "-Wl,-z,initfirst", "-lc"]
    {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
}
