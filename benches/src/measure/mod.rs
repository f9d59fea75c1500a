//! What is measured of ours, each as a function that returns its figures; who calls it names them.

pub(crate) mod content;
pub(crate) mod creates;
pub(crate) mod past;
pub(crate) mod populated;
