//! Runs the asynchronous part of a target; one runtime for all inputs.

pub fn block_on(future: impl Future) {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(future));
}
