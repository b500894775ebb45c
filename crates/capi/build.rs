//! Link options of the shared library.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for argument in ["-Wl,-soname,libbrkmap.so.0", "-Wl,-z,now", "-Wl,-z,relro", "-Wl,-z,nodelete", "-lc"] {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
}
