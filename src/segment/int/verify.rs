//! Proves packed keys right: they ascend, and all bytes are those that we would write.

use super::index::{FAN, NODE_LEN};
use super::piece::{WINDOW, best_shift, encode};
use super::{
    FRONT_LEN, INDEX, IntHead, IntKeys, PIECES, SHIFT_AT, ZEROS_AT, damaged, has_width, no_piece,
};
use crate::arena::OutOfMemory;
use crate::bytes::u64_at;
use crate::error::{Corruption, Error};
use crate::packed::SLACK;

impl IntKeys<'_> {
    /// Reads everything: unpacks each piece and packs it again, and looks at all keys of the tree.
    pub(in super::super) fn verify(self) -> Result<(), Error> {
        let head = self.head;
        if self.index.get(ZEROS_AT..FRONT_LEN)?.iter().any(|&byte| byte != 0) {
            return Err(damaged(INDEX, ZEROS_AT, "what nobody uses is zero").into());
        }
        let (mut keys, mut written) = (Vec::new(), Vec::new());
        keys.try_reserve(1 << head.shift).map_err(|_| OutOfMemory)?;
        let (mut end, mut last) = (0, None);
        let mut window = Vec::new();
        window.try_reserve(self.entries.min(WINDOW as u64) as usize).map_err(|_| OutOfMemory)?;
        for number in 0..head.tree.pieces {
            let row = head.tree.row(self.index, number)?;
            keys.resize(self.keys_of(head, number), 0);
            let decoded = self.piece(head, row)?.decode(0, None, &mut keys);
            decoded.ok_or_else(|| no_piece(number))?;
            let ascends = last.is_none_or(|last| last < keys[0]) && keys.is_sorted_by(|a, b| a < b);
            last = keys.last().copied();
            if !ascends || !last.is_some_and(|last| has_width(last, head.width)) {
                return Err(no_piece(number).into());
            }
            let descriptor = encode(&keys, end, &mut written)?;
            if row.first != keys[0] || descriptor != Some(row.descriptor) {
                return Err(damaged(INDEX, number, "the index has what describes a piece").into());
            }
            if self.pieces.get(end..end + written.len())? != written {
                return Err(damaged(PIECES, number, "a piece is what its keys make it").into());
            }
            end += written.len();
            if window.len() < WINDOW {
                window.extend_from_slice(&keys[..keys.len().min(WINDOW - window.len())]);
            }
        }
        if head.shift != best_shift(&window) {
            return Err(damaged(INDEX, SHIFT_AT, "pieces have as many keys as fits these").into());
        }
        let rest = self.pieces.get(end..self.pieces.len())?;
        if rest.len() != SLACK || rest.iter().any(|&byte| byte != 0) {
            return Err(damaged(PIECES, end, "zeros follow the last piece").into());
        }
        Ok(self.verify_nodes(head)?)
    }

    /// The keys of each node are the first ones of its children, and none are where there is none.
    fn verify_nodes(self, head: IntHead) -> Result<(), Corruption> {
        let tree = head.tree;
        let word = |level: usize, child: usize, behind: usize| {
            let place = tree.place(level, child);
            let bytes = self.index.get(place.start + behind..place.end + behind)?;
            Ok::<u64, Corruption>(u64_at(bytes, 0).unwrap_or(0))
        };
        for level in 0..=tree.inner_levels() {
            let children = if level == 0 { tree.pieces } else { tree.nodes(level - 1) };
            for child in 0..tree.nodes(level) * FAN {
                let is_right = match (child < children, level) {
                    // Compared with the pieces themselves.
                    (true, 0) => true,
                    (true, _) => word(level, child, 0)? == word(level - 1, child * FAN, 0)?,
                    (false, 0) => word(0, child, 0)? == u64::MAX && word(0, child, NODE_LEN)? == 0,
                    (false, _) => word(level, child, 0)? == u64::MAX,
                };
                if !is_right {
                    let at = tree.place(level, child).start;
                    return Err(damaged(INDEX, at, "a node has the first keys of its children"));
                }
            }
        }
        Ok(())
    }
}
