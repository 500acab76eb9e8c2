//! What a run tells while it is at work.

/// Takes what happens, for progress; called from one thread, at most some times per object.
pub trait Events {
    /// A stage begins.
    fn stage(&mut self, name: &'static str);
    /// So many objects and bytes are known; what was counted of the stage begins anew.
    fn total(&mut self, objects: u64, bytes: u64);
    /// One more object is done.
    fn object(&mut self, bytes: u64);
    /// The object that is told next holds so many records, and so much of it was rejected.
    fn counted(&mut self, records: u64, rejects: u64) {
        let _ = (records, rejects);
    }
    /// Something that only who asks for more wants to know. Names in it are hostile.
    fn note(&mut self, text: &str) {
        let _ = text;
    }
}
