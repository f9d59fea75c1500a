use crate::put::Version;
use crate::table::{RowKey, RowRange};

pub trait Prior {
    type Miss;
    fn get(&self, key: &RowKey) -> Result<Option<Version>, Self::Miss>;
    fn range(&self, range: &RowRange) -> Result<Vec<(RowKey, Version)>, Self::Miss>;
}
