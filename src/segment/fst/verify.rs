//! Proves a whole transducer right, in time and memory proportional to its bytes.
//!
//! Not by listing the keys: shared nodes can stand for exponentially many. Instead, each node is
//! looked at once, children first. If inputs ascend and each output is the number of keys before
//! its edge, then keys are strictly ascending and their ordinals are dense, by induction.

use super::node::{Edge, HEADER_LEN, LEAF, Many, Node};
use super::{FstKeys, KEY_LEN, NO_NODE, ORDINALS, damaged};
use crate::arena::OutOfMemory;
use crate::error::{Corruption, Error};
use crate::key::MAX_KEY_LEN;

/// What is known of a node that has been proved right.
struct Proved {
    at: usize,
    /// Number of keys in its subtree.
    keys: u64,
    /// Length of the longest of them, from here on.
    height: usize,
}

impl FstKeys<'_> {
    /// Reads everything.
    pub(in super::super) fn verify(self) -> Result<(), Error> {
        let addresses = self.addresses()?;
        let mut proved: Vec<Proved> = Vec::new();
        proved.try_reserve_exact(addresses.len()).map_err(|_| OutOfMemory)?;
        for at in addresses.into_iter().rev() {
            let (keys, height) = self.prove(&proved, at)?;
            proved.push(Proved { at, keys, height });
        }
        let keys = keys_and_height(&proved, self.root)?.0;
        if keys != self.entries {
            let rule = "it has as many keys as the segment has entries";
            return Err(damaged(self.root, rule).into());
        }
        Ok(())
    }

    /// Addresses of all nodes, descending: each node ends where the next one starts.
    fn addresses(self) -> Result<Vec<usize>, Error> {
        let mut addresses = Vec::new();
        let mut end = if self.root == LEAF { HEADER_LEN } else { self.root + 1 };
        while end > HEADER_LEN {
            let at = end - 1;
            end = self.nodes.start(at).ok_or_else(|| self.no_node(at))?;
            addresses.try_reserve(1).map_err(|_| OutOfMemory)?;
            addresses.push(at);
        }
        if end != HEADER_LEN {
            return Err(damaged(end, "nodes start behind the header").into());
        }
        Ok(addresses)
    }

    /// Number of keys and height of the node at `at`, whose children are in `proved`.
    fn prove(self, proved: &[Proved], at: usize) -> Result<(u64, usize), Corruption> {
        match self.nodes.node(at).ok_or_else(|| self.no_node(at))? {
            Node::Leaf => Ok((1, 0)),
            Node::One(edge) => prove_edge(proved, at, edge, 0, 0),
            Node::Many(many) => self.prove_many(proved, at, many),
        }
    }

    fn prove_many(
        self,
        proved: &[Proved],
        at: usize,
        many: Many<'_>,
    ) -> Result<(u64, usize), Corruption> {
        // Only the root of a segment without entries leads to no key.
        let leads_nowhere = many.len == 0 && !many.is_final;
        if leads_nowhere && !(at == self.root && self.entries == 0) {
            return Err(damaged(at, "every node leads to a key"));
        }
        if many.final_output != 0 {
            return Err(damaged(at, ORDINALS));
        }
        let (mut keys, mut height) = (u64::from(many.is_final), 0);
        let mut last = None;
        for i in 0..many.len {
            let edge = many.edge(i).ok_or_else(|| self.no_node(at))?;
            if last.is_some_and(|last| last >= edge.input) {
                return Err(damaged(at, "inputs of a node ascend"));
            }
            last = Some(edge.input);
            (keys, height) = prove_edge(proved, at, edge, keys, height)?;
        }
        if !many.is_indexed_right() {
            return Err(damaged(at, "the table from input to edge agrees with them"));
        }
        Ok((keys, height))
    }
}

/// Adds an edge to the keys before it and the height so far.
fn prove_edge(
    proved: &[Proved],
    at: usize,
    edge: Edge,
    keys_before: u64,
    height: usize,
) -> Result<(u64, usize), Corruption> {
    if edge.output != keys_before {
        return Err(damaged(at, ORDINALS));
    }
    let (keys, below) = keys_and_height(proved, edge.child)?;
    if below >= MAX_KEY_LEN {
        return Err(damaged(at, KEY_LEN));
    }
    let keys = keys_before.checked_add(keys).ok_or_else(|| damaged(at, ORDINALS))?;
    Ok((keys, height.max(below + 1)))
}

fn keys_and_height(proved: &[Proved], at: usize) -> Result<(u64, usize), Corruption> {
    if at == LEAF {
        return Ok((1, 0));
    }
    let i = proved.binary_search_by_key(&at, |node| node.at).map_err(|_| damaged(at, NO_NODE))?;
    Ok((proved[i].keys, proved[i].height))
}
