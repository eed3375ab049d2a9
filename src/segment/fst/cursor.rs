//! A position in a transducer, moved both ways without walking from the root again.

use super::node::{Edge, LEAF, Many, Node};
use super::{FstKeys, KEY_LEN, damaged};
use crate::error::Corruption;
use crate::key::MAX_KEY_LEN;
use crate::planted::{Bug, planted};
use std::cmp::Ordering;

/// A node on the way to the key: one with a choice. Nodes of one edge need no way back.
struct Frame {
    /// Address of the node.
    at: usize,
    /// Ordinal of the first key in its subtree.
    first: u64,
    /// Length of the key up to the node.
    depth: u32,
    /// Where the way goes on: 0 for the key that ends at the node, `i + 1` for edge `i`.
    slot: u16,
}

/// Which key of a subtree to go down to.
#[derive(Clone, Copy)]
enum End {
    Smallest,
    Largest,
}

/// A position: the key, and the nodes where it could have gone elsewhere.
#[derive(Default)]
pub(in super::super) struct FstWalk {
    key: Vec<u8>,
    frames: Vec<Frame>,
    ordinal: u64,
}

impl FstWalk {
    /// The key it stands on.
    pub(in super::super) fn key(&self) -> &[u8] {
        &self.key
    }

    /// Moves to the smallest key.
    pub(in super::super) fn first(&mut self, keys: FstKeys<'_>) -> Result<Option<u64>, Corruption> {
        self.end(keys, End::Smallest, 0)
    }

    /// Moves to the largest key.
    pub(in super::super) fn last(&mut self, keys: FstKeys<'_>) -> Result<Option<u64>, Corruption> {
        self.end(keys, End::Largest, keys.entries.saturating_sub(1))
    }

    fn end(
        &mut self,
        keys: FstKeys<'_>,
        end: End,
        ordinal: u64,
    ) -> Result<Option<u64>, Corruption> {
        self.clear();
        if keys.entries == 0 {
            return Ok(None);
        }
        let landed = self.descend(keys, keys.root, 0, end)?;
        self.expect(landed, ordinal)
    }

    /// Moves to the next larger key.
    pub(in super::super) fn next(&mut self, keys: FstKeys<'_>) -> Result<Option<u64>, Corruption> {
        let expected = self.ordinal + 1;
        match self.forward(keys)? {
            Some(landed) => self.expect(landed, expected),
            None if expected == keys.entries => Ok(None),
            None => Err(damaged(keys.root, super::ORDINALS)),
        }
    }

    /// Moves to the next smaller key.
    pub(in super::super) fn prev(&mut self, keys: FstKeys<'_>) -> Result<Option<u64>, Corruption> {
        match (self.backward(keys)?, self.ordinal.checked_sub(1)) {
            (Some(landed), Some(expected)) => self.expect(landed, expected),
            (None, None) => Ok(None),
            _ => Err(damaged(keys.root, super::ORDINALS)),
        }
    }

    /// Moves to the smallest key that is not below `key`.
    pub(in super::super) fn seek(
        &mut self,
        keys: FstKeys<'_>,
        key: &[u8],
    ) -> Result<Option<u64>, Corruption> {
        self.clear();
        if keys.entries == 0 {
            return Ok(None);
        }
        let (mut at, mut first) = (keys.root, 0);
        for &byte in key {
            let edge = match keys.nodes.node(at).ok_or_else(|| keys.no_node(at))? {
                Node::Leaf => return self.land_forward(keys),
                Node::One(edge) => edge,
                Node::Many(many) => {
                    let skip = planted(Bug::FstSeekSkipsExact) && byte < u8::MAX;
                    let from = byte + u8::from(skip);
                    let i = many.first_not_below(from).ok_or_else(|| keys.no_node(at))?;
                    if i == many.len {
                        return self.land_forward(keys);
                    }
                    self.push_frame(at, first, i + 1);
                    many.edge(i).ok_or_else(|| keys.no_node(at))?
                }
            };
            match edge.input.cmp(&byte) {
                Ordering::Less => return self.land_forward(keys),
                Ordering::Equal => (at, first) = self.follow(edge, first)?,
                Ordering::Greater => {
                    (at, first) = self.follow(edge, first)?;
                    break;
                }
            }
        }
        // Every key below this node has `key` as a prefix, or is greater.
        let landed = self.descend(keys, at, first, End::Smallest)?;
        self.land(keys, Some(landed))
    }

    /// Moves to the largest key that is not above `key`.
    pub(in super::super) fn seek_for_prev(
        &mut self,
        keys: FstKeys<'_>,
        key: &[u8],
    ) -> Result<Option<u64>, Corruption> {
        self.clear();
        if keys.entries == 0 {
            return Ok(None);
        }
        let (mut at, mut first) = (keys.root, 0);
        for &byte in key {
            let edge = match keys.nodes.node(at).ok_or_else(|| keys.no_node(at))? {
                Node::Leaf => return self.land(keys, Some(first)),
                Node::One(edge) => edge,
                Node::Many(many) => {
                    let above = match byte.checked_add(1) {
                        Some(above) => {
                            many.first_not_below(above).ok_or_else(|| keys.no_node(at))?
                        }
                        None => many.len,
                    };
                    let Some(i) = above.checked_sub(1) else {
                        return self.land_at_node(keys, at, first, many);
                    };
                    self.push_frame(at, first, i + 1);
                    many.edge(i).ok_or_else(|| keys.no_node(at))?
                }
            };
            match edge.input.cmp(&byte) {
                Ordering::Greater => return self.land_backward(keys),
                Ordering::Equal => (at, first) = self.follow(edge, first)?,
                Ordering::Less => {
                    (at, first) = self.follow(edge, first)?;
                    let landed = self.descend(keys, at, first, End::Largest)?;
                    return self.land(keys, Some(landed));
                }
            }
        }
        match keys.nodes.node(at).ok_or_else(|| keys.no_node(at))? {
            Node::Leaf => self.land(keys, Some(first)),
            Node::One(_) => self.land_backward(keys),
            Node::Many(many) => self.land_at_node(keys, at, first, many),
        }
    }

    /// Lands on the key that ends at a node, or else on the one before the node's subtree.
    fn land_at_node(
        &mut self,
        keys: FstKeys<'_>,
        at: usize,
        first: u64,
        many: Many<'_>,
    ) -> Result<Option<u64>, Corruption> {
        if !many.is_final {
            return self.land_backward(keys);
        }
        self.push_frame(at, first, 0);
        self.land(keys, first.checked_add(many.final_output))
    }

    fn land_forward(&mut self, keys: FstKeys<'_>) -> Result<Option<u64>, Corruption> {
        let landed = self.forward(keys)?;
        self.land(keys, landed)
    }

    fn land_backward(&mut self, keys: FstKeys<'_>) -> Result<Option<u64>, Corruption> {
        let landed = self.backward(keys)?;
        self.land(keys, landed)
    }

    fn land(&mut self, keys: FstKeys<'_>, landed: Option<u64>) -> Result<Option<u64>, Corruption> {
        match landed {
            Some(ordinal) if ordinal >= keys.entries => Err(damaged(keys.root, super::ORDINALS)),
            Some(ordinal) => {
                self.ordinal = ordinal;
                Ok(landed)
            }
            None => Ok(None),
        }
    }

    /// Ordinals are dense: neighbours differ by one. This also bounds every walk over damaged
    /// bytes by the number of entries, where shared nodes could stand for exponentially many keys.
    fn expect(&mut self, landed: u64, expected: u64) -> Result<Option<u64>, Corruption> {
        if landed != expected {
            return Err(damaged(LEAF, super::ORDINALS));
        }
        self.ordinal = landed;
        Ok(Some(landed))
    }

    /// Goes to the smallest key behind the current way, from the innermost choice that has one.
    fn forward(&mut self, keys: FstKeys<'_>) -> Result<Option<u64>, Corruption> {
        while let Some(frame) = self.frames.last_mut() {
            let (at, first) = (frame.at, frame.first);
            let many = keys.nodes.branch(at).ok_or_else(|| keys.no_node(at))?;
            let i = usize::from(frame.slot);
            if i < many.len {
                frame.slot += 1;
                self.key.truncate(frame.depth as usize);
                ascending(&many, at, i)?;
                return self.take(
                    keys,
                    many.edge(i).ok_or_else(|| keys.no_node(at))?,
                    first,
                    End::Smallest,
                );
            }
            self.frames.pop();
        }
        Ok(None)
    }

    /// Goes to the largest key before the current way, from the innermost choice that has one.
    fn backward(&mut self, keys: FstKeys<'_>) -> Result<Option<u64>, Corruption> {
        while let Some(frame) = self.frames.last_mut() {
            let (at, first) = (frame.at, frame.first);
            let many = keys.nodes.branch(at).ok_or_else(|| keys.no_node(at))?;
            match usize::from(frame.slot) {
                1 if many.is_final => {
                    frame.slot = 0;
                    self.key.truncate(frame.depth as usize);
                    return Ok(Some(first.saturating_add(many.final_output)));
                }
                0 | 1 => {
                    self.frames.pop();
                }
                slot => {
                    frame.slot -= 1;
                    self.key.truncate(frame.depth as usize);
                    ascending(&many, at, slot - 1)?;
                    let edge = many.edge(slot - 2).ok_or_else(|| keys.no_node(at))?;
                    return self.take(keys, edge, first, End::Largest);
                }
            }
        }
        Ok(None)
    }

    fn take(
        &mut self,
        keys: FstKeys<'_>,
        edge: Edge,
        first: u64,
        end: End,
    ) -> Result<Option<u64>, Corruption> {
        let (at, first) = self.follow(edge, first)?;
        self.descend(keys, at, first, end).map(Some)
    }

    /// Goes down to the smallest or largest key of the subtree at `at`: its ordinal.
    fn descend(
        &mut self,
        keys: FstKeys<'_>,
        mut at: usize,
        mut first: u64,
        end: End,
    ) -> Result<u64, Corruption> {
        loop {
            let edge = match keys.nodes.node(at).ok_or_else(|| keys.no_node(at))? {
                Node::Leaf => return Ok(first),
                Node::One(edge) => edge,
                Node::Many(many) => {
                    let slot = match end {
                        End::Smallest if many.is_final => 0,
                        End::Smallest => 1,
                        End::Largest => many.len,
                    };
                    self.push_frame(at, first, slot);
                    if slot == 0 && many.is_final {
                        return Ok(first.saturating_add(many.final_output));
                    }
                    let i = slot.checked_sub(1).ok_or_else(|| keys.no_node(at))?;
                    many.edge(i).ok_or_else(|| keys.no_node(at))?
                }
            };
            (at, first) = self.follow(edge, first)?;
        }
    }

    /// Adds an edge to the key: where it leads, and the ordinal of the first key there.
    fn follow(&mut self, edge: Edge, first: u64) -> Result<(usize, u64), Corruption> {
        if self.key.len() >= MAX_KEY_LEN {
            return Err(damaged(edge.child, KEY_LEN));
        }
        self.key.push(edge.input);
        Ok((edge.child, first.saturating_add(edge.output)))
    }

    fn push_frame(&mut self, at: usize, first: u64, slot: usize) {
        self.frames.push(Frame { at, first, depth: self.key.len() as u32, slot: slot as u16 });
    }

    fn clear(&mut self) {
        self.key.clear();
        self.frames.clear();
    }
}

/// Checks that edge `i` has a greater input than the one before it, if there is one.
fn ascending(many: &Many<'_>, at: usize, i: usize) -> Result<(), Corruption> {
    let before = i.checked_sub(1).and_then(|before| many.input(before));
    if before.is_some_and(|before| Some(before) >= many.input(i)) {
        return Err(damaged(at, "inputs of a node ascend"));
    }
    Ok(())
}
