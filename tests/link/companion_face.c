/* Calls the Rust library whose Rust side has a brkmap of its own. */
extern int face_work(void);

int companion(void) { return face_work(); }
