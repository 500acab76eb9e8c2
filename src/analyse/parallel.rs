//! The same work on many things, on several threads, with the results in their order.
//!
//! Pure work only: what one thing comes to never depends on another.

/// Applies `work` to each item and its index.
#[must_use]
pub fn map<T: Sync, R: Send>(
    threads: usize,
    items: &[T],
    work: impl Fn(usize, &T) -> R + Sync,
) -> Vec<R> {
    let per_thread = items.len().div_ceil(threads.max(1)).max(1);
    let work = &work;
    std::thread::scope(|scope| {
        let parts: Vec<_> = items
            .chunks(per_thread)
            .enumerate()
            .map(|(part, chunk)| {
                let first = part * per_thread;
                scope.spawn(move || {
                    let all = chunk.iter().enumerate();
                    all.map(|(idx, item)| work(first + idx, item)).collect::<Vec<R>>()
                })
            })
            .collect();
        let join = |part: std::thread::ScopedJoinHandle<'_, Vec<R>>| {
            part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        parts.into_iter().flat_map(join).collect()
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_keep_their_order() {
        let items: Vec<usize> = (0..101).collect();
        for threads in [0, 1, 2, 7, 200] {
            let got = super::map(threads, &items, |idx, item| (idx, item * 2));
            assert!(
                got.iter().enumerate().all(|(at, (idx, twice))| at == *idx && at * 2 == *twice)
            );
            assert_eq!(got.len(), items.len());
        }
        assert!(super::map(2, &[] as &[u8], |_, item| *item).is_empty());
    }
}
